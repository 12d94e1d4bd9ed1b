"""Where the time of a verb went: one entry per launch step and per plugin call, written as JSON lines."""

from __future__ import annotations

import os
import time

from . import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


#: Steps that a trace keeps: a verb makes some thirty, and a process that launches for weeks must not grow.
LIMIT = 1024


class Trace:
    """Collects steps. Costs two clock reads a step; nothing is written before :meth:`write`.

    Attributes:
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

    def write(self, path: str) -> None:
        """Append one JSON object per step: step, plugin, start_us (after the origin), duration_us."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            for name, plugin, start, duration in self.steps:
                entry = {
                    "step": name,
                    "plugin": plugin,
                    "start_us": (start - self.origin) // 1000,
                    "duration_us": duration // 1000,
                }
                os.write(fd, (jsontext.dumps(entry) + "\n").encode())
        finally:
            os.close(fd)


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
