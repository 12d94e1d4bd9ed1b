"""Lifecycle plugins that answer wrongly or act where they may only answer, on purpose; see lifecycle_wrong.py."""

# ruff: noqa: D102 -- the hooks are documented in corelaunch.hookspecs

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from corelaunch.api import (
    ConfigEdit,
    ConfigError,
    DoctorCheck,
    KernelError,
    Moment,
    PlanEdit,
    PluginCommand,
    SetEnv,
    hookimpl,
)

from .lifecycle_reference import ReferenceLifecycle


class VetoesByFalse(ReferenceLifecycle):
    """Says no, and nobody hears it."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> Any:
        return moment.name != "creating" or moment.annotations.get("org.example.owner") is not None


class LogsInItsOwnWords(ReferenceLifecycle):
    """Has a level that the log does not."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment, log: Callable[[str, str], None]) -> None:
        if moment.name == "started":
            log("notice", moment.container_id)


class ChangesTheProcess(ReferenceLifecycle):
    """Gives what is to be executed another environment, without an edit that anybody could see."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "executing":
            moment.process.setdefault("env", []).append("A=1")  # type: ignore[attr-defined]


class ChangesTheAnnotations(ReferenceLifecycle):
    """Leaves a note for the plugins after it."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        moment.annotations["org.example.seen"] = "yes"  # type: ignore[index]


class ChangesThePlan(ReferenceLifecycle):
    """Edits the plan itself, which is a copy."""

    @hookimpl
    def corelaunch_adjust_plan(self, plan: Any) -> Sequence[PlanEdit]:
        plan["operations"] = plan.get("operations", [])[:1]
        return []


class WritesIntoTheRootfs(ReferenceLifecycle):
    """Makes a mount point for its mount, also for who only asks for the plan."""

    @hookimpl
    def corelaunch_adjust_config(self, bundle: str) -> Sequence[ConfigEdit]:
        os.makedirs(f"{bundle}/rootfs/opt/tools", exist_ok=True)
        return []


class WritesWhilePlanning(ReferenceLifecycle):
    """Keeps what it has seen of a plan."""

    @hookimpl
    def corelaunch_adjust_plan(self, container_id: str) -> Sequence[PlanEdit]:
        note = Path(tempfile.gettempdir(), f"cl-life-plan-{os.getpid()}")
        note.write_text(container_id)
        note.unlink()
        return []


class CountsRequests(ReferenceLifecycle):
    """Counts how often it was asked, in a file of its own."""

    @hookimpl
    def corelaunch_adjust_config(self, container_id: str) -> Sequence[ConfigEdit]:
        count = Path(tempfile.gettempdir(), f"cl-life-count-{os.getpid()}")
        with count.open("a") as file:
            file.write("1\n")
        count.unlink()
        return []


class RemembersTheFirst(ReferenceLifecycle):
    """Works its edits out once, for whichever container comes first."""

    edits: Sequence[ConfigEdit] | None = None

    @hookimpl
    def corelaunch_adjust_config(self, config: Mapping[str, Any], container_id: str) -> Sequence[ConfigEdit]:
        if self.edits is None:
            self.edits = [SetEnv("WHO", container_id)]
        return self.edits


class KnowsItsProcess(ReferenceLifecycle):
    """Other edits in each process: what ``plan`` shows is not what ``create`` does."""

    @hookimpl
    def corelaunch_adjust_config(self, config: Mapping[str, Any], container_id: str) -> Sequence[ConfigEdit]:
        return [SetEnv("RUNTIME_PID", str(os.getpid()))]


class NeedsALivingProcess(ReferenceLifecycle):
    """Looks at a process that may have ended by then."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "started":
            Path(f"/proc/{moment.pid}/stat").read_text()


class NeedsTheBundle(ReferenceLifecycle):
    """Looks into the bundle when the container goes; engines remove it before, if they like."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "stopped":
            os.listdir(moment.bundle)


class NeedsLinux(ReferenceLifecycle):
    """Takes for granted that a config speaks of Linux."""

    @hookimpl
    def corelaunch_adjust_config(self, config: Mapping[str, Any], container_id: str) -> Sequence[ConfigEdit]:
        return [SetEnv("CGROUP", config["linux"].get("cgroupsPath", ""))]


class ShortensIds(ReferenceLifecycle):
    """Takes the first letters of an id for the whole."""

    def __init__(self) -> None:
        self.living: dict[str, str] = {}

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        who = self.living.setdefault(moment.container_id[:12], moment.container_id)
        if who != moment.container_id:
            raise ConfigError("runs already", where=who)
        if moment.name in ("deleted", "failed"):
            del self.living[moment.container_id[:12]]


class MakesLongNames(ReferenceLifecycle):
    """Puts so much around an id that a long one is no file name any more."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        if moment.name == "creating":
            name = f"{tempfile.gettempdir()}/corelaunch-example-lifecycle-plugin-{moment.container_id}.json"
            try:
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
                os.unlink(name)
            except OSError as error:
                raise KernelError.of("cannot write", error, where=name) from error


class ForgetsFailures(ReferenceLifecycle):
    """Cleans up when a container is deleted, and not when it never came to be."""

    @hookimpl
    def corelaunch_moment(self, moment: Moment) -> None:
        note = Path("/dev/shm", f"cl-life-{os.getpid()}-{moment.container_id}")
        if moment.name == "creating":
            note.touch()
        elif moment.name == "deleted":
            note.unlink(missing_ok=True)


class TakesOverACommand(ReferenceLifecycle):
    """Adds a command that core has: it will never be called."""

    @hookimpl
    def corelaunch_commands(self) -> Sequence[PluginCommand]:
        return [PluginCommand("list", "my own list", lambda words, runtime: 0)]


class CommandsAreFunctions(ReferenceLifecycle):
    """Returns the function and not the command."""

    @hookimpl
    def corelaunch_commands(self) -> Any:
        return [self.corelaunch_commands]


class ShoutsAtTheDoctor(ReferenceLifecycle):
    """Has a status of its own."""

    @hookimpl
    def corelaunch_doctor(self) -> Sequence[DoctorCheck]:
        return [DoctorCheck("collector", "error", "cannot be reached")]


class RepairsWhatItFinds(ReferenceLifecycle):
    """Makes what is missing, where it may only look."""

    @hookimpl
    def corelaunch_doctor(self) -> Sequence[DoctorCheck]:
        place = Path(tempfile.gettempdir(), f"cl-life-doctor-{os.getpid()}")
        place.mkdir()
        place.rmdir()
        return [DoctorCheck("directory", "ok", "it is there")]


class CountsFeatures(ReferenceLifecycle):
    """Numbers where annotations are text."""

    @hookimpl
    def corelaunch_features(self) -> Any:
        return {"org.example.rules": 4}


class SpeaksForCore(ReferenceLifecycle):
    """Uses a name that is not its own."""

    @hookimpl
    def corelaunch_features(self) -> Mapping[str, str]:
        return {"org.opencontainers.runc.version": "1.3.0"}
