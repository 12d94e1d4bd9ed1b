"""Where the time of a verb went: one entry per launch step and per plugin call, written as JSON lines."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Any

    from .api import LaunchStep


#: Steps that a trace keeps: a verb makes some thirty, and a process that launches for weeks must not grow.
LIMIT = 1024

#: The step in which corelaunch-init is waited for; behind a colon stands for what: a message, or its execve.
CHILD = "wait for child"
#: The step in which the container's own process runs, and a verb in the foreground has nothing to do but wait.
PROCESS = "process"
#: Begins the name of a step in which modules are imported, which then says which.
IMPORT = "import"


class Trace:
    """Collects steps. Costs two clock reads a step; nothing is written before :meth:`write`.

    Attributes:
        origin: when it began, in nanoseconds of CLOCK_MONOTONIC.
        steps: (name, plugin or "", start and duration in nanoseconds of CLOCK_MONOTONIC), in order of ending; the
            oldest half is forgotten when there are LIMIT.
    """

    __slots__ = ("origin", "steps")

    def __init__(self) -> None:
        self.origin = time.monotonic_ns()
        self.steps: list[tuple[str, str, int, int]] = []

    def step(self, name: str, plugin: str = "") -> Step:
        """A context manager that times its body."""
        return Step(self, name, plugin)

    def follow(self, channel: Any) -> None:
        """Time the waits for a child, too, whose ``bootstrap.channel.Channel`` this is; only a verb's trace does."""

    def told(self) -> Sequence[LaunchStep]:
        """The steps that lifecycle plugins are told of: none; see ``corelaunch.trace_part``."""
        return ()

    def write(self, path: str) -> None:
        """Append one JSON object per step to a file; see ``corelaunch.trace_file``.

        Raises:
            OSError: it cannot be written.
        """
        from .trace_file import append, lines_of

        append(path, lines_of(self))


class Step:
    """One timed step; see :meth:`Trace.step`."""

    __slots__ = ("_name", "_plugin", "_start", "_trace")

    def __init__(self, trace: Trace, name: str, plugin: str) -> None:
        self._trace = trace
        self._name = name
        self._plugin = plugin
        self._start = 0

    def __enter__(self) -> None:
        self._start = time.monotonic_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        steps = self._trace.steps
        if len(steps) >= LIMIT:
            del steps[: LIMIT // 2]
        steps.append((self._name, self._plugin, self._start, time.monotonic_ns() - self._start))
