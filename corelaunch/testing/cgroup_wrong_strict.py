"""More deliberately wrong cgroup managers: bugs of siblings, long ids, threads, and of what "absent" means."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from corelaunch.api import (
    AlreadyExists,
    CgroupPlacement,
    CgroupRequest,
    CgroupStats,
    Effect,
    KernelError,
    LaunchContext,
    ProcessHandle,
)

from .cgroup_reference import ReferenceCgroupManager


class CutsNames(ReferenceCgroupManager):
    """The first letters of the id: engines make many that begin alike."""

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        paths = super().place(request).paths
        return CgroupPlacement({c: path[: len(os.path.dirname(path)) + 41] for c, path in paths.items()})


class ClimbsWithoutSlash(ReferenceCgroupManager):
    """Looks for ``..`` in the middle of a path, and nowhere else."""

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        if "/../" in f"{request.path}" or not request.path:
            return super().place(request)
        roots = self.files.roots()
        return CgroupPlacement({c: f"{roots[c]}/{request.path}" for c in self.controllers if c in roots})


class TellsThePathInTheNameAlone(ReferenceCgroupManager):
    """Announces with a name for people, and nothing that core could look at."""

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        for path in self._directories(placement):
            effect = ctx.intend("cgroup", path, absent=not os.path.lexists(path))
            try:
                self.files.mkdir(path)
            except FileExistsError:
                ctx.withdraw(effect)
                raise AlreadyExists("cgroup exists already", where=path) from None
            made = os.stat(path)
            ctx.done(effect, dev=made.st_dev, ino=made.st_ino)

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, [effect.replace(args={"path": effect.name}) for effect in effects])


class LeavesParents(ReferenceCgroupManager):
    """Makes what is missing above its cgroup, and says nothing of it."""

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        paths = super().place(request).paths
        above = f"/cl-cg-above-{os.getpid()}/"
        return CgroupPlacement({c: above.join(os.path.split(path)) for c, path in paths.items()})

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        for path in self._directories(placement):
            with suppress(FileExistsError):
                self.files.mkdir(os.path.dirname(path))
        super().create(placement, request, process, ctx)


class OneAtATime(ReferenceCgroupManager):
    """Notes in itself what it is about, while another thread does, too."""

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        self.current = placement
        time.sleep(0.002)  # a look at the host
        super().create(self.current, request, process, ctx)


class ListsThreads(ReferenceCgroupManager):
    """Reads the file of tasks, where every thread has a line."""

    def processes(self, placement: CgroupPlacement) -> list[int]:
        found: list[int] = []
        for pid in super().processes(placement):
            with suppress(OSError):
                found += map(int, os.listdir(f"/proc/{pid}/task"))
        return sorted(found)


class UpdatesEverything(ReferenceCgroupManager):
    """Takes an update for the whole of the limits."""

    def update_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        super().update_resources(placement, {"pids": {"limit": -1}, **resources})


class ThawsToUpdate(ReferenceCgroupManager):
    """Lets processes go on to change their limits, and forgets that they were stopped."""

    def update_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        self.thaw(placement)
        super().update_resources(placement, resources)


class ZerosForUnknown(ReferenceCgroupManager):
    """Has a figure for everything."""

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        stats = super().stats(placement)
        unknown = {name: 0 for name, value in stats.as_dict().items() if value == -1 and not name.endswith("_limit")}
        made: CgroupStats = stats.replace(**unknown)
        return made


class KeepsFigures(ReferenceCgroupManager):
    """Looks once, and answers from memory."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known: dict[str, CgroupStats] = {}

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        key = str(placement)
        if not os.path.isdir(self._directories(placement)[0]) or key not in self._known:
            self._known[key] = super().stats(placement)
        return self._known[key]


class SaysDoneWhenBusy(ReferenceCgroupManager):
    """Does what it can, and calls that success: the record goes, and the cgroup stays for ever."""

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        with suppress(KernelError):
            super().destroy(placement, effects)


class DestroysByPrefix(ReferenceCgroupManager):
    """Removes what begins like its own, for whatever the container may have made beside it."""

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, effects)
        for effect in effects:
            parent, name = os.path.split(effect.args["path"])
            for other in self.files.children(parent):
                if other.startswith(name) and other != name and not self._below(f"{parent}/{other}"):
                    self._remove(f"{parent}/{other}")


class AnswersWithASet(ReferenceCgroupManager):
    """Each pid once, in a type that core does not take."""

    def processes(self, placement: CgroupPlacement) -> Any:
        return set(super().processes(placement))


class TidiesItsArguments(ReferenceCgroupManager):
    """Takes out of the caller's resources what it has done."""

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        super().set_resources(placement, resources)
        if isinstance(resources, dict):
            resources.pop("pids", None)
