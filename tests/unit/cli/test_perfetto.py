"""The trace-event file: by the rules of its format, or Perfetto drops slices without a word."""

from __future__ import annotations

import json
from typing import Any

from corelaunch.cli.perfetto import trace_events

from .traced_verbs import STEPS, step, verb


def events(*verbs: Any) -> list[dict[str, Any]]:
    content = json.loads(json.dumps(trace_events(verbs)))
    found: list[dict[str, Any]] = content["traceEvents"]
    return found


def check(found: list[dict[str, Any]]) -> None:
    """Hold events to the format: members, and slices of one track that are within each other or apart."""
    named = {event["tid"] for event in found if event["ph"] == "M" and event["name"] == "thread_name"}
    for event in found:
        assert event["ph"] in "MX"
        assert all(type(event[name]) is int and event[name] >= 0 for name in ("pid", "tid", "ts"))
        assert isinstance(event["name"], str)
        assert isinstance(event["args"], dict)
        if event["ph"] == "X":
            assert type(event["dur"]) is int
            assert event["dur"] >= 0
            assert event["tid"] in named
    for tid in named:
        open_until: list[int] = []
        # An outer slice comes before what is within it where both begin at once (google/perfetto issue 371).
        for event in [event for event in found if event["ph"] == "X" and event["tid"] == tid]:
            end = event["ts"] + event["dur"]
            while open_until and open_until[-1] <= event["ts"]:
                open_until.pop()
            assert not open_until or end <= open_until[-1], event
            open_until.append(end)


def tracks(found: list[dict[str, Any]]) -> dict[str, list[str]]:
    names = {event["tid"]: event["args"]["name"] for event in found if event["name"] == "thread_name"}
    on: dict[str, list[str]] = {name: [] for name in names.values()}
    for event in found:
        if event["ph"] == "X":
            on[names[event["tid"]]].append(event["name"])
    return on


def test_a_verb_is_a_process_with_a_track_for_its_steps_for_each_plugin_and_for_the_waits() -> None:
    found = events(verb())
    check(found)
    names = [event["args"]["name"] for event in found if event["name"] == "process_name"]
    assert names == ["corelaunch create web"]
    assert {event["pid"] for event in found} == {42}
    assert tracks(found) == {
        "steps": [
            "corelaunch create web",
            "start of the interpreter",
            "prepare",
            "bootstrap",
            "networks",
            "hooks point",
            "hooks prestart",
            "end of the process",
        ],
        "cgroup_manager:cgroupfs": ["place"],
        "corelaunch-init (waited for)": ["wait for child: STAGE2"],
    }


def test_times_are_those_of_the_steps_after_the_start_of_the_first_process() -> None:
    found = events(verb())
    slices = {event["name"]: (event["ts"], event["dur"]) for event in found if event["ph"] == "X"}
    assert slices["corelaunch create web"] == (0, 22000)
    assert slices["prepare"] == (11000, 4000)
    assert slices["place"] == (13000, 1000)


def test_several_verbs_stand_in_the_order_of_their_clocks() -> None:
    later = verb().replace(verb="start", pid=43, time="2026-01-02T03:04:06.000006Z")
    found = events(verb(), later)
    check(found)
    begins = {event["name"]: event["ts"] for event in found if event.get("cat") == "verb"}
    assert begins == {"corelaunch create web": 0, "corelaunch start web": 1_000_000}


def test_two_verbs_that_had_the_same_pid_are_two_processes() -> None:
    found = events(verb(), verb().replace(time="2026-01-03T03:04:05.000006Z"), verb().replace(pid=0, time=""))
    check(found)
    pids = {event["pid"] for event in found}
    assert len(pids) == 3
    assert len({event["tid"] for event in found}) == 9
    assert all(pid == 42 or pid >= 1 << 22 for pid in pids)


def test_steps_of_threads_that_overlap_are_cut() -> None:
    check(events(verb(step("a", 0, 100), step("b", 50, 100), step("c", 10, 10, 1), step("d", 120, 10**6, 1))))


def test_a_trace_without_times_of_its_process_is_one_too() -> None:
    old = verb(*STEPS, duration_us=None, monotonic_us=None, exit_code=None, before_us=None, after_us=None)
    found = events(old.replace(verb="", container_id="", pid=0, time=""))
    check(found)
    assert next(event for event in found if event["name"] == "process_name")["args"] == {"name": "corelaunch"}


def test_what_failed_says_so() -> None:
    found = events(verb(step("plan", 0, 10, failed="ChildError"), exit_code=1, error="mount: no"))
    arguments = {event["name"]: event["args"] for event in found if event["ph"] == "X"}
    assert arguments["plan"] == {"own_us": 10, "failed": "ChildError"}
    assert arguments["corelaunch create web"]["error"] == "mount: no"


def test_nothing_is_a_file_too() -> None:
    assert trace_events([]) == {"traceEvents": [], "displayTimeUnit": "ms"}
