"""Traced verbs as a trace-event file, which https://ui.perfetto.dev and chrome://tracing open.

A verb is a process there. Its steps are on a track of their own, so are the waits for corelaunch-init, and the calls of
each plugin. Complete events ("ph": "X") of one track must lie within each other or apart, which those of one verb do.
Reference: "Trace Event Format", the object format; times are in microseconds.
"""

from __future__ import annotations

from .trace_account import GAP, PLUGIN, WAIT, plugin_of, rows, total

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ..trace_file import TracedVerb
    from .trace_account import Row

#: Above every pid that the kernel gives (PID_MAX_LIMIT, 2^22): of tracks, and of a process whose pid came twice.
_FIRST_NUMBER = 1 << 22

_MAIN, _INIT = "steps", "corelaunch-init (waited for)"


def trace_events(verbs: Sequence[TracedVerb]) -> dict[str, Any]:
    """The content of the file."""
    numbers = iter(range(_FIRST_NUMBER, 2 * _FIRST_NUMBER))
    pids: set[int] = set()
    events: list[dict[str, Any]] = []
    begin = min((_beginning(verb, 0) for verb in verbs if verb.time), default=0)
    for place, verb in enumerate(verbs):
        pid = verb.pid if verb.pid and verb.pid not in pids else next(numbers)
        pids.add(pid)
        events += _of_verb(verb, pid, place, _beginning(verb, begin) - begin, numbers)
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _of_verb(verb: TracedVerb, pid: int, place: int, offset: int, numbers: Iterator[int]) -> Iterator[dict[str, Any]]:
    found = rows(verb)
    title = " ".join(part for part in ("corelaunch", verb.verb, verb.container_id) if part)
    yield _meta(pid, pid, "process_name", name=title)
    yield _meta(pid, pid, "process_sort_index", sort_index=place)
    tracks: dict[str, int] = {}
    for row in [None, *found]:
        track = _MAIN if row is None else _track(row)
        if track not in tracks:
            tracks[track] = next(numbers) if tracks else pid
            yield _meta(pid, tracks[track], "thread_name", name=track)
            yield _meta(pid, tracks[track], "thread_sort_index", sort_index=len(tracks))
        if row is None:
            arguments: dict[str, Any] = {"time": verb.time, "exit_code": verb.exit_code, "error": verb.error}
            arguments = {name: value for name, value in arguments.items() if value not in (None, "")}
            yield _event(title, "verb", pid, pid, offset, total(found), arguments)
        elif row.kind != GAP:
            arguments = {"own_us": row.own, "plugin": row.plugin, "failed": row.failed}
            arguments = {name: value for name, value in arguments.items() if value != ""}
            yield _event(row.name, row.kind, pid, tracks[track], offset + row.start, row.duration, arguments)


def _track(row: Row) -> str:
    """The track of a row. A step that a plugin times within its call is on the plugin's."""
    if row.kind == PLUGIN:
        return plugin_of(row)
    return _INIT if row.kind == WAIT else _MAIN


def _beginning(verb: TracedVerb, unknown: int) -> int:
    """When a verb's first row begins, in microseconds of the epoch; ``unknown`` if it does not say."""
    if not verb.time:
        return unknown
    from datetime import UTC, datetime, timedelta

    since = datetime.fromisoformat(verb.time) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) - (verb.before_us or 0)


def _meta(pid: int, tid: int, what: str, **arguments: Any) -> dict[str, Any]:
    return {"ph": "M", "pid": pid, "tid": tid, "ts": 0, "name": what, "args": arguments}


def _event(
    name: str, kind: str, pid: int, tid: int, start: int, duration: int, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    event = {"ph": "X", "pid": pid, "tid": tid, "ts": start, "dur": duration, "name": name, "cat": kind}
    return {**event, "args": dict(arguments)}
