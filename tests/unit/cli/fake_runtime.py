"""A runtime that remembers what the command line asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from corelaunch.errors import ContainerNotFound, CorelaunchError
from corelaunch.plugins.registry import Registry
from corelaunch.state.ledger import Ledger
from corelaunch.statistics import Statistics
from corelaunch.trace import Trace

STATE = {
    "ociVersion": "1.0.2",
    "id": "one",
    "pid": 42,
    "status": "running",
    "bundle": "/bundles/one",
    "rootfs": "/bundles/one/rootfs",
    "created": "2026-01-02T03:04:05.000000006Z",
    "owner": "",
}


class FakeProcess:
    """A process that has ended with a status."""

    def __init__(self, status: int = 0) -> None:
        self.pid = 42
        self.pidfd = -1
        self.master_fd = -1
        self.status = status
        self.signals: list[int] = []

    def wait(self, timeout: float | None = None) -> int:
        return self.status

    def signal(self, number: int) -> None:
        self.signals.append(number)


class FakeContainer:
    """A container; every operation is noted in ``calls`` of its runtime."""

    def __init__(self, runtime: FakeRuntime, container_id: str) -> None:
        self.runtime = runtime
        self.id = container_id
        self.bundle = runtime.bundle
        self.owner_uid = 0
        self.ledger = Ledger()

    def state(self) -> dict[str, Any]:
        return {**STATE, "id": self.id, **self.runtime.more_state}

    def processes(self) -> list[int]:
        self.runtime.note("processes", self.id)
        return [42, 43]

    def stats(self) -> Statistics:
        self.runtime.note("stats", self.id)
        return Statistics()

    def watch(self, interval: float) -> Iterator[Statistics | None]:
        self.runtime.note("watch", self.id, interval)
        yield Statistics()
        yield None

    def __getattr__(self, name: str) -> Any:
        def note(*arguments: Any, **keywords: Any) -> Any:
            self.runtime.note(name, self.id, *arguments, **keywords)
            return FakeProcess(self.runtime.status)

        return note


class FakeRuntime:
    """Containers are the ids in ``known``; ``failure`` is raised by every operation."""

    def __init__(self, *known: str, failure: BaseException | None = None, status: int = 0) -> None:
        self.known = list(known)
        self.failure = failure
        self.status = status
        self.made_with: dict[str, Any] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.more_state: dict[str, Any] = {}
        self.broken: list[tuple[str, CorelaunchError]] = []
        self.trace = Trace()
        self.registry = Registry([])
        self.plugins: tuple[str, ...] = ()
        self.bundle = "/bundles/one"

    def __call__(self, root: str, **settings: Any) -> FakeRuntime:
        self.made_with = {"root": root, **settings}
        self.trace = settings.get("trace") or self.trace
        return self

    def note(self, name: str, *arguments: Any, **keywords: Any) -> None:
        self.calls.append((name, *arguments, keywords))
        if self.failure is not None:
            raise self.failure

    def load(self, container_id: str) -> FakeContainer:
        if container_id not in self.known:
            raise ContainerNotFound(container_id)
        return FakeContainer(self, container_id)

    def create(self, container_id: str, bundle: str, **keywords: Any) -> FakeContainer:
        self.note("create", container_id, bundle, **keywords)
        return FakeContainer(self, container_id)

    def run(self, container_id: str, bundle: str, *, attend: Any, **keywords: Any) -> int:
        self.note("run", container_id, bundle, **keywords)
        return int(attend(FakeProcess(self.status), lambda: self.note("start", container_id)))

    def containers(self) -> tuple[list[FakeContainer], list[tuple[str, CorelaunchError]]]:
        return [FakeContainer(self, one) for one in self.known], list(self.broken)

    def gc(self) -> list[tuple[str, str]]:
        return [(one, "removed") for one in self.known]
