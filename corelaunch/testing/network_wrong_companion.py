"""Network strategies that are wrong on purpose about their program; see network_wrong.py."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence

from corelaunch.api import Effect, LaunchContext, NetworkPlacement, ProcessHandle, start_time

from .network_reference_companion import ReferenceCompanion


class OutlivesTheContainer(ReferenceCompanion):
    """A program that nobody ends when the container's process has ended by itself."""

    def start(self, process: ProcessHandle, ctx: LaunchContext, announce: Callable[[int, int], object]) -> None:
        me = ProcessHandle(os.getppid(), start_time(os.getppid()))
        super().start(me, ctx, announce)


class ForgetsTheProgram(ReferenceCompanion):
    """Its destroy ends nothing: the container's end will do that."""

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, [effect for effect in effects if effect.kind != "companion"])


class ForgetsUnconfirmedPrograms(ReferenceCompanion):
    """Ends only what was confirmed: a kill -9 before that leaves the program."""

    def is_ours(self, effect: Effect) -> bool:
        return effect.done and super().is_ours(effect)


class KillsByNumber(ReferenceCompanion):
    """Kills whoever has the pid today."""

    def is_ours(self, effect: Effect) -> bool:
        return True


class RunsBeforeTheAnnouncement(ReferenceCompanion):
    """Starts the program, and tells of it then."""

    def start(self, process: ProcessHandle, ctx: LaunchContext, announce: Callable[[int, int], object]) -> None:
        sleeper = subprocess.Popen(["sleep", "30"], process_group=0)
        announce(sleeper.pid, start_time(sleeper.pid))
        super().start(process, ctx, lambda pid, start: None)
