"""The stage on which one promise of a lifecycle plugin is played: the plugin, a bundle, and the lives of containers."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from corelaunch.adjustment import Adjusted, adjust_config, adjust_plan, copied
from corelaunch.api import Moment
from corelaunch.hookspecs import MOMENTS, VETOES
from corelaunch.plan.init_plan import init_plan
from corelaunch.plugins.guard import Guard
from corelaunch.plugins.lifecycle_hooks import load_hooks, observe_all
from corelaunch.spec.bundle import Bundle

NAME = "contract"

#: The moments of a life that goes well, and what comes twice in one that is deleted with difficulties.
LIFE = tuple(name for name in MOMENTS if name != "failed")


class OnePlugin:
    """Stands for the registry of an environment in which this plugin alone is installed."""

    pluggy = False

    def __init__(self, plugin: Any) -> None:
        self._plugin = plugin
        self.guard = Guard(lambda level, message: None)
        self._hooks: Any = None

    def plugin(self, kind: str, name: str, *, made_by: str = "") -> Any:
        """The plugin."""
        return self._plugin

    def distribution(self, kind: str, name: str) -> str:
        """What its distribution would be called."""
        return f"{NAME} 1"

    def lifecycle(self, name: str, *, made_by: str = "") -> Any:
        """Its hooks, checked."""
        if self._hooks is None:
            self._hooks = load_hooks(self, name, made_by)  # type: ignore[arg-type]
        return self._hooks


class Stage:
    """One plugin and a bundle.

    Attributes:
        plugin: the one under test.
        config: a config.json that it accepts.
        hooks: its hooks by name.
    """

    def __init__(self, plugin: Any, config: Mapping[str, Any], directory: Path) -> None:
        self.plugin = plugin
        (directory / "rootfs").mkdir()
        self.config = {**copied(config), "root": {"path": "rootfs", "readonly": True}}
        self.directory = str(directory)
        self.registry: Any = OnePlugin(plugin)

    @property
    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """Its hooks by name."""
        found: Mapping[str, Callable[..., Any]] = self.registry.lifecycle(NAME)
        return found

    def need(self, hook: str) -> None:
        """Skip unless the plugin implements a hook."""
        if hook not in self.hooks:
            pytest.skip(f"hook {hook} not claimed")

    def adjusted(self, config: Mapping[str, Any] | None = None, container_id: str = "cl-life-0") -> Adjusted:
        """The config as core would launch it."""
        bundle = Bundle(self.directory, self.config if config is None else config)
        return adjust_config(self.registry, [(NAME, "")], container_id, bundle)

    def planned(self) -> list[dict[str, Any]]:
        """The plugin's edits of a plan."""
        config = self.adjusted().config
        plan = init_plan(config, f"{self.directory}/rootfs", cgroup_paths={}, terminal=False)
        _, edits = adjust_plan(self.registry, [(NAME, "")], "cl-life-0", self.directory, config, plan)
        return [one.json() for one in edits]

    def tell(self, name: str, container_id: str = "cl-life-0", **more: Any) -> None:
        """Tell the plugin of a moment, as core does."""
        process = {"args": ["true"], "cwd": "/"} if name in ("executing", "executed") else {}
        step = {"creating": "", "hooks point": "hooks point", "failed": "spawn"}.get(name, "end of sync")
        pid = 0 if name in ("creating", "stopped", "deleted", "failed") else os.getpid()
        error = "cannot start" if name == "failed" else ""
        status = MOMENTS.get(name, "running")
        annotations = self.config.get("annotations") or {}
        moment = Moment(name, container_id, self.directory, step, status, pid, annotations, process, error)
        observe_all(self.registry, [(NAME, "")], moment.replace(**more), up=name in VETOES)

    def live(self, container_id: str = "cl-life-0") -> None:
        """A whole life, from the edits to "deleted"."""
        self.adjusted(container_id=container_id)
        if "corelaunch_moment" in self.hooks:
            for name in LIFE:
                self.tell(name, container_id)


def surroundings() -> dict[str, Any]:
    """What of a process belongs to whoever uses the API, and no plugin may change."""
    umask = os.umask(0)
    os.umask(umask)
    handlers = {number: signal.getsignal(number) for number in sorted(signal.valid_signals())}
    return {
        "working directory": os.getcwd(),
        "umask": oct(umask),
        "environment": dict(os.environ),
        "signal handlers": handlers,
        "signal mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "import path": list(sys.path),
    }


def children() -> set[str]:
    """Pids of this process's children, threads' included."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        found |= set((task / "children").read_text().split())
    return found


def in_later_process(work: Callable[[], None]) -> str:
    """Do ``work`` in a forked process, which stands for a later command; "" or its exception as text."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child takes no lock of a thread
        pid = os.fork()
    if pid == 0:
        text = ""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- the test that asked reads it
            text = f"{type(error).__name__}: {error}"
        os.write(write, json.dumps(text)[:4000].encode())
        os._exit(0)  # not sys.exit: the test runner's own clean-up must not run twice
    os.close(write)
    with open(read, "rb") as result:
        said = str(json.loads(result.read() or b'"it died"'))
    os.waitpid(pid, 0)
    return said


def at_once(*works: Callable[[], None]) -> list[BaseException]:
    """Do several things in threads at the same time; what they raised."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- a thread must not swallow it
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
