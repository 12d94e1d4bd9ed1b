"""What can be asked of a container besides its life: to stand still, to take new limits, to say how it is.

A part of :class:`corelaunch.container.Container`; what carries it out is imported when it is asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .container import Container
    from .statistics import Statistics


class Control:
    """The operations of a container on its cgroup, its RDT group and its interfaces."""

    def pause(self: Container) -> None:  # type: ignore[misc]
        """Stop every process of it; returns when all stand still.

        Raises:
            WrongStatus: it is neither created nor running.
            DeadlineExceeded: a process does not stop (uninterruptible sleep); all go on.
        """
        from .pausing import pause

        pause(self._runtime, self)

    def resume(self: Container) -> None:  # type: ignore[misc]
        """Let every process of it go on.

        Raises:
            WrongStatus: it is not paused.
        """
        from .pausing import resume

        resume(self._runtime, self)

    def forget(self: Container, plugins: Sequence[str]) -> list[str]:  # type: ignore[misc]
        """Give up what these plugins made for it: the last resort, after which :meth:`delete` goes on without them.

        It is killed. No plugin is asked; what they made stays where it is, and nothing knows of it any more.

        Args:
            plugins: "KIND:NAME", as errors name them, or a name alone if no two kinds have it.

        Returns:
            what is left behind, one sentence for each thing.

        Raises:
            PluginError: it has no such plugin; nothing was done.
            CorelaunchError: a process of it does not die; nothing was forgotten.
        """
        from .forgetting import forget

        return forget(self, plugins)

    def update(  # type: ignore[misc]
        self: Container, resources: Mapping[str, Any], *, l3_cache_schema: str = "", mem_bw_schema: str = ""
    ) -> None:
        """Change its limits: all of those that are given, or none.

        Args:
            resources: an OCI ``linux.resources`` object; what is absent stays, and device rules always do.
            l3_cache_schema: line for Intel RDT's schemata, "" changes nothing.
            mem_bw_schema: likewise.

        Raises:
            ConfigError, KernelError, Unsupported: one cannot be set; the old ones are in force.
            WrongStatus: it is stopped.
        """
        from .updating import update

        update(self._runtime, self, resources, l3_cache_schema=l3_cache_schema, mem_bw_schema=mem_bw_schema)

    def processes(self: Container) -> list[int]:  # type: ignore[misc]
        """Pids, on the host, of all its processes; [] when it is stopped."""
        backend = self.cgroup()
        if backend is not None:
            pids: list[int] = backend.manager.processes(backend.placement)
            return pids
        return [self.pid] if self.pid else []

    def stats(self: Container) -> Statistics:  # type: ignore[misc]
        """What it uses and has used: its cgroup, its RDT group, its interfaces; of a stopped one what it has used.

        Raises:
            WrongStatus: it is still being created.
        """
        from .statistics import collect

        return collect(self._runtime, self)

    def watch(self: Container, interval: float) -> Iterator[Statistics | None]:  # type: ignore[misc]
        """Its statistics every ``interval`` seconds, and None each time that it ran out of memory, until it stops.

        Raises:
            WrongStatus: it is stopped already.
        """
        from .statistics import watch

        return watch(self._runtime, self, interval)
