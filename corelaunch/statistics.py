"""What a container uses and has used, asked of each of its backends; and waiting for it to run out of memory."""

from __future__ import annotations

import os
import time

from .errors import KernelError, PluginError, Unsupported, WrongStatus, is_gone
from .records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .api import CgroupStats
    from .backends import Placed
    from .container import Container
    from .runtime import Runtime

#: How long the kernel may take from "out of memory" to the kill that it counts.
_KILL_SECONDS = 1.0
_LOOK_SECONDS = 0.02
#: How often a manager that cannot wake us is asked.
_POLL_SECONDS = 0.25


class Statistics(Record):
    """Figures of one moment."""

    #: None without a cgroup, if its manager gives no figures, and of a stopped container whose cgroup went with its
    #: last process (a scope of systemd's).
    cgroup: CgroupStats | None = None
    #: As the RDT manager gives them, in the words of ``events`` ("l3_cache_schema", "cmt_stats" …).
    rdt: Mapping[str, Any] = {}
    #: (name inside the container, counters) of each interface whose strategy counts.
    networks: Sequence[tuple[str, Mapping[str, int]]] = ()


def collect(runtime: Runtime, container: Container) -> Statistics:
    """The figures now; see :meth:`Container.stats`."""
    from .backends import recall

    status = container.status
    if status == "creating":
        raise WrongStatus("no figures yet", where=container.id, why="it is creating")
    cgroup: CgroupStats | None = None
    rdt: Mapping[str, Any] = {}
    networks: list[tuple[str, Mapping[str, int]]] = []
    for saved in container.ledger.placements.values():
        placed = recall(saved, runtime.registry)
        if "stats" not in placed.manager.features:
            continue
        if placed.kind == "cgroup_manager":
            cgroup = _figures(placed, stopped=status == "stopped")
        elif placed.kind == "rdt_manager":
            rdt = _figures(placed, stopped=status == "stopped") or {}
        elif status != "stopped":  # its interfaces went with its network namespace
            try:
                networks.append((placed.placement.container_name, placed.manager.stats(placed.placement)))
            except KernelError as error:
                # The container may have removed or renamed it; the other figures are as good as before.
                runtime.log("warning", f"no counters of {placed.placement.container_name}: {error}")
    return Statistics(cgroup, rdt, tuple(networks))


def _figures(placed: Placed, *, stopped: bool) -> Any:
    """What the manager tells; None if it went with a container that has stopped."""
    try:
        return placed.manager.stats(placed.placement)
    except KernelError as error:
        if stopped and is_gone(error):
            return None
        raise


def watch(runtime: Runtime, container: Container, interval: float) -> Iterator[Statistics | None]:
    """Figures every ``interval`` seconds, and None for each time that it ran out of memory, until it has stopped.

    Raises:
        WrongStatus: it is stopped already.
    """
    _check_not_stopped(container)
    end = container.process.pidfd
    memory = _Memory(container.cgroup())
    try:
        due = time.monotonic() + interval
        while True:
            ended = _wait(end, memory, due)
            for _ in range(memory.kills()):
                yield None
            if ended:
                return
            if time.monotonic() >= due:
                due += interval * max(1, int((time.monotonic() - due) // interval) + 1)
                try:
                    figures = collect(runtime, container)
                except KernelError:
                    if container.pid:
                        raise
                    continue
                if container.pid:  # or it has stopped meanwhile: its last OOM may still have to be told
                    yield figures
    finally:
        memory.close()


def _check_not_stopped(container: Container) -> None:
    status = container.status
    if status not in ("created", "running", "paused"):
        raise WrongStatus("container not running", where=container.id, why=f"it is {status}")


class _Memory:
    """The cgroup's OOM killer: what wakes us, and how often it has struck since the last look."""

    def __init__(self, backend: Placed | None) -> None:
        self._backend = backend if backend is not None and "oom" in backend.manager.features else None
        self.fd, self.events = -1, 0
        self.awake = 0.0
        self._seen = self._count()
        if self._backend is not None and "oom-events" in self._backend.manager.features:
            try:
                self.fd, self.events = self._backend.manager.open_oom_events(self._backend.placement)
            except (Unsupported, PluginError):
                pass  # then it is asked again and again

    @property
    def polled(self) -> bool:
        """Whether it must be asked, because nothing wakes us."""
        return self._backend is not None and self.fd < 0

    def woken(self) -> None:
        """The descriptor is ready: make it ready for the next time, and look for the kill for a while."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        try:
            os.read(self.fd, 4096)
        except BlockingIOError:
            pass
        except OSError:
            # ENODEV: the cgroup was removed
            os.close(self.fd)
            self.fd = -1
        self.awake = time.monotonic() + _KILL_SECONDS

    def kills(self) -> int:
        """How many there were since the last call."""
        count = self._count()
        new, self._seen = max(0, count - self._seen), max(count, self._seen)
        if new:
            self.awake = 0.0
        return new

    def _count(self) -> int:
        if self._backend is None:
            return 0
        count: int = self._backend.manager.oom_kill_count(self._backend.placement)
        return count

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


def _wait(end: int, memory: _Memory, due: float) -> bool:
    """Wait for the end of the init, news of memory, or the time ``due``; returns whether the init has ended."""
    import select

    until = due
    if memory.awake > time.monotonic():
        until = min(due, time.monotonic() + _LOOK_SECONDS)
    elif memory.polled:
        until = min(due, time.monotonic() + _POLL_SECONDS)
    poll = select.poll()
    poll.register(end, select.POLLIN)
    if memory.fd >= 0:
        poll.register(memory.fd, memory.events)
    ready = dict(poll.poll(max(0.0, until - time.monotonic()) * 1000))
    if memory.fd in ready:
        memory.woken()
    return end in ready
