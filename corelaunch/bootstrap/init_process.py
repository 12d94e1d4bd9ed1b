"""The init process: the child that makes a container's namespaces and becomes its first process."""

from __future__ import annotations

from .parent_process import ParentProcess


class InitProcess(ParentProcess):
    """Parent side of ``create`` and ``run``; its plan has a hooks point and ends at the start gate."""

    hooks = True

    def reach_hooks_point(self) -> None:
        """Serve the child until its mounts are done and it waits for the hooks (limits, prestart, createRuntime)."""
        self.serve("HOOKS_REACHED")

    def leave_hooks_point(self) -> None:
        """Let it go on: createContainer, pivot_root, masks, identity."""
        self.channel.send("HOOKS_DONE")

    def reach_ready_point(self) -> None:
        """Serve the child until everything up to READY is done."""
        self.serve("READY")

    def leave_ready_point(self) -> None:
        """Let it go on to its start gate, and wait for the end of sync: from there on it waits for ``start``."""
        self.channel.send("RUN")
        self.serve("")
