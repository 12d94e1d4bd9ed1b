"""The reference of a strategy with a program: the pair of network_reference.py, and beside it a ``sleep``."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import os
import time
from _signal import SIGKILL
from collections.abc import Callable, Sequence

from corelaunch.api import Effect, LaunchContext, NetworkPlacement, ProcessHandle, start_companion, start_time

from .network_host import is_running
from .network_reference import ReferenceVeth

#: Says that it is ready on descriptor 6, and stays.
_PROGRAM = ("sh", "-c", "echo ready >&6; exec 6>&-; exec sleep 1000")


class ReferenceCompanion(ReferenceVeth):
    """Claims ``companion`` beside the features of a pair."""

    features = ReferenceVeth.features | {"companion"}

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        super().create(placement, process, ctx)
        announced: list[Effect] = []

        def announce(pid: int, start: int) -> None:
            name = f"sleep of {placement.container_name}"
            announced.append(ctx.intend("companion", name, absent=True, pid=pid, start_time=start))

        self.start(process, ctx, announce)
        ctx.done(announced[0])

    def start(self, process: ProcessHandle, ctx: LaunchContext, announce: Callable[[int, int], object]) -> None:
        """Start the program."""
        read, write = os.pipe()
        try:
            environment = {"PATH": "/usr/bin:/bin"}
            start_companion(process, "/bin/sh", _PROGRAM, environment, [write], read, ctx.deadline, announce)
        finally:
            os.close(read)
            os.close(write)

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if effect.kind == "companion" and self.is_ours(effect):
                self.end(effect.args["pid"])
        super().destroy(placement, [effect for effect in effects if effect.kind != "companion"])

    def is_ours(self, effect: Effect) -> bool:
        """Whether the process of an effect is still that process."""
        started: int = effect.args["start_time"]
        return start_time(effect.args["pid"]) == started

    def end(self, leader: int) -> None:
        """Kill a process group, and wait until its leader has ended."""
        try:
            os.killpg(leader, SIGKILL)
        except ProcessLookupError:
            return
        while is_running(leader):
            time.sleep(0.005)
        try:
            os.waitpid(leader, os.WNOHANG)
        except ChildProcessError:
            return  # it is another's child
