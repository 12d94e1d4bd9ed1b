"""The init process: the child that makes a container's namespaces and becomes its first process."""

from __future__ import annotations

from ..errors import ConfigError
from ..kernel import procfs
from .parent_process import ParentProcess


class InitProcess(ParentProcess):
    """Parent side of ``create`` and ``run``; its plan has a hooks point and ends at the start gate."""

    hooks = True

    def open_namespaces(self) -> None:
        """Open the namespaces that are joined by path: what is looked at here is what will be joined.

        Raises:
            ConfigError: one is not there, or is not what the config says; ``where`` is its JSON path.
        """
        if self.plan.joins:
            from ..spec.joined import open_namespace

            fds: list[int] = []
            self._join_fds = fds  # closed by close(), however far we get
            for join in self.plan.joins:
                fds.append(open_namespace(join))
            self._joins = tuple(join.bit for join in self.plan.joins)

    def check_joined_maps(self) -> None:
        """Compare the maps of a user namespace that was joined with those of the config, where it has some.

        Engines give both. Read from stage 2, which is in it: nobody else need be.

        Raises:
            ConfigError: they differ, so what the config says of ids would not be true.
        """
        for name, expected in self.plan.joined_maps:
            found = procfs.read_id_map(self.pid, name)
            if sorted(found) != sorted(line.split() for line in expected.splitlines()):
                raise ConfigError(
                    "config.json",
                    where=f"linux.{name[:3]}Mappings",
                    why="not the mappings of the user namespace that is joined",
                    hint="leave them out: the namespace has its own",
                )

    def reach_hooks_point(self) -> None:
        """Serve the child until its mounts are done and it waits for the hooks (limits, prestart, createRuntime)."""
        self.serve("HOOKS_REACHED")
        self.end_sources()

    def leave_hooks_point(self) -> None:
        """Let it go on: createContainer, pivot_root, masks, identity."""
        self.channel.send("HOOKS_DONE")
        self.channel.extra = self.plan.hook_seconds()[0]

    def reach_ready_point(self) -> None:
        """Serve the child until everything up to READY is done."""
        self.serve("READY")
        self.channel.extra = 0

    def leave_ready_point(self) -> None:
        """Let it go on to its start gate, and wait for the end of sync: from there on it waits for ``start``."""
        self.channel.send("RUN")
        self.serve("")
