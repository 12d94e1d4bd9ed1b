"""docs/listings.md says what the commands print as JSON, no more and no less, and every listing has ``--json``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch.adjustment import Owned
from corelaunch.api import CgroupStats, SetEnv
from corelaunch.checking import Finding
from corelaunch.cli import check, validate
from corelaunch.cli.main import COMMANDS, load_command
from corelaunch.cli.stats_json import data_of
from corelaunch.cli.trace import as_json
from corelaunch.doctor import Check
from corelaunch.errors import CorelaunchError
from corelaunch.features import features
from corelaunch.plugins.inspection import Found
from corelaunch.plugins.registry import Registry
from corelaunch.statistics import Statistics
from corelaunch.trace_file import TracedStep, TracedVerb

from .conftest import Cli
from .fake_runtime import FakeRuntime
from .listing_schemas import fields, problems
from .test_validate import bundle

LISTINGS = ("check", "doctor", "events", "features", "gc", "list", "plan", "plugins", "ps", "top", "trace", "validate")

FIGURES = {"avg10_percent": 1.5, "avg60_percent": 0.5, "avg300_percent": 0.1, "total_us": 77}
PRESSURE = {"some": FIGURES, "full": FIGURES}
DEVICE = [(8, 1, "read", 100)]
STATS = CgroupStats(
    **{name: 1 for name in CgroupStats.__record_fields__ if CgroupStats.__record_defaults__[name] == -1},
    cpu_usage_per_cpu_ns=(1,),
    cpu_user_per_cpu_ns=(1,),
    cpu_system_per_cpu_ns=(1,),
    memory_stat={"cache": 1},
    io_bytes=DEVICE,
    io_operations=DEVICE,
    io_queued=DEVICE,
    io_merged=DEVICE,
    io_service_time_ns=DEVICE,
    io_wait_time_ns=DEVICE,
    io_time_ms=[(8, 1, "", 1)],
    io_sectors=[(8, 1, "", 1)],
    cpuset_cpus=(0,),
    cpuset_mems=(0,),
    huge_pages={"2MB": {"usage_bytes": 2, "max_usage_bytes": 2, "failures": 0}},
    cpu_pressure=PRESSURE,
    memory_pressure=PRESSURE,
    io_pressure=PRESSURE,
)


def listed(cli: Cli, _: Path) -> list[Any]:
    runtime = FakeRuntime("one", "two")
    runtime.more_state = {"annotations": {"org.example.a": "b"}, "cgroupMode": "off"}
    return [json.loads(cli("list", *words, runtime=runtime).out) for words in (["--json"], ["-f", "json"])]


def checked(cli: Cli, _: Path) -> list[Any]:
    finding = Finding("eth0", "bridge", "failed", "no such link")
    return [[check._row("one", **finding.as_dict()), check._row("two", reason="it is broken")]]


def validated(cli: Cli, directory: Path) -> list[Any]:
    wrong = bundle(directory, process={"args": [], "cwd": "x"}, later=1)
    return [json.loads(cli("validate", "--json", "-b", wrong).out), validate.findings("/nonexistent")]


def watched(cli: Cli, _: Path) -> list[Any]:
    full = Statistics(STATS, {"l3_cache_schema": "L3:0=f"}, [("eth0", {"rx_bytes": 3})])
    lines = cli("events", "--json", "one", runtime=FakeRuntime("one")).out.splitlines()
    return [*map(json.loads, lines), {"type": "stats", "id": "one", "data": data_of(full)}]


def traced(cli: Cli, directory: Path) -> list[Any]:
    path = directory / "trace"
    step = {"step": "prepare", "plugin": "", "start_us": 5, "duration_us": 7}
    path.write_text(json.dumps(step) + "\n")
    step = TracedStep("destroy", "cgroup_manager:cgroupfs", 20, 30)
    verb = TracedVerb("delete", "one", 7, "2026-01-02T03:04:05Z", [step], 100, 1, 0, cpu_us=9, before_us=1, after_us=2)
    return [json.loads(cli("trace", "--read", str(path), "--json").out), [as_json(verb)]]


OUTPUTS: dict[str, Callable[[Cli, Path], list[Any]]] = {
    "list": listed,
    "ps": lambda cli, _: [json.loads(cli("ps", "--json", "one", runtime=FakeRuntime("one")).out)],
    "check": checked,
    "gc": lambda cli, _: [json.loads(cli("gc", "--json", runtime=FakeRuntime("one")).out)],
    "plugins": lambda cli, _: [
        [Found("lifecycle", "a", "b", "1", api, ["f"], "ok", "", "", 1.5, "/").as_dict() for api in (None, 1)]
    ],
    "doctor": lambda cli, _: [[Check("kernel", "a", "ok", "there").as_dict()]],
    "validate": validated,
    "features": lambda cli, _: [features(Registry([]))],
    "events": watched,
    "trace": traced,
}


@pytest.mark.parametrize("command", OUTPUTS)
def test_what_is_printed_is_documented_and_what_is_documented_is_printed(
    cli: Cli, tmp_path: Path, command: str
) -> None:
    values = [json.loads(json.dumps(value)) for value in OUTPUTS[command](cli, tmp_path)]
    assert problems(command, values) == []


def test_an_edit_in_a_plan_is_documented() -> None:
    edit = Owned("audit", "corelaunch-audit 1", SetEnv("A", "b")).json()
    assert problems("plan", [{"edits": [edit]}], all_fields=False) == []


def test_a_page_that_is_wrong_is_told() -> None:
    assert problems("gc", [[{"id": "a", "outcome": 1}]]) == ["[].outcome is 1"]
    assert problems("gc", [[{"id": "a", "more": 1}]]) == [
        "[].more is printed and not documented",
        "[].outcome is documented and not printed",
    ]
    assert problems("ps", [[True]]) == ["[] is True"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listing_and_nothing_else_has_the_option_json(name: str) -> None:
    command = load_command(name)
    assert command is not None
    assert ("json" in [option.name for option in command.options]) == (name in LISTINGS)
    if name in LISTINGS:
        assert fields(name)


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_that_fails_prints_one_line_on_stderr_and_nothing_on_stdout(cli: Cli, name: str) -> None:
    def fails(*_: object, **_more: object) -> FakeRuntime:
        raise CorelaunchError("cannot do that", where="there")

    words = ["one"] if name in ("ps", "events", "check") else []
    if name == "top":
        words = ["--once"]
    if name == "trace":
        words = ["--read", "/nonexistent"]
    if name == "validate":
        words = ["--bundle"]  # a bundle that cannot be read is a finding
    outcome = cli(name, "--json", *words, runtime=fails)  # type: ignore[arg-type]
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)


@pytest.mark.parametrize("name", ["list", "ps"])
def test_json_is_a_synonym_of_the_format_and_contradicts_the_other(cli: Cli, name: str) -> None:
    runtime = FakeRuntime("one")
    words = ["one"] if name == "ps" else []
    printed = {cli(name, *option, *words, runtime=runtime).out for option in (["--json"], ["-f", "json"])}
    assert len(printed) == 1
    assert cli(name, "--json", "--format=json", *words, runtime=runtime).code == 0
    outcome = cli(name, "--json", "--format", "table", *words, runtime=runtime)
    assert (outcome.code, outcome.out) == (1, "")
    assert "--json contradicts --format: table" in outcome.err
