"""The trace of one verb of the command line. Imported only by a verb that is traced.

More than :class:`corelaunch.trace.Trace` knows: which step is within which, which failed, what is under way, how long
the child was waited for, and whose trace it is.
"""

from __future__ import annotations

import time

from .trace import CHILD, LIMIT, Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any


class VerbTrace(Trace):
    """The trace of a verb, from the moment that its command line was read. For one thread.

    Attributes:
        verb: the verb.
        container_id: the container that it is about, "" if there is none, or not one.
        entries: its steps, in order of their beginning; the oldest half is forgotten when there are LIMIT.
        forgotten: how many these were.
        exit_code: of the verb; None as long as it is not known.
        error: its error line, "" if it did not fail.
    """

    __slots__ = ("_under_way", "container_id", "entries", "error", "exit_code", "forgotten", "verb")

    def __init__(self, verb: str) -> None:
        super().__init__()
        self.verb = verb
        self.container_id = ""
        self.entries: list[VerbStep] = []
        self.forgotten = 0
        self.exit_code: int | None = None
        self.error = ""
        self._under_way: list[VerbStep] = []

    def concern(self, container_id: str) -> None:
        """Say which container it is about."""
        self.container_id = container_id

    def step(self, name: str, plugin: str = "") -> Any:
        """As :meth:`Trace.step`. A step just within one of the same name and plugin is that one.

        (A backend's method is a step of the launch, which knows which of several networks it is for, and a call that
        the guard sees.)
        """
        under_way = self._under_way
        if under_way and plugin and under_way[-1].name == name and f"{under_way[-1].plugin}:".startswith(f"{plugin}:"):
            return _NOTHING
        return VerbStep(self, name, plugin, len(under_way))

    def follow(self, channel: Any) -> None:
        """Make a step of each wait for a message of the child; its name ends with the message that came."""
        receive = channel.receive

        def timed() -> Any:
            step = self.step(CHILD)
            with step:
                name, message = receive()
                step.name = f"{CHILD}: {name or 'end of sync'}"
                return name, message

        channel.receive = timed

    def insert(self, name: str, start: int, place: int) -> None:
        """Take in a step that ends now; within a plugin's call it is the plugin's.

        Args:
            name: its name.
            start: when it began.
            place: how many entries there were then; those since are within it.
        """
        plugin = self._under_way[-1].plugin if self._under_way else ""
        step = VerbStep(self, name, plugin, len(self._under_way))
        step.start, step.end = start, time.monotonic_ns()
        for inner in self.entries[place:]:
            inner.depth += 1
        self.entries.insert(place, step)

    def begin(self, step: VerbStep) -> None:
        """Take in a step that begins."""
        if len(self.entries) >= LIMIT:
            kept = [entry for entry in self.entries[: LIMIT // 2] if not entry.end]
            self.forgotten += LIMIT // 2 - len(kept)
            self.entries[: LIMIT // 2] = kept
        self.entries.append(step)
        self._under_way.append(step)

    def finish(self, step: VerbStep) -> None:
        """Take in that the innermost step has ended."""
        self._under_way.remove(step)


class VerbStep:
    """One step of a verb.

    Attributes:
        name, plugin: as in :meth:`Trace.step`.
        start, end: in nanoseconds of CLOCK_MONOTONIC; the end is 0 as long as it is under way.
        depth: how many steps it is within.
        failed: class of the exception that ended it, "" if none did.
        number: of who keeps a record, 0 if nobody does.
    """

    __slots__ = ("_trace", "depth", "end", "failed", "name", "number", "plugin", "start")

    def __init__(self, trace: VerbTrace, name: str, plugin: str, depth: int) -> None:
        self._trace = trace
        self.name = name
        self.plugin = plugin
        self.depth = depth
        self.start = self.end = self.number = 0
        self.failed = ""

    def __enter__(self) -> None:
        self.start = time.monotonic_ns()
        self._trace.begin(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.end = time.monotonic_ns()
        if kind is not None:
            self.failed = kind.__name__
        self._trace.finish(self)


class _Nothing:
    """A context manager that does nothing."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


_NOTHING = _Nothing()
