"""More deliberately wrong RDT managers: what belongs to others, long ids, threads, and figures (see rdt_wrong)."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from corelaunch.api import ConfigError, Effect, LaunchContext, RdtPlacement, RdtRequest

from .rdt_reference import ReferenceRdtManager, combined


class SetsEverything(ReferenceRdtManager):
    """Gives resources that nobody has named what the whole machine has."""

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        lines = [line.strip() for line in self.files.read(f"{self.files.root()}/schemata").splitlines()]
        named = {line.partition(":")[0] for line in request.schemata}
        more = [line for line in lines if line.partition(":")[0] not in named and request.schemata]
        super().set(placement, request.replace(schemata=[*more, *request.schemata]))


class WritesNothing(ReferenceRdtManager):
    """Writes an empty line where nothing was asked for, which the kernel refuses."""

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        if request.clos_id:
            super().set(placement, request)
        else:
            lines = combined(request.schemata) or [""]
            self.write(f"{placement.clos}/schemata", "".join(f"{line}\n" for line in lines))


class TakesAllMonitoringAlong(ReferenceRdtManager):
    """Removes all monitoring groups of a CLOS with the first container that goes."""

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, effects)
        directory = os.path.dirname(placement.monitoring)
        for name in self.files.children(directory) if directory else ():
            self.files.rmdir(f"{directory}/{name}")


class MonitorsTheClass(ReferenceRdtManager):
    """One monitoring group for all containers of a closID."""

    def place(self, request: RdtRequest) -> RdtPlacement:
        placement = super().place(request)
        shared: RdtPlacement = placement.replace(monitoring=f"{placement.clos}/mon_groups/containers")
        return shared if placement.monitoring and request.clos_id else placement


class TakesMonitoringOver(ReferenceRdtManager):
    """Uses a monitoring group that it finds, and says that it was its own."""

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        if placement.monitoring and os.path.isdir(placement.monitoring):
            super().create(placement.replace(monitoring=""), request, ctx)
            found, path = os.stat(placement.monitoring), placement.monitoring
            ctx.done(ctx.intend("monitoring", path, absent=False, path=path), dev=found.st_dev, ino=found.st_ino)
        else:
            super().create(placement, request, ctx)


class RemovesByPrefix(ReferenceRdtManager):
    """Removes what begins like its own."""

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, effects)
        root, name = os.path.split(placement.clos)
        for other in self.files.children(root):
            if other.startswith(name) and other != name and effects:
                self.files.rmdir(f"{root}/{other}")


class KillsWhoIsLeft(ReferenceRdtManager):
    """Kills whoever is in its CLOS, as one would with a cgroup."""

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
        if effects and not placement.extra["shared"]:
            with suppress(OSError):
                for pid in self.files.read(f"{placement.clos}/tasks").split():
                    os.kill(int(pid), 9)
        super().destroy(placement, effects)


class CutsNames(ReferenceRdtManager):
    """The first letters of the id."""

    def place(self, request: RdtRequest) -> RdtPlacement:
        placement = super().place(request)
        name = request.container_id[:40]
        made: RdtPlacement = placement.replace(clos=f"{self.files.root()}/{name}")
        return placement if request.clos_id or placement.monitoring else made


class StatsOfTheMachine(ReferenceRdtManager):
    """Figures of the root group."""

    def stats(self, placement: RdtPlacement) -> Mapping[str, Any]:
        super().stats(placement)
        return super().stats(placement.replace(clos=self.files.root()))


class FiguresAreSets(ReferenceRdtManager):
    """Figures that no JSON can hold."""

    def stats(self, placement: RdtPlacement) -> Mapping[str, Any]:
        return {name: set(values) for name, values in super().stats(placement).items()}


class ComparesCase(ReferenceRdtManager):
    """Takes ``FFF`` for something else than ``fff``."""

    def require_same(self, placement: RdtPlacement, request: RdtRequest) -> None:
        if any(line.partition(":")[2] != line.partition(":")[2].lower() for line in request.schemata):
            raise ConfigError("cannot share CLOS", where=placement.clos, why="it has other schemata")
        super().require_same(placement, request)


class OneAtATime(ReferenceRdtManager):
    """Notes in itself what it is about, while another thread does, too."""

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        self.current = placement
        time.sleep(0.002)  # a look at the host
        super().create(self.current, request, ctx)


class TidiesItsRequest(ReferenceRdtManager):
    """Takes out of the caller's request what it has done."""

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        super().set(placement, request)
        if isinstance(request.schemata, list):
            request.schemata.clear()
