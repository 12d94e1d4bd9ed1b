"""The file of --trace: what is written is read again, and what is no trace is refused with the line that is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from corelaunch.errors import ChildError, ConfigError, CorelaunchError, KernelError
from corelaunch.trace import LIMIT, Trace
from corelaunch.trace_file import TracedVerb, append, lines_of_traced, read
from corelaunch.verb_trace import VerbTrace

OLD = '{"step":"%s","plugin":"","start_us":%d,"duration_us":%d}\n'


def traced(path: Path, verb: str = "create", container_id: str = "one") -> VerbTrace:
    """A verb's trace, written to a file."""
    trace = VerbTrace(verb)
    trace.container_id = container_id
    with trace.step("prepare"), trace.step("place", "cgroup_manager:mine"):
        pass
    with trace.step("spawn"):
        pass
    trace.exit_code = 0
    trace.write(str(path))
    return trace


def shape(verb: TracedVerb) -> list[tuple[str, str, int]]:
    return [(step.name, step.plugin, step.depth) for step in verb.steps]


def test_what_a_verb_has_written_is_read_again(tmp_path: Path) -> None:
    trace = traced(tmp_path / "t")
    (verb,) = read(str(tmp_path / "t"))
    assert (verb.verb, verb.container_id, verb.exit_code, verb.error) == ("create", "one", 0, "")
    assert verb.monotonic_us == trace.origin // 1000
    assert shape(verb) == [("prepare", "", 0), ("place", "cgroup_manager:mine", 1), ("spawn", "", 0)]
    outer, inner, _ = verb.steps
    assert outer.start_us <= inner.start_us
    assert inner.start_us + inner.duration_us <= outer.start_us + outer.duration_us
    assert verb.duration_us is not None
    assert outer.duration_us <= verb.duration_us


def test_every_line_has_the_members_of_older_releases(tmp_path: Path) -> None:
    traced(tmp_path / "t")
    for line in map(json.loads, (tmp_path / "t").read_text().splitlines()):
        assert [type(line[name]) for name in ("step", "plugin", "start_us", "duration_us")] == [str, str, int, int]


def test_verbs_that_were_appended_to_one_file_are_told_apart(tmp_path: Path) -> None:
    for verb in ("create", "start", "delete"):
        traced(tmp_path / "t", verb)
    traced(tmp_path / "t", "create", "two")
    found = read(str(tmp_path / "t"))
    assert [(verb.verb, verb.container_id) for verb in found] == [
        ("create", "one"),
        ("start", "one"),
        ("delete", "one"),
        ("create", "two"),
    ]
    assert all(shape(verb) == shape(found[0]) for verb in found)


def test_verbs_that_write_to_one_file_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    program = (
        "import sys; from corelaunch.verb_trace import VerbTrace\n"
        "trace = VerbTrace('run'); trace.container_id = sys.argv[2]\n"
        "for number in range(300):\n"
        "    with trace.step(f'{sys.argv[2]} {number}'): pass\n"
        "trace.exit_code = 0; sys.stdin.readline(); trace.write(sys.argv[1])"
    )
    path = str(tmp_path / "t")
    writers = [
        subprocess.Popen([sys.executable, "-c", program, path, f"c{n}"], stdin=subprocess.PIPE) for n in range(4)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    assert [writer.wait() for writer in writers] == [0] * 4
    lines = [json.loads(line)["id"] for line in (tmp_path / "t").read_text().splitlines()]
    assert len([1 for one, other in pairwise(lines) if one != other]) == 3, "each verb's lines are together"
    found = {verb.container_id: [step.name for step in verb.steps] for verb in read(path)}
    assert found == {f"c{n}": [f"c{n} {number}" for number in range(300)] for n in range(4)}


def test_an_id_that_is_no_utf_8_is_read_again_as_it_is_on_a_command_line(tmp_path: Path) -> None:
    ids = [os.fsdecode(b"a\xffb"), "a\\udcffb", os.fsdecode(b"\xf0\x9f")]
    for container_id in ids:
        traced(tmp_path / "t", container_id=container_id)
    assert [json.loads(line)["id"] for line in (tmp_path / "t").read_bytes().splitlines()][::4] == ids
    assert [verb.container_id for verb in read(str(tmp_path / "t"))] == ids


def test_half_of_a_surrogate_pair_that_a_plugin_names_spoils_no_trace(tmp_path: Path) -> None:
    trace = VerbTrace("create")
    trace.error = "no \ud83d\udc4d \ud83d\udcff"
    trace.write(str(tmp_path / "t"))
    (verb,) = read(str(tmp_path / "t"))
    assert verb.error == "no ?? ?\udcff"


def test_lines_of_several_verbs_that_are_mixed_all_the_same_are_sorted_out(tmp_path: Path) -> None:
    for verb in ("create", "start"):
        traced(tmp_path / verb, verb)
    both = zip((tmp_path / "create").read_text().splitlines(), (tmp_path / "start").read_text().splitlines())
    (tmp_path / "t").write_text("".join(f"{one}\n{other}\n" for one, other in both))
    assert [(verb.verb, len(verb.steps)) for verb in read(str(tmp_path / "t"))] == [("create", 3), ("start", 3)]


def test_a_trace_of_an_older_release_is_nested_by_its_times(tmp_path: Path) -> None:
    lines = [("prepare", 10, 5), ("create", 21, 4), ("cgroup create", 20, 6), ("rdt join", 26, 0), ("spawn", 26, 9)]
    (tmp_path / "t").write_text("".join(OLD % line for line in lines))
    (verb,) = read(str(tmp_path / "t"))
    assert (verb.verb, verb.pid, verb.time, verb.duration_us) == ("", 0, "", None)
    assert [(name, depth) for name, _, depth in shape(verb)] == [
        ("prepare", 0),
        ("cgroup create", 0),
        ("create", 1),
        ("rdt join", 0),
        ("spawn", 0),
    ]


def test_verbs_of_an_older_release_are_told_apart_by_their_clocks(tmp_path: Path) -> None:
    lines = [("prepare", 10, 5), ("spawn", 20, 9), ("start gate", 3, 4), ("undo", 2, 1)]
    (tmp_path / "t").write_text("".join(OLD % line for line in lines))
    assert [[step.name for step in verb.steps] for verb in read(str(tmp_path / "t"))] == [
        ["prepare", "spawn"],
        ["start gate"],
        ["undo"],
    ]


def test_the_trace_of_a_program_says_which_process_it_was(tmp_path: Path) -> None:
    trace = Trace()
    with trace.step("prepare"), trace.step("place", "cgroup_manager:mine"):
        pass
    trace.write(str(tmp_path / "t"))
    (verb,) = read(str(tmp_path / "t"))
    assert (verb.verb, verb.pid > 0, verb.time != "") == ("", True, True)
    assert shape(verb) == [("prepare", "", 0), ("place", "cgroup_manager:mine", 1)]


def line(**changes: Any) -> bytes:
    members = {"step": "a", "plugin": "", "start_us": 1, "duration_us": 1, **changes}
    return (json.dumps({name: value for name, value in members.items() if value != "left out"}) + "\n").encode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "it is empty"),
        (b"hello\n", "a value is missing"),
        (b"\n", "a value is missing"),
        (b"[1]\n", "no JSON object"),
        (b"\xff\n", "not UTF-8"),
        (line()[:-1], "the line has no end: it is cut off"),
        (line()[:20], "the line has no end: it is cut off"),
        (line(step="x" * 70000), "the line has no end: longer than 65536 bytes"),
        (line(step="left out"), '"step" is missing'),
        (line(duration_us="left out"), '"duration_us" is missing'),
        (line(duration_us="1"), '"duration_us" is not a number from 0'),
        (line(duration_us=True), '"duration_us" is not a number from 0'),
        (line(start_us=2**63), '"start_us" is not a number from 0 to 2^63'),
        (line(start_us=-1), '"start_us" is not a number from 0'),
        (line(start_us=1.5), '"start_us" is not a number from 0'),
        (line(step=7), '"step" is not a string'),
        (line(time="yesterday"), '"time" is no time of RFC 3339 in UTC'),
        (line(time="2026-01-01T00:00:00"), '"time" is no time of RFC 3339 in UTC'),
        (line(depth={}), '"depth" is not a number from 0'),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(tmp_path: Path, text: bytes, why: str) -> None:
    path = tmp_path / "t"
    path.write_bytes((line() + line() + text) if text else b"")
    with pytest.raises(CorelaunchError) as caught:
        read(str(path))
    assert caught.value.line().startswith(f"not a trace: {path}{':3' if text else ''}: {why}")


def test_members_that_nobody_knows_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(line(colour="blue"))
    assert len(read(str(tmp_path / "t"))) == 1


@pytest.mark.parametrize("path", ["/nonexistent/t", "/"])
def test_a_file_that_cannot_be_read_is_named(path: str) -> None:
    with pytest.raises(KernelError, match=f"cannot read the trace: {path}: "):
        read(path)


# -- the trace of a verb ---------------------------------------------------------------------------------------


def test_a_step_says_what_ended_it_and_so_do_those_around_it() -> None:
    trace = VerbTrace("create")
    with pytest.raises(ConfigError), trace.step("prepare"), trace.step("place", "x:y"):
        raise ConfigError("no")
    with trace.step("undo"):
        pass
    assert [(step.name, step.failed) for step in trace.entries] == [
        ("prepare", "ConfigError"),
        ("place", "ConfigError"),
        ("undo", ""),
    ]


def test_a_call_of_a_backend_is_one_step_though_launch_and_guard_both_see_it() -> None:
    trace = VerbTrace("create")
    with trace.step("create", "cgroup_manager:mine"), trace.step("create", "cgroup_manager:mine"):
        with trace.step("write limits", "cgroup_manager:mine"):
            pass
    assert [(step.name, step.depth) for step in trace.entries] == [("create", 0), ("write limits", 1)]


def test_a_network_is_told_from_another_of_its_kind_and_its_call_is_one_step() -> None:
    trace = VerbTrace("create")
    with trace.step("create", "network_strategy:bridge:1"), trace.step("create", "network_strategy:bridge"):
        pass
    with trace.step("create", "network_strategy:bridge2"), trace.step("create", "network_strategy:bridge"):
        pass
    assert [(step.plugin, step.depth) for step in trace.entries] == [
        ("network_strategy:bridge:1", 0),
        ("network_strategy:bridge2", 0),
        ("network_strategy:bridge", 1),
    ]


def test_what_the_tracer_has_measured_is_kept(tmp_path: Path) -> None:
    traced(tmp_path / "t")
    (verb,) = read(str(tmp_path / "t"))
    completed = verb.replace(before_us=11, after_us=0, cpu_us=13, exit_code=7, error="no")
    append(str(tmp_path / "u"), lines_of_traced(completed))
    assert read(str(tmp_path / "u")) == [completed]


class Child:
    """A channel whose child says one thing, then fails."""

    def __init__(self) -> None:
        self.words = ["READY"]

    def receive(self) -> tuple[str, None]:
        if not self.words:
            raise ChildError("mount: no")
        return self.words.pop(), None


def test_waits_for_the_child_are_steps_that_say_what_came() -> None:
    trace, child = VerbTrace("create"), Child()
    trace.follow(child)
    with trace.step("ready point"):
        assert child.receive() == ("READY", None)
        with pytest.raises(ChildError):
            child.receive()
    assert [(step.name, step.depth, step.failed) for step in trace.entries] == [
        ("ready point", 0, ""),
        ("wait for child: READY", 1, ""),
        ("wait for child", 1, "ChildError"),
    ]


def test_a_verb_that_runs_for_weeks_keeps_its_latest_steps_and_says_how_many_are_gone(tmp_path: Path) -> None:
    trace = VerbTrace("events")
    with trace.step("outer"):
        for number in range(3 * LIMIT):
            with trace.step(str(number)):
                pass
    trace.write(str(tmp_path / "t"))
    assert len(trace.entries) <= LIMIT
    (verb,) = read(str(tmp_path / "t"))
    assert verb.forgotten == 3 * LIMIT + 1 - len(verb.steps)
    assert (verb.steps[0].name, verb.steps[-1].name) == ("outer", str(3 * LIMIT - 1))
