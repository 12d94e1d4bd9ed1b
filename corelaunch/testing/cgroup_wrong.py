"""Deliberately wrong cgroup managers: each breaks a promise, and the contract must notice, for its own reason.

They are the reference with one mistake each, of a kind that authors make.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from corelaunch.api import (
    AlreadyExists,
    CgroupPlacement,
    CgroupRequest,
    CgroupStats,
    ConfigError,
    CorelaunchError,
    Effect,
    KernelError,
    LaunchContext,
    ProcessHandle,
)

from .cgroup_reference import ReferenceCgroupManager


class RandomPlaces(ReferenceCgroupManager):
    """Avoids clashes by chance."""

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        placement = super().place(request)
        suffix = f"{random.getrandbits(32):08x}"
        return CgroupPlacement({controller: f"{path}-{suffix}" for controller, path in placement.paths.items()})


class MakesWhilePlacing(ReferenceCgroupManager):
    """Makes sure early that the place is good."""

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        placement = super().place(request)
        for path in placement.paths.values():
            with suppress(FileExistsError):
                self.files.mkdir(path)
        return placement


class OneForAll(ReferenceCgroupManager):
    """Puts every container into the same cgroup."""

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        placement = super().place(request)
        return CgroupPlacement(
            {controller: f"{os.path.dirname(path)}/cl-cg-all" for controller, path in placement.paths.items()}
        )


class Climbs(ReferenceCgroupManager):
    """Takes cgroupsPath as it comes."""

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        with suppress(ConfigError):
            return super().place(request)
        roots = self.files.roots()
        return CgroupPlacement({c: roots[c] + request.path for c in self.controllers if c in roots})


class InventsFeatures(ReferenceCgroupManager):
    """Claims what nobody knows."""

    features = ReferenceCgroupManager.features | {"teleport"}


class MakesSecretly(ReferenceCgroupManager):
    """Announces nothing."""

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        for path in self._directories(placement):
            try:
                self.files.mkdir(path)
            except FileExistsError:
                raise AlreadyExists("cgroup exists already", where=path) from None


class AnnouncesTooLate(ReferenceCgroupManager):
    """Makes, then announces what it has made."""

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        for path in self._directories(placement):
            try:
                self.files.mkdir(path)
            except FileExistsError:
                raise AlreadyExists("cgroup exists already", where=path) from None
            made = os.stat(path)
            ctx.done(ctx.intend("cgroup", path, absent=True, path=path), dev=made.st_dev, ino=made.st_ino)


class NeverConfirms(ReferenceCgroupManager):
    """Thinks that an announcement is enough."""

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        for path in self._directories(placement):
            ctx.intend("cgroup", path, absent=not os.path.lexists(path), path=path)
            try:
                self.files.mkdir(path)
            except FileExistsError:
                raise AlreadyExists("cgroup exists already", where=path) from None


class TakesOver(ReferenceCgroupManager):
    """Uses the cgroup that it finds, and says that it was its own."""

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        for path in self._directories(placement):
            effect = ctx.intend("cgroup", path, absent=True, path=path)
            with suppress(FileExistsError):
                self.files.mkdir(path)
            made = os.stat(path)
            ctx.done(effect, dev=made.st_dev, ino=made.st_ino)


class JoinsOneHierarchy(ReferenceCgroupManager):
    """Forgets that v1 has several."""

    def add_process(self, placement: CgroupPlacement, process: ProcessHandle) -> None:
        self._write(f"{self._directories(placement)[0]}/cgroup.procs", str(process.pid))


class IgnoresTheDead(ReferenceCgroupManager):
    """Swallows what the kernel says about a process."""

    def add_process(self, placement: CgroupPlacement, process: ProcessHandle) -> None:
        with suppress(KernelError):
            super().add_process(placement, process)


class LosesErrno(ReferenceCgroupManager):
    """Wraps errors so well that nobody can tell them apart."""

    def add_process(self, placement: CgroupPlacement, process: ProcessHandle) -> None:
        try:
            super().add_process(placement, process)
        except KernelError as error:
            raise KernelError("add_process failed", why=str(error)) from error


class ListsTheTop(ReferenceCgroupManager):
    """Does not look into cgroups that the container nested."""

    def processes(self, placement: CgroupPlacement) -> list[int]:
        return sorted({pid for path in self._directories(placement) for pid in self.files.processes(path)})


class ListsTwice(ReferenceCgroupManager):
    """Once per hierarchy."""

    def processes(self, placement: CgroupPlacement) -> list[int]:
        return [pid for path in self._directories(placement) for pid in self._below(path)]


class NotesFrozen(ReferenceCgroupManager):
    """Knows that it is frozen, and the processes do not."""

    def _set_frozen(self, placement: CgroupPlacement, frozen: bool) -> None:
        self.files.read(f"{self._of(placement, 'freezer')}/freezer.state")
        self._state = frozen

    def frozen(self, placement: CgroupPlacement) -> bool:
        return getattr(self, "_state", False)


class KillsOne(ReferenceCgroupManager):
    """Takes the youngest process for the only one."""

    def kill(self, placement: CgroupPlacement) -> None:
        for pid in self.processes(placement)[-1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
            while pid in self.processes(placement):
                time.sleep(0.001)


class RoundsLimits(ReferenceCgroupManager):
    """Knows better."""

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        limit = resources.get("pids", {}).get("limit", 0)
        if 0 < limit < 64:
            resources = {**resources, "pids": {"limit": 64}}
        super().set_resources(placement, resources)


class ResetsTheRest(ReferenceCgroupManager):
    """Takes "absent" for "unlimited"."""

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        super().set_resources(placement, {"pids": {"limit": -1}, **resources})


class SwallowsErrors(ReferenceCgroupManager):
    """Limits are nice to have."""

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        with suppress(CorelaunchError):
            super().set_resources(placement, resources)


class UpdatesHalf(ReferenceCgroupManager):
    """Leaves what it has set before it fails."""

    def update_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        self.set_resources(placement, resources)


class PretendsStats(ReferenceCgroupManager):
    """Claims no figures, and gives some."""

    features = ReferenceCgroupManager.features - {"stats"}

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        return CgroupStats(memory_usage_bytes=0)


class ZerosForGone(ReferenceCgroupManager):
    """A cgroup that is gone uses nothing."""

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        with suppress(KernelError):
            return super().stats(placement)
        return CgroupStats(memory_usage_bytes=0, pids_current=0)


class FailsWhenGone(ReferenceCgroupManager):
    """Insists on being the one who removes it."""

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        for effect in effects:
            try:
                self._remove(effect.args["path"])
            except OSError as error:
                raise KernelError.of("cannot remove cgroup", error) from error


class DestroysByName(ReferenceCgroupManager):
    """Removes whatever has the name."""

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if os.path.isdir(effect.args["path"]) and not self._below(effect.args["path"]):
                self._remove(effect.args["path"])


class DestroysByPlacement(ReferenceCgroupManager):
    """Removes what it would have made."""

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        for path in self._directories(placement):
            if os.path.isdir(path):
                try:
                    self._remove(path)
                except OSError as error:
                    raise KernelError.of("cannot remove cgroup", error) from error


class ForgetsTheInside(ReferenceCgroupManager):
    """Removes what it made, and not what the container made in it."""

    def _remove(self, path: str) -> None:
        self.files.rmdir(path)


class ForgetsUnconfirmed(ReferenceCgroupManager):
    """What was never confirmed was never made, it thinks."""

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, [effect for effect in effects if effect.done])


class KillsUnconfirmed(ReferenceCgroupManager):
    """Makes room with force."""

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        if effects and self.processes(placement):
            self.kill(placement)
        super().destroy(placement, effects)


class RemembersInMemory(ReferenceCgroupManager):
    """Keeps what it made in the object that made it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._made: set[str] = set()

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        super().create(placement, request, process, ctx)
        self._made.update(placement.paths.values())

    def processes(self, placement: CgroupPlacement) -> list[int]:
        return super().processes(placement) if self._made & set(placement.paths.values()) else []

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, [effect for effect in effects if effect.args["path"] in self._made])
        self._made.difference_update(placement.paths.values())


class OnlyOnce(ReferenceCgroupManager):
    """Never gives a name away twice."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._given: set[str] = set()

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        if request.container_id in self._given:
            raise AlreadyExists("cgroup exists already", where=request.container_id)
        super().create(placement, request, process, ctx)
        self._given.add(request.container_id)
