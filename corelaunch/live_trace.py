"""A verb's trace that is on record while it grows, for a tracer that outlives the verb: ``corelaunch trace``.

A verb that is killed, as by the deadline of a plugin's call, cannot write its trace any more; what hung is then known
by this. One line for the verb, and one for each beginning and each end of a step, numbered, because a step may get its
name at its end. It is between one release and itself, and no format of anybody else's.
"""

from __future__ import annotations

import os

from . import jsontext
from .trace_file import TracedStep, TracedVerb, encoded, time_of
from .verb_trace import VerbTrace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .verb_trace import VerbStep

#: What a step "failed" with that was under way when the verb was killed.
DID_NOT_END = "did not end"
#: Steps on record; a verb may run for weeks.
_MOST = 16384


class LiveTrace(VerbTrace):
    """A trace that writes each step as it begins and ends.

    Args:
        verb: the verb.
        path: of the tracer's file; it is there.

    Raises:
        OSError: it cannot be opened.
    """

    __slots__ = ("_fd", "_number")

    def __init__(self, verb: str, path: str) -> None:
        super().__init__(verb)
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._number = 0
        self._tell(verb=verb, pid=os.getpid(), time=time_of(self.origin), origin=self.origin)

    def concern(self, container_id: str) -> None:
        """As :meth:`VerbTrace.concern`."""
        super().concern(container_id)
        self._tell(id=container_id)

    def insert(self, name: str, start: int, place: int) -> None:
        """As :meth:`VerbTrace.insert`."""
        super().insert(name, start, place)
        self._tell_begin(self.entries[place])
        self._tell_end(self.entries[place])

    def begin(self, step: VerbStep) -> None:
        """As :meth:`VerbTrace.begin`."""
        super().begin(step)
        self._tell_begin(step)

    def finish(self, step: VerbStep) -> None:
        """As :meth:`VerbTrace.finish`."""
        super().finish(step)
        self._tell_end(step)

    def _tell_begin(self, step: VerbStep) -> None:
        if self._number < _MOST:
            self._number += 1
            step.number = self._number
            self._tell(n=step.number, step=step.name, plugin=step.plugin, start=step.start)

    def _tell_end(self, step: VerbStep) -> None:
        if step.number:
            self._tell(n=step.number, step=step.name, end=step.end, failed=step.failed)

    def _tell(self, **members: Any) -> None:
        os.write(self._fd, encoded(members))


def recovered(record: bytes, end: int) -> TracedVerb | None:
    """What is on record of a verb that has not written its trace; None if it has refused its command line.

    Args:
        record: the tracer's file.
        end: when the verb ended, in nanoseconds of CLOCK_MONOTONIC.
    """
    about: dict[str, Any] = {}
    steps: dict[int, dict[str, Any]] = {}
    for line in record.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break  # killed while it wrote
        members = jsontext.loads(line, undecodable=True)
        known = steps.setdefault(members["n"], {"end": end, "failed": DID_NOT_END}) if "n" in members else about
        known.update(members)
    if not about or not steps:
        return None
    origin = about["origin"]
    return TracedVerb(
        about["verb"],
        about.get("id", ""),
        about["pid"],
        about["time"],
        _nested(steps.values(), origin),
        duration_us=(end - origin) // 1000,
        monotonic_us=origin // 1000,
    )


def _nested(steps: Iterable[dict[str, Any]], origin: int) -> list[TracedStep]:
    """Steps in order of their beginning, with their depths: one that begins before the end of another is within it."""
    found = []
    around: list[int] = []  # ends of the steps that are open
    for step in sorted(steps, key=lambda step: (step["start"], step["n"])):
        while around and around[-1] <= step["start"]:
            around.pop()
        begin = (step["start"] - origin) // 1000
        duration = (step["end"] - origin) // 1000 - begin
        found.append(TracedStep(step["step"], step["plugin"], begin, duration, len(around), step["failed"]))
        around.append(step["end"])
    return found
