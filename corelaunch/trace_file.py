"""The file of ``--trace``: a JSON object a line for each step, appended; several verbs may write to one file at once.

Members of a line: ``step``, ``plugin`` ("" for core), ``start_us`` (after the beginning of the verb), ``duration_us``;
``pid`` and ``time`` (RFC 3339, UTC) of the verb, which together name it.

Lines of a command's verb also have ``verb``, ``id`` (the container), ``depth`` (how many steps it is within), and
``failed``, the exception that ended the step, if one did. They come in order of beginning; the first is the verb's own,
with ``monotonic_us`` (CLOCK_MONOTONIC at its beginning), ``exit_code``, ``error`` and ``forgotten`` (steps that a verb
which ran for long has dropped), and if ``corelaunch trace`` has written it ``before_us``, ``after_us`` and ``cpu_us``,
which only another process can measure (see :class:`TracedVerb`). Lines of programs that use the API come in order of
ending, and so do those of older releases, which have the first four members.
"""

from __future__ import annotations

import os
import time

from . import jsontext
from .errors import CorelaunchError, KernelError, one_line
from .records import Record
from .trace import Trace
from .verb_trace import VerbTrace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, BinaryIO

#: Longest line, in bytes, that may be one of ours: an error line is at most a part of it.
_LINE_LIMIT = 65536


class TracedStep(Record):
    """One step. Times are in microseconds after the beginning of its verb."""

    name: str
    plugin: str
    start_us: int
    duration_us: int
    depth: int = 0
    failed: str = ""


class TracedVerb(Record):
    """What is known of one verb.

    Attributes:
        verb, container_id: "" if it does not say: an older release, or a program that uses the API.
        pid, time: of the process, and when it began; 0 and "" of an older release.
        steps: in order of their beginning.
        duration_us: from its beginning to the writing of its trace; None: not known.
        monotonic_us: its beginning by CLOCK_MONOTONIC; None: not known.
        exit_code, error: how it ended; None: not known.
        forgotten: how many steps it has dropped.
        before_us, after_us: from the start of its process to its beginning, and from the writing of the trace to the
            end of the process, as its tracer saw it; None: nobody has measured it.
        cpu_us: CPU time of the process and of those that it waited for; None: not known.
    """

    verb: str
    container_id: str
    pid: int
    time: str
    steps: Sequence[TracedStep]
    duration_us: int | None = None
    monotonic_us: int | None = None
    exit_code: int | None = None
    error: str = ""
    forgotten: int = 0
    before_us: int | None = None
    after_us: int | None = None
    cpu_us: int | None = None


def append(path: str, lines: Iterable[Mapping[str, Any]]) -> None:
    """Append lines to a file, at once: verbs that write to one file at the same time do not mix.

    Raises:
        OSError: it cannot be written.
    """
    data = b"".join(map(encoded, lines))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)


def encoded(line: Mapping[str, Any]) -> bytes:
    """A line as it is written; a byte of a name that is no UTF-8 is the escape ``\\udcXX``."""
    text = f"{jsontext.dumps(line)}\n"
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Other halves of surrogate pairs are no name of anybody; who reads the line would refuse all of it.
        kept = (c if c < "\ud800" or "\udc80" <= c <= "\udcff" or c > "\udfff" else "?" for c in text)
        return "".join(kept).encode("utf-8", "backslashreplace")


def lines_of(trace: Trace) -> Iterator[Mapping[str, Any]]:
    """The lines of a trace."""
    if isinstance(trace, VerbTrace):
        yield from _lines(_traced(trace), {})
        return
    whose = {"pid": os.getpid(), "time": time_of(trace.origin)}
    for name, plugin, start, duration in trace.steps:
        begin, length = _span(trace, start, start + duration)
        yield {"step": name, "plugin": plugin, "start_us": begin, "duration_us": length, **whose}


def lines_of_traced(verb: TracedVerb) -> Iterator[Mapping[str, Any]]:
    """The lines of a verb that another process has traced."""
    return _lines(verb, {"before_us": verb.before_us, "after_us": verb.after_us, "cpu_us": verb.cpu_us})


def _lines(verb: TracedVerb, measured: Mapping[str, int | None]) -> Iterator[Mapping[str, Any]]:
    whose = {"verb": verb.verb, "id": verb.container_id, "pid": verb.pid, "time": verb.time}
    yield {
        **{"step": verb.verb, "plugin": "", "start_us": 0, "duration_us": verb.duration_us, "depth": 0, **whose},
        **{"monotonic_us": verb.monotonic_us, "exit_code": verb.exit_code, "error": verb.error},
        **{"forgotten": verb.forgotten, **measured},
    }
    for step in verb.steps:
        line = {"step": step.name, "plugin": step.plugin, "start_us": step.start_us, "duration_us": step.duration_us}
        line |= {"depth": step.depth + 1, **whose}
        yield {**line, "failed": step.failed} if step.failed else line


def _traced(trace: VerbTrace) -> TracedVerb:
    """A verb of this process as it is now."""
    now = time.monotonic_ns()
    return TracedVerb(
        trace.verb,
        trace.container_id,
        os.getpid(),
        time_of(trace.origin),
        [
            TracedStep(step.name, step.plugin, *_span(trace, step.start, step.end or now), step.depth, step.failed)
            for step in trace.entries
        ],
        duration_us=_span(trace, trace.origin, now)[1],
        monotonic_us=trace.origin // 1000,
        exit_code=trace.exit_code,
        error=one_line(trace.error),
        forgotten=trace.forgotten,
    )


def _span(trace: Trace, start: int, end: int) -> tuple[int, int]:
    """Beginning and length in microseconds. Both ends are rounded down: what is within a step stays within it."""
    begin = (start - trace.origin) // 1000
    return begin, (end - trace.origin) // 1000 - begin


def time_of(monotonic: int) -> str:
    """A time of CLOCK_MONOTONIC, in nanoseconds, as the file has it."""
    seconds, rest = divmod(time.time_ns() - (time.monotonic_ns() - monotonic), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1000:06d}Z"


def read(path: str) -> list[TracedVerb]:
    """The verbs whose traces are in a file, in order of their beginning; those that do not say when come first.

    Raises:
        CorelaunchError: a line is none of a trace; ``where`` is FILE:LINE.
        KernelError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            found = verbs(file, path)
    except OSError as error:
        raise KernelError.of("cannot read the trace", error, where=path) from None
    if not found:
        raise CorelaunchError("not a trace", where=path, why="it is empty")
    return found


def verbs(file: BinaryIO, path: str) -> list[TracedVerb]:
    """As :func:`read`, of an open file; an empty one has none."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    older = latest = number = 0
    while text := file.readline(_LINE_LIMIT + 1):
        number += 1
        line = _checked(text, f"{path}:{number}")
        key: tuple[Any, ...] = (line["pid"], line["time"], line["verb"], line["id"])
        if not line["pid"]:
            # In order of ending: a clock that goes back is that of another verb.
            end = line["start_us"] + line["duration_us"]
            older += end < latest
            latest = end
            key = (older,)
        found.setdefault(key, []).append(line)
    return sorted((_verb(lines) for lines in found.values()), key=lambda verb: verb.time)


#: Member -> type, and what a line has that does not have it; None: it must.
_MEMBERS: Mapping[str, tuple[type[str] | type[int], Any]] = {
    "step": (str, None),
    "plugin": (str, None),
    "start_us": (int, None),
    "duration_us": (int, None),
    "depth": (int, -1),
    "verb": (str, ""),
    "id": (str, ""),
    "pid": (int, 0),
    "time": (str, ""),
    "failed": (str, ""),
    "monotonic_us": (int, -1),
    "exit_code": (int, -1),
    "error": (str, ""),
    "forgotten": (int, 0),
    "before_us": (int, -1),
    "after_us": (int, -1),
    "cpu_us": (int, -1),
}
#: What a file says may be anything; sums of these can still be drawn.
_GREATEST = 2**63
_WORDS = {str: "a string", int: "a number from 0 to 2^63 - 1"}


def _checked(text: bytes, where: str) -> dict[str, Any]:
    if not text.endswith(b"\n"):
        why = f"longer than {_LINE_LIMIT} bytes" if len(text) > _LINE_LIMIT else "it is cut off"
        raise _no_trace(where, f"the line has no end: {why}")
    try:
        line = jsontext.loads(text, undecodable=True)
    except CorelaunchError as error:
        raise _no_trace(where, error.why or error.what) from None
    if not isinstance(line, dict):
        raise _no_trace(where, "no JSON object")
    checked: dict[str, Any] = {}
    for name, (kind, default) in _MEMBERS.items():
        value = line.get(name)
        if value is None and default is not None:
            value = default
        elif value is None:
            raise _no_trace(where, f'"{name}" is missing')
        elif type(value) is not kind or (isinstance(value, int) and not 0 <= value < _GREATEST):
            raise _no_trace(where, f'"{name}" is not {_WORDS[kind]}')
        checked[name] = value
    if checked["time"] and not _is_time(checked["time"]):
        raise _no_trace(where, '"time" is no time of RFC 3339 in UTC')
    return checked


def _is_time(text: str) -> bool:
    from datetime import datetime

    try:
        return text.endswith("Z") and datetime.fromisoformat(text).utcoffset() is not None
    except ValueError:
        return False


def _no_trace(where: str, why: str) -> CorelaunchError:
    hint = "a trace is what --trace FILE has written; remove the line if the rest is good"
    return CorelaunchError("not a trace", where=where, why=why, hint=hint)


def _verb(lines: Sequence[Mapping[str, Any]]) -> TracedVerb:
    own = next((line for line in lines if line["monotonic_us"] >= 0), None)
    if any(line["depth"] < 0 for line in lines):
        steps = _nested(lines)
    else:
        steps = [_step(line, line["depth"] - 1) for line in lines if line is not own]
    first = lines[0]
    verb = TracedVerb(first["verb"], first["id"], first["pid"], first["time"], steps)
    if own is None:
        return verb
    filled: TracedVerb = verb.replace(
        duration_us=own["duration_us"],
        monotonic_us=own["monotonic_us"],
        **{name: own[name] for name in ("exit_code", "before_us", "after_us", "cpu_us") if own[name] >= 0},
        error=own["error"],
        forgotten=own["forgotten"],
    )
    return filled


def _step(line: Mapping[str, Any], depth: int) -> TracedStep:
    return TracedStep(
        line["step"], line["plugin"], line["start_us"], line["duration_us"], max(depth, 0), line["failed"]
    )


def _nested(lines: Sequence[Mapping[str, Any]]) -> list[TracedStep]:
    """Steps in order of beginning, with their depths, from lines in order of ending: what began later is within."""
    roots: list[list[TracedStep]] = []  # each with what is within it
    for line in lines:
        step = _step(line, 0)
        inner: list[TracedStep] = []
        while roots and _is_within(roots[-1][0], step):
            inner = [within.replace(depth=within.depth + 1) for within in roots.pop()] + inner
        roots.append([step, *inner])
    return [step for root in roots for step in root]


def _is_within(one: TracedStep, other: TracedStep) -> bool:
    if one.start_us == other.start_us and not one.duration_us and not one.plugin:
        return False  # ended when the other began
    return one.start_us >= other.start_us
