"""A trace that is on record while it grows: of a verb that was killed, all that it did is known, and what it was at."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from corelaunch import live_trace
from corelaunch.errors import ConfigError
from corelaunch.live_trace import DID_NOT_END, LiveTrace, recovered
from corelaunch.trace_file import TracedVerb, append, lines_of_traced, read


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record"
    path.touch()
    return path


def shape(verb: TracedVerb | None) -> list[tuple[str, str, int, str]]:
    assert verb is not None
    return [(step.name, step.plugin, step.depth, step.failed) for step in verb.steps]


def killed(record: Path) -> tuple[LiveTrace, TracedVerb | None]:
    """A verb that was killed in a plugin's call, and what is known of it."""
    trace = LiveTrace("create", str(record))
    trace.concern("one")
    trace.insert("command line", trace.origin, 0)
    with trace.step("prepare"):
        with trace.step("import", "lifecycle:slow"):
            trace.insert("import slow", time.monotonic_ns(), len(trace.entries))
    with pytest.raises(ConfigError), trace.step("look"):
        raise ConfigError("no")
    trace.step("hooks point").__enter__()
    wait = trace.step("wait for child")
    with wait:
        wait.name = "wait for child: HOOKS_REACHED"
    trace.step("moment 'hooks point'", "lifecycle:slow").__enter__()
    return trace, recovered(record.read_bytes(), trace.entries[-1].start + 5_000_000)


def test_an_id_that_is_no_utf_8_is_known_as_it_was_given(record: Path) -> None:
    trace = LiveTrace("create", str(record))
    trace.concern("a\udcffb")
    trace.insert("command line", trace.origin, 0)
    verb = recovered(record.read_bytes(), time.monotonic_ns())
    assert verb is not None
    assert verb.container_id == "a\udcffb"


def test_what_was_under_way_did_not_end_and_all_that_was_before_is_known(record: Path) -> None:
    trace, verb = killed(record)
    assert shape(verb) == [
        ("command line", "", 0, ""),
        ("prepare", "", 0, ""),
        ("import", "lifecycle:slow", 1, ""),
        ("import slow", "lifecycle:slow", 2, ""),
        ("look", "", 0, "ConfigError"),
        ("hooks point", "", 0, DID_NOT_END),
        ("wait for child: HOOKS_REACHED", "", 1, ""),
        ("moment 'hooks point'", "lifecycle:slow", 1, DID_NOT_END),
    ]
    assert verb is not None
    assert (verb.verb, verb.container_id, verb.monotonic_us) == ("create", "one", trace.origin // 1000)
    hung = verb.steps[-1]
    assert 4999 <= hung.duration_us <= 5001
    assert verb.duration_us == hung.start_us + hung.duration_us


def test_what_was_recovered_can_be_written_and_read(record: Path, tmp_path: Path) -> None:
    _, verb = killed(record)
    assert verb is not None
    append(str(tmp_path / "t"), lines_of_traced(verb))
    assert read(str(tmp_path / "t")) == [verb]


def test_a_record_may_end_within_a_line(record: Path) -> None:
    killed(record)
    data = record.read_bytes()
    for size in range(len(data)):
        verb = recovered(data[:size], 2**62)
        assert verb is None or verb.verb == "create"


def test_a_verb_that_refused_its_command_line_has_nothing_to_show(record: Path) -> None:
    LiveTrace("create", str(record))
    assert recovered(record.read_bytes(), 2**62) is None
    assert recovered(b"", 2**62) is None


def test_the_record_of_a_verb_that_runs_for_weeks_does_not_grow(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_trace, "_MOST", 3)
    trace = LiveTrace("events", str(record))
    for number in range(10):
        with trace.step(str(number)):
            pass
    assert [name for name, *_ in shape(recovered(record.read_bytes(), 2**62))] == ["0", "1", "2"]
