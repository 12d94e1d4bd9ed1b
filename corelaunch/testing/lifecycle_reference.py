"""Lifecycle plugins that keep every promise: with all hooks, one that looks on, one that refuses most …"""

# ruff: noqa: D102 -- the hooks are documented where they are declared, in corelaunch.hookspecs

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from corelaunch.api import (
    AddMount,
    ConfigEdit,
    ConfigError,
    DoctorCheck,
    MakeDirectory,
    Moment,
    PlanEdit,
    PluginCommand,
    SetAnnotation,
    hookimpl,
)


class ReferenceLifecycle:
    """Marks its containers, gives them a directory, and refuses to run anything as user 4242."""

    corelaunch_api = 1

    @hookimpl
    def corelaunch_adjust_config(self, config: Mapping[str, Any], container_id: str) -> Sequence[ConfigEdit]:
        if (config["process"].get("user") or {}).get("uid") == 4242:
            raise ConfigError("not allowed", where="process.user.uid", why="4242 is reserved")
        return [SetAnnotation("org.corelaunch.reference", container_id), AddMount("/usr/share/cl-reference", "/usr")]

    @hookimpl
    def corelaunch_adjust_plan(self) -> Sequence[PlanEdit]:
        return [MakeDirectory("/run/cl-reference")]

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "executing" and moment.process.get("args") == ["forbidden"]:
            raise ConfigError("not allowed", where="process.args")

    @hookimpl
    def corelaunch_commands(self) -> Sequence[PluginCommand]:
        return [PluginCommand("cl-reference", "end well", lambda words, runtime: 0)]

    @hookimpl
    def corelaunch_doctor(self) -> Sequence[DoctorCheck]:
        return [DoctorCheck("reference", "ok", "it needs nothing")]

    @hookimpl
    def corelaunch_features(self) -> Mapping[str, str]:
        return {"org.example.reference": "1"}


class OnlooksLifecycle:
    """Implements one hook, and says in the runtime's log what it has seen."""

    corelaunch_api = 1

    @hookimpl
    def corelaunch_moment(self, moment: Moment, log: Callable[[str, str], None]) -> None:
        log("debug", f"{moment.container_id} is {moment.name}")


class LockingLifecycle:
    """Counts the moments of all threads, under a lock."""

    corelaunch_api = 1

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        with self._lock:
            self._count += 1


class ChoosyLifecycle:
    """Refuses every container that does not say whose it is; the contract is given a config that does."""

    corelaunch_api = 1

    #: What the contract's config has to have.
    accepts: Mapping[str, Any] = {"annotations": {"org.corelaunch.owner": "contract"}}

    @hookimpl
    def corelaunch_adjust_config(self, config: Mapping[str, Any]) -> Sequence[ConfigEdit]:
        if "org.corelaunch.owner" not in (config.get("annotations") or {}):
            raise ConfigError("nobody owns this container", where="annotations")
        return []

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "creating" and "org.corelaunch.owner" not in moment.annotations:
            raise ConfigError("nobody owns this container", where="annotations")
