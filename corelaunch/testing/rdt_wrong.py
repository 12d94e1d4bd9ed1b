"""Deliberately wrong RDT managers: each breaks a promise, and the contract must notice, for its own reason.

They are the reference with one mistake each, of a kind that runtimes have or had.
"""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from corelaunch.api import (
    ConfigError,
    CorelaunchError,
    Effect,
    KernelError,
    LaunchContext,
    ProcessHandle,
    RdtPlacement,
    RdtRequest,
)

from .context import RecordingContext
from .rdt_reference import ReferenceRdtManager, combined, meaning


class PlainRdt(ReferenceRdtManager):
    """Not wrong: it claims nothing."""

    features = frozenset()

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        raise self.unsupported("set", "schemata")

    def stats(self, placement: RdtPlacement) -> Mapping[str, Any]:
        raise self.unsupported("stats", "stats")


class InventsFeatures(ReferenceRdtManager):
    """Claims what nobody knows."""

    features = ReferenceRdtManager.features | {"teleport"}


class MakesWhilePlacing(ReferenceRdtManager):
    """Makes sure early that the place is good."""

    def place(self, request: RdtRequest) -> RdtPlacement:
        placement = super().place(request)
        with suppress(OSError):
            self.files.mkdir(placement.clos)
        return placement


class OneForAll(ReferenceRdtManager):
    """Saves CLOSIDs: one group for all containers that name none."""

    def place(self, request: RdtRequest) -> RdtPlacement:
        placement = super().place(request)
        return placement if request.clos_id else RdtPlacement(f"{self.files.root()}/cl-rdt-all", placement.monitoring)


class Climbs(ReferenceRdtManager):
    """Takes closID as it comes."""

    def place(self, request: RdtRequest) -> RdtPlacement:
        with suppress(ConfigError):
            return super().place(request)
        return RdtPlacement(f"{self.files.root()}/{request.clos_id}")


class PretendsMonitoring(PlainRdt):
    """Takes a request for monitoring, and does not monitor."""

    def place(self, request: RdtRequest) -> RdtPlacement:
        return super().place(request.replace(monitoring=False))


class MakesSecretly(ReferenceRdtManager):
    """Announces nothing."""

    def make(self, kind: str, path: str, ctx: LaunchContext, schemata: Sequence[str] = ()) -> None:
        super().make(kind, path, RecordingContext(), schemata)


class NeverConfirms(ReferenceRdtManager):
    """Thinks that an announcement is enough."""

    def make(self, kind: str, path: str, ctx: LaunchContext, schemata: Sequence[str] = ()) -> None:
        ctx.intend(kind, path, absent=not os.path.lexists(path), path=path)
        super().make(kind, path, RecordingContext(), schemata)


class TakesOver(ReferenceRdtManager):
    """Uses the group that it finds under the container's name, and says that it was its own."""

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        if os.path.isdir(placement.clos) and not request.clos_id:
            found = os.stat(placement.clos)
            effect = ctx.intend("clos", placement.clos, absent=False, path=placement.clos)
            ctx.done(effect, dev=found.st_dev, ino=found.st_ino)
            return
        super().create(placement, request, ctx)


class OwnsWhatItJoins(ReferenceRdtManager):
    """Removes the CLOS of a closID that was there before."""

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        there = request.clos_id and os.path.isdir(placement.clos)
        super().create(placement, request, ctx)
        if there:
            found = os.stat(placement.clos)
            effect = ctx.intend("clos", placement.clos, absent=False, path=placement.clos)
            ctx.done(effect, dev=found.st_dev, ino=found.st_ino)

    def stays(self, placement: RdtPlacement, effect: Effect) -> bool:
        return effect.absent and super().stays(placement, effect)


class MakesEveryClosId(ReferenceRdtManager):
    """Makes a group for a closID that nobody has set up."""

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        if request.clos_id and not request.schemata and not os.path.isdir(placement.clos):
            self.make("clos", placement.clos, ctx)
        super().create(placement, request, ctx)


class ChangesTheShared(ReferenceRdtManager):
    """Writes its schemata over those of a shared CLOS, as runc does."""

    def require_same(self, placement: RdtPlacement, request: RdtRequest) -> None:
        return


class ComparesText(ReferenceRdtManager):
    """Compares schemata as strings."""

    def require_same(self, placement: RdtPlacement, request: RdtRequest) -> None:
        lines = [line.strip() for line in self.files.read(f"{placement.clos}/schemata").splitlines()]
        for line in request.schemata:
            if line not in lines:
                raise ConfigError("cannot share CLOS", where=placement.clos, why=f"it has no {line}")


class LosesTheKernelsWords(ReferenceRdtManager):
    """Reports "invalid argument" and leaves it at that."""

    def error(self, what: str, path: str, error: OSError, value: str = "", words: str = "") -> KernelError:
        return KernelError.of(what, error, where=path)


class QuotesTheLastWords(ReferenceRdtManager):
    """Takes last_cmd_status for what the kernel has to say about its own command, always, as runc does."""

    def error(self, what: str, path: str, error: OSError, value: str = "", words: str = "") -> KernelError:
        return super().error(what, path, error, value, self.status())


class NamesNobody(ReferenceRdtManager):
    """Says that there is no CLOSID left, and not who has them."""

    def error(self, what: str, path: str, error: OSError, value: str = "", words: str = "") -> KernelError:
        made = super().error(what, path, error, value, words)
        made.hint = ""
        return made


class WantsEveryDomain(ReferenceRdtManager):
    """Compares whole lines, so that a part of the domains is not the same."""

    def require_same(self, placement: RdtPlacement, request: RdtRequest) -> None:
        super().require_same(placement, request)
        lines = self.files.read(f"{placement.clos}/schemata").splitlines()
        now, asked = meaning(lines, 1), meaning(request.schemata, 1)
        if asked and {key for key in now if key[0] in {resource for resource, _ in asked}} != set(asked):
            raise ConfigError("cannot share CLOS", where=placement.clos, why="it has more domains")


class DoesNotRound(ReferenceRdtManager):
    """Compares bandwidth with what was asked for, and not with what the kernel makes of it."""

    bandwidth_step = 1


class WritesTheRoot(ReferenceRdtManager):
    """Takes the root group for one of its own."""

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        super().set(placement, request.replace(clos_id=""))

    def require_same(self, placement: RdtPlacement, request: RdtRequest) -> None:
        if request.clos_id != "/":
            super().require_same(placement, request)


class RemovesTheClass(ReferenceRdtManager):
    """Removes the CLOS of a closID with the container that made it, if nobody uses it just then."""

    def stays(self, placement: RdtPlacement, effect: Effect) -> bool:
        return super().stays(placement, effect.replace(done=False))


class SparesTheUsed(ReferenceRdtManager):
    """Leaves a CLOS of its own that somebody has put a process into."""

    def stays(self, placement: RdtPlacement, effect: Effect) -> bool:
        used = effect.kind == "clos" and bool(self.files.read(f"{placement.clos}/tasks").split())
        return used or super().stays(placement, effect)


class SetsLater(ReferenceRdtManager):
    """Makes the CLOS of a closID first, confirms it, and sets its schemata when the launch has come so far."""

    def make(self, kind: str, path: str, ctx: LaunchContext, schemata: Sequence[str] = ()) -> None:
        super().make(kind, path, ctx)
        if schemata:
            self.write(f"{path}/schemata", "".join(f"{line}\n" for line in schemata))


class LosesTheRace(ReferenceRdtManager):
    """Fails if the closID is made by somebody else between the look and the mkdir."""

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        if request.clos_id and request.schemata and not os.path.isdir(placement.clos):
            self.make("clos", placement.clos, ctx, request.schemata)
        super().create(placement, request, ctx)


class WritesTwice(ReferenceRdtManager):
    """Writes all lines as they come."""

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        if request.clos_id:
            super().set(placement, request)
        elif request.schemata:
            self.write(f"{placement.clos}/schemata", "".join(f"{line}\n" for line in request.schemata))


class MakesAgain(ReferenceRdtManager):
    """Puts right what somebody has removed."""

    def add_process(self, placement: RdtPlacement, process: ProcessHandle) -> None:
        if not os.path.isdir(placement.clos):
            self.files.mkdir(placement.clos)
        super().add_process(placement, process)


class ForgetsTheMonitor(ReferenceRdtManager):
    """Puts processes into the CLOS only, as runc's exec does."""

    def add_process(self, placement: RdtPlacement, process: ProcessHandle) -> None:
        super().add_process(RdtPlacement(placement.clos), process)


class TakesAnyProcess(ReferenceRdtManager):
    """Writes the pid without looking whose it is by now."""

    def add_process(self, placement: RdtPlacement, process: ProcessHandle) -> None:
        for path in filter(None, (placement.clos, placement.monitoring)):
            self.write(f"{path}/tasks", f"{process.pid}\n")


class WritesLineByLine(ReferenceRdtManager):
    """Writes each line by itself, so that a refusal leaves half of them."""

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        for line in combined(request.schemata):
            if not request.clos_id:
                self.write(f"{placement.clos}/schemata", f"{line}\n")


class SwallowsErrors(ReferenceRdtManager):
    """Does its best."""

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        with suppress(CorelaunchError):
            super().set(placement, request)


class ZerosForGone(ReferenceRdtManager):
    """Has figures for everything."""

    def stats(self, placement: RdtPlacement) -> Mapping[str, Any]:
        with suppress(CorelaunchError):
            return super().stats(placement)
        return {"llc_occupancy_bytes": 0}


class RemembersInMemory(ReferenceRdtManager):
    """Knows what it made only in the process that made it: runc's delete left every CLOS behind so."""

    def __init__(self, files: Any) -> None:
        super().__init__(files)
        self.made: set[str] = set()

    def make(self, kind: str, path: str, ctx: LaunchContext, schemata: Sequence[str] = ()) -> None:
        super().make(kind, path, ctx, schemata)
        self.made.add(path)

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, [effect for effect in effects if effect.args["path"] in self.made])


class DestroysByPlacement(ReferenceRdtManager):
    """Removes whatever is in its place."""

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
        for path in filter(None, (placement.monitoring, placement.clos)):
            with suppress(FileNotFoundError):
                self.files.rmdir(path)


class DestroysUsed(ReferenceRdtManager):
    """Does not look whether others have joined."""

    def stays(self, placement: RdtPlacement, effect: Effect) -> bool:
        return False


class FailsWhenGone(ReferenceRdtManager):
    """Is surprised by what is gone already."""

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if not os.path.isdir(effect.args["path"]):
                raise KernelError("no such group", where=effect.args["path"], errno=2)
        super().destroy(placement, effects)


class LeaksDescriptors(ReferenceRdtManager):
    """Keeps the group open."""

    def make(self, kind: str, path: str, ctx: LaunchContext, schemata: Sequence[str] = ()) -> None:
        super().make(kind, path, ctx, schemata)
        os.open(path, os.O_RDONLY | os.O_DIRECTORY)
