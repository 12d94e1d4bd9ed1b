"""Deliberately wrong lifecycle plugins: each breaks a promise, and the contract must notice, for its own reason.

They are the reference with one mistake each, of a kind that authors make.
"""

# ruff: noqa: D102 -- the hooks are documented in corelaunch.hookspecs; one of the mistakes is to print

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corelaunch.api import ConfigEdit, MakeFile, Moment, PlanEdit, SetEnv, SetRlimit, hookimpl

from .lifecycle_reference import ReferenceLifecycle


class ForgetsTheApi(ReferenceLifecycle):
    """Does not say for which API it was written."""

    corelaunch_api = None  # type: ignore[assignment]


class MisspellsAHook(ReferenceLifecycle):
    """Its hook would never be called."""

    @hookimpl
    def corelaunch_momnt(self, moment: Moment) -> None:
        return


class InventsAnArgument(ReferenceLifecycle):
    """Asks for what core does not have."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment, container: Any) -> None:
        return


class ChangesTheConfig(ReferenceLifecycle):
    """Edits the config itself."""

    @hookimpl
    def corelaunch_adjust_config(self, config: Any, container_id: str) -> Sequence[ConfigEdit]:
        config["process"].setdefault("env", []).append("A=1")
        return []


class ReturnsAConfig(ReferenceLifecycle):
    """Returns the config that it would like."""

    @hookimpl
    def corelaunch_adjust_config(self, config: Mapping[str, Any], container_id: str) -> Any:
        return {**config, "hostname": "mine"}


class AsksForTheImpossible(ReferenceLifecycle):
    """Its edit gives a config that no runtime takes."""

    @hookimpl
    def corelaunch_adjust_config(self, config: Mapping[str, Any], container_id: str) -> Sequence[ConfigEdit]:
        return [SetRlimit("RLIMIT_NOFILE", 2000, 1000)]


class ExpectsEverything(ReferenceLifecycle):
    """Takes for granted what is optional."""

    @hookimpl
    def corelaunch_adjust_config(self, config: Mapping[str, Any], container_id: str) -> Sequence[ConfigEdit]:
        return [SetEnv("MOUNTS", str(len(config["mounts"])))]


class TellsTheTime(ReferenceLifecycle):
    """Other edits each time: the plan shows what will not be."""

    @hookimpl
    def corelaunch_adjust_config(self, config: Mapping[str, Any], container_id: str) -> Sequence[ConfigEdit]:
        return [SetEnv("STARTED", str(time.monotonic_ns()))]


class CountsPlans(ReferenceLifecycle):
    """Other edits of the plan each time."""

    count = 0

    @hookimpl
    def corelaunch_adjust_plan(self) -> Sequence[PlanEdit]:
        type(self).count += 1
        return [MakeFile(f"/run/plan-{self.count}")]


class WritesIntoTheBundle(ReferenceLifecycle):
    """Leaves a note in the bundle, also when somebody only asks for the plan."""

    @hookimpl
    def corelaunch_adjust_config(self, bundle: str) -> Sequence[ConfigEdit]:
        (Path(bundle) / "seen").touch()
        return []


class StumblesComingDown(ReferenceLifecycle):
    """Fails where nothing can be stopped any more."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "stopped":
            raise RuntimeError("cannot tell the collector")


class AssertsItsVeto(ReferenceLifecycle):
    """Vetoes by an assertion."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        assert moment.name != "starting"


class KnowsAllMoments(ReferenceLifecycle):
    """Looks the moment up in a table of its own."""

    table = dict.fromkeys(
        "creating,hooks point,created,starting,started,executing,executed,paused,resumed,updated,stopped,deleted,"
        "failed".split(","),
        0,
    )

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        self.table[moment.name] += 1


class RemembersInMemory(ReferenceLifecycle):
    """Keeps in memory what another command must know."""

    def __init__(self) -> None:
        self.begun: dict[str, float] = {}

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name in ("creating", "failed"):
            self.begun[moment.container_id] = time.monotonic()
        elif moment.name == "started":
            self.begun[moment.container_id]


#: What two of these keep for all of their objects.
_SEEN: dict[str, int] = {}
_LAST: list[str] = []


class RemembersInTheModule(ReferenceLifecycle):
    """Keeps in its module what another command must know."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name in ("creating", "failed"):
            _SEEN[moment.container_id] = 1
        elif moment.name == "stopped":
            _SEEN[moment.container_id]


class RemembersTheLast(ReferenceLifecycle):
    """The same, and not by the id: any container before will do."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "creating":
            _LAST.append(moment.container_id)
        elif moment.name == "stopped":
            _LAST[-1]


class EndsOnce(ReferenceLifecycle):
    """Is surprised to be told the end again."""

    def __init__(self) -> None:
        self.ended: set[str] = set()

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "creating":
            self.ended.discard(moment.container_id)
        elif moment.name == "deleted":
            if moment.container_id in self.ended:
                raise RuntimeError("deleted twice")
            self.ended.add(moment.container_id)


class OneAtATime(ReferenceLifecycle):
    """Believes that there is one container."""

    def __init__(self) -> None:
        self.current = ""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "creating":
            self.current = moment.container_id
        elif moment.name == "deleted":
            self.current = ""
        elif self.current not in ("", moment.container_id):
            raise RuntimeError(f"{self.current} is not finished")


class GoesElsewhere(ReferenceLifecycle):
    """Changes the directory of the process."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        os.chdir("/" if moment.name in ("creating", "executing") else "/tmp")


class IgnoresPipes(ReferenceLifecycle):
    """Changes the signals of the process."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)


class Prints(ReferenceLifecycle):
    """Says what it does, where the container's own output goes."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        print(f"{moment.container_id}: {moment.name}", flush=True)


class LeaksDescriptors(ReferenceLifecycle):
    """Opens its log at each moment."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        os.open("/dev/null", os.O_WRONLY)


class LeavesAChild(ReferenceLifecycle):
    """Starts a helper and does not wait for it."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "deleted":
            subprocess.Popen(["/bin/sleep", "5"])
