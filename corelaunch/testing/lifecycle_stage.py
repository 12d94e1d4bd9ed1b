"""The stage on which one promise of a lifecycle plugin is played: the plugin, a bundle, and the lives of containers."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from corelaunch.adjustment import Adjusted, adjust_config, adjust_plan, copied
from corelaunch.api import CorelaunchError, LaunchStep, Moment
from corelaunch.hookspecs import MOMENTS, VETOES
from corelaunch.plan.init_plan import init_plan
from corelaunch.plugins.guard import CALL_SECONDS, Guard
from corelaunch.plugins.lifecycle_hooks import load_hooks, observe_all
from corelaunch.spec.bundle import Bundle

from .guest_child import Changes, Child
from .guest_surroundings import descriptors

NAME = "contract"

_SERIAL = itertools.count(1)

#: The moments of a life that goes well, and what comes twice in one that is deleted with difficulties.
LIFE = tuple(name for name in MOMENTS if name != "failed")


def _log(level: str, message: str) -> None:
    """The runtime's log; core knows no other levels."""
    assert level in ("debug", "info", "warning", "error"), f"logged with the level {level!r}: {message}"


class OnePlugin:
    """Stands for the registry of an environment in which this plugin alone is installed."""

    pluggy = False

    def __init__(self, plugin: Any) -> None:
        self._plugin = plugin
        self.guard = Guard(_log)
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
        child: where it may misbehave.
    """

    def __init__(self, plugin: Any, config: Mapping[str, Any], directory: Path, seconds: float = CALL_SECONDS) -> None:
        self.plugin = plugin
        (directory / "rootfs").mkdir()
        self.config = {**copied(config), "root": {"path": "rootfs", "readonly": True}}
        self.directory = str(directory)
        self.registry: Any = OnePlugin(plugin)
        self.child = Child(seconds)
        self._serial = next(_SERIAL)

    def id(self, number: int = 0, *, letters: int = 0) -> str:
        """The id of one of our containers; no other promise has it, and what a plugin remembers of that is no help.

        Its first letters are those of all of them, as those of engines are.
        """
        first = f"cl-life-{self._serial}-"
        return first + str(number).zfill(letters - len(first))

    @property
    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """Its hooks by name."""
        found: Mapping[str, Callable[..., Any]] = self.registry.lifecycle(NAME)
        return found

    @property
    def identity(self) -> Any:
        """What two stages with the same plugin have in common: the module, or the class of the object."""
        return self.plugin if isinstance(self.plugin, (ModuleType, type)) else type(self.plugin)

    @property
    def files(self) -> set[str]:
        """The source files of its hooks."""
        functions = [getattr(self.plugin, name, None) for name in dir(self.plugin) if name.startswith("corelaunch_")]
        codes = [getattr(function, "__code__", None) for function in functions]
        return {code.co_filename for code in codes if code is not None}

    def need(self, hook: str) -> None:
        """Skip unless the plugin implements a hook."""
        if hook not in self.hooks:
            pytest.skip(f"hook {hook} not claimed")

    def apart(self, work: Callable[[], Any]) -> Any:
        """What ``work`` returns in a process of its own; its exception is the failure."""
        told = self.child.run(work)
        assert not told.lost, told.lost
        assert not told.error, told.error
        return told.answer

    def trial(self) -> str:
        """Live once, in a process of its own; what would end or hang the process of the tests, "" if nothing does."""

        def work() -> list[str]:
            before = descriptors()
            with suppress(BaseException):  # other promises are about that
                self.live_and_fail()
            after = descriptors()
            return [path for fd, path in before.items() if after.get(fd) != path]

        told = self.child.run(work)
        closed = f"it closed descriptors that are not its own: {told.answer}" if told.answer else ""
        return told.lost or closed

    def changes_of(self, work: Callable[[], Any]) -> list[str]:
        """What of the file system ``work`` changes, in a process of its own."""

        def watched() -> list[str]:
            changes = Changes()
            work()
            changes.active = False
            return changes.changed

        found: list[str] = self.apart(watched)
        return found

    def bundle_files(self) -> list[str]:
        """Everything in the bundle."""
        return sorted(str(path) for path in Path(self.directory).rglob("*"))

    def adjusted(self, config: Mapping[str, Any] | None = None, container_id: str = "") -> Adjusted:
        """The config as core would launch it."""
        self.child.calls("corelaunch_adjust_config")
        bundle = Bundle(self.directory, self.config if config is None else config)
        return adjust_config(self.registry, [(NAME, "")], container_id or self.id(), bundle)

    def edits(self, container_id: str = "") -> list[dict[str, Any]]:
        """The plugin's edits of the config, as the journal gives them back."""
        found = [one.json() for one in self.adjusted(container_id=container_id).edits]
        edits: list[dict[str, Any]] = json.loads(json.dumps(found))
        return edits

    def plan(self) -> tuple[Mapping[str, Any], Any]:
        """The config as it was adjusted, and its plan."""
        config = self.adjusted().config
        return config, init_plan(config, f"{self.directory}/rootfs", cgroup_paths={}, terminal=False)

    def planned(self) -> list[dict[str, Any]]:
        """The plugin's edits of a plan."""
        config, plan = self.plan()
        self.child.calls("corelaunch_adjust_plan")
        _, edits = adjust_plan(self.registry, [(NAME, "")], self.id(), self.directory, config, plan)
        return [one.json() for one in edits]

    def moment(self, name: str, container_id: str = "") -> Moment:
        """A moment as core would tell of it, with copies of all that could be changed."""
        process = {"args": ["true"], "cwd": "/"} if name in ("executing", "executed") else {}
        step = {"creating": "", "hooks point": "hooks point", "failed": "spawn"}.get(name, "end of sync")
        pid = 0 if name in ("creating", "stopped", "deleted", "failed") else os.getpid()
        error = "cannot start" if name == "failed" else ""
        status = MOMENTS.get(name, "running")
        annotations = copied(self.config.get("annotations") or {})
        steps: tuple[LaunchStep, ...] = ()
        if name in ("created", "executed", "failed"):
            now = time.monotonic_ns()
            steps = (LaunchStep("spawn", "", now - 2000, 1000), LaunchStep("create", "cgroup_manager:one", now, 0))
        words = (name, container_id or self.id(), self.directory, step, status, pid, annotations, process, error)
        return Moment(*words, steps=steps)

    def tell(self, name: str, container_id: str = "", **more: Any) -> None:
        """Tell the plugin of a moment, as core does."""
        self.child.calls(f"corelaunch_moment at {name!r}")
        moment = self.moment(name, container_id).replace(**more)
        observe_all(self.registry, [(NAME, "")], moment, up=name in VETOES)

    def lead_up_to(self, name: str) -> None:
        """Tell all that comes before a moment, for plugins that keep something on disk; how is judged elsewhere."""
        before = LIFE[: LIFE.index(name)] if name in LIFE else ("creating", "hooks point")
        for earlier in before:
            with suppress(CorelaunchError):
                self.tell(earlier)

    def live(self, container_id: str = "") -> None:
        """A whole life, from the edits to "deleted"."""
        self.adjusted(container_id=container_id)
        if "corelaunch_moment" in self.hooks:
            for name in LIFE:
                self.tell(name, container_id)

    def live_and_fail(self) -> None:
        """A whole life, and one that ends before it has begun."""
        if "corelaunch_adjust_plan" in self.hooks:
            self.planned()
        self.live()
        if "corelaunch_moment" in self.hooks:
            self.tell("creating")
            self.tell("failed")


def an_ended_process() -> int:
    """The pid of a process that has ended and was waited for."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid
