"""``top``: its orders, its table, its screen, and what it prints where nobody looks."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from corelaunch.cli import top
from corelaunch.cli.display import width
from corelaunch.cli.full_screen import FullScreen, _without_named_keys
from corelaunch.cli.screen import Screen
from corelaunch.cli.top_table import ORDERS, frame, ordered, rows_table
from corelaunch.usage import Usage

from .conftest import Cli
from .listing_schemas import problems

CREATED = "2026-01-02T03:04:05.000000006Z"
NOW = 1767323045.0 + 7300


def row(container_id: str, **more: Any) -> dict[str, Any]:
    return Usage(container_id, "running", CREATED).as_dict() | more


FULL = {
    "cpu_percent": 12.34,
    "memory_bytes": 40 << 20,
    "memory_limit_bytes": 128 << 20,
    "pids": 3,
    "pids_limit": 100,
    "read_bytes_per_s": 2048.0,
    "written_bytes_per_s": 0.0,
    "received_bytes_per_s": 1.0,
    "sent_bytes_per_s": 5e6,
    "oom_kills": 1,
    "cpu_pressure_percent": 1.5,
    "memory_pressure_percent": 0.0,
    "io_pressure_percent": None,
}


def sample(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"time": "2026-01-02T05:05:45Z", "interval_s": 1.001, "containers": list(rows)}


def plain(lines: list[str]) -> list[str]:
    return [re.sub(r"\x1b\[\d*m", "", line) for line in lines]


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("cpu", "c a b d"),
        ("memory", "a b c d"),
        ("pids", "b a c d"),
        ("io", "b a c d"),
        ("network", "a b c d"),
        ("oom", "a b c d"),
        ("age", "b a c d"),
        ("id", "a b c d"),
    ],
)
def test_the_greatest_come_first_what_is_not_known_last_and_equals_by_id(order: str, ids: str) -> None:
    rows = [
        row("d", created=""),
        row("c", cpu_percent=9.0),
        row("b", pids=5, cpu_percent=0.0, written_bytes_per_s=3.0, created="2025-01-02T03:04:05Z"),
        row("a", pids=4, cpu_percent=0.5, read_bytes_per_s=1.0, written_bytes_per_s=1.0),
    ]
    assert " ".join(one["id"] for one in ordered(rows, order)) == ids


def test_keys_are_different_letters_and_none_quits() -> None:
    letters = [key for key, _ in ORDERS.values()]
    assert len({*letters, "q"}) == len(ORDERS) + 1


def test_a_table_in_a_pipe_has_every_column_of_which_something_is_known() -> None:
    lines = rows_table([row("one", **FULL), row("two", reason="its plugin is gone", status="paused")], NOW).splitlines()
    titles = "ID STATUS AGE CPU% MEMORY PIDS READ/S WRITE/S RECV/S SENT/S OOM PRESSURE REASON"
    assert lines[0].split() == titles.split()
    cells = "one running 2h 12.3 40.0M/128M 3/100 2.0K 0 1 4.8M 1 2/0/-"
    assert lines[1].split() == cells.split()
    assert lines[2].endswith("its plugin is gone")
    assert rows_table([row("one")], NOW).splitlines()[0].split() == "ID STATUS AGE CPU% MEMORY PIDS OOM".split()
    assert rows_table([], NOW).splitlines()[0].split() == "ID STATUS AGE CPU% MEMORY PIDS OOM".split()


@pytest.mark.parametrize("columns", [20, 40, 80, 100, 200])
@pytest.mark.parametrize("rows", [2, 4, 5, 10, 40])
@pytest.mark.parametrize("count", [0, 1, 200])
def test_a_screen_is_full_and_no_more(columns: int, rows: int, count: int) -> None:
    containers = [row(f"container-{number:04}", **FULL) for number in range(count)]
    lines = plain(frame(sample(*containers), "cpu", 1.0, NOW, Screen(True, columns, rows, colours=True)))
    assert len(lines) <= rows
    assert all(width(line) <= columns and line.isprintable() for line in lines)
    if rows > 5:
        assert len(lines) == rows
        assert lines[-1].startswith("q quit")
        assert any(line.startswith("ID") for line in lines)
    if rows == 10 and count == 200:
        assert "and 196 more" in lines[-2] + lines[-3]


def test_a_screen_says_what_all_use_together_and_in_which_order() -> None:
    one, two = row("one", **FULL), row("two", **FULL)
    lines = frame(sample(one, two), "io", 0.5, NOW, Screen(True, 100, 10))
    assert lines[0] == "corelaunch top  05:05:45 UTC  2 containers  cpu 24.7%  memory 80.0M  by io, every 0.5 s"


def test_a_reason_is_cut_and_an_id_and_a_reason_command_no_terminal() -> None:
    hostile = row("x\x1b[2J\u202e", reason="\x1b]0;a\x07 " * 50)
    lines = plain(frame(sample(hostile), "cpu", 1.0, NOW, Screen(True, 80, 10, colours=True)))
    assert all(line.isprintable() and width(line) <= 80 for line in lines)
    assert "…" in lines[3]


@pytest.fixture
def two_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    def samples(*_: object) -> Iterator[dict[str, Any]]:
        for _number in range(2):
            yield sample(row("a"), row("b", **FULL, reason="none"))

    monkeypatch.setattr(top, "samples", samples)


@pytest.mark.usefixtures("two_samples")
def test_json_is_an_object_a_line_in_the_order_that_was_asked_for_and_as_documented(cli: Cli) -> None:
    outcome = cli("top", "--json")
    values = [json.loads(line) for line in outcome.out.splitlines()]
    assert (outcome.code, outcome.err, len(values)) == (0, "", 2)
    assert [one["id"] for one in values[0]["containers"]] == ["b", "a"]
    assert problems("top", values) == []
    once = cli("top", "--json", "--once", "--sort", "id")
    assert [one["id"] for one in json.loads(once.out)["containers"]] == ["a", "b"]


@pytest.mark.usefixtures("two_samples")
def test_where_nobody_looks_it_prints_one_table_and_ends(cli: Cli) -> None:
    for words in (["top"], ["top", "--once"]):
        outcome = cli(*words)
        assert (outcome.code, outcome.err) == (0, "")
        assert [line.split()[0] for line in outcome.out.splitlines()] == ["ID", "b", "a"]
        assert "\x1b" not in outcome.out


NO_INTERVALS = ("0", "-1", "x", "", "1e3", "nan", "0.05", "3601", "\u0663")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--sort size", "invalid --sort: size (use one of cpu, memory, "),
        *((f"--interval={text}", "invalid --interval") for text in NO_INTERVALS),
        ("--bogus", "flag provided but not defined"),
    ],
)
def test_a_bad_call_is_one_line(cli: Cli, words: str, text: str) -> None:
    outcome = cli("top", *words.split())
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert text in outcome.err


@pytest.mark.parametrize(("text", "seconds"), [("1", 1), ("0.1", 0.1), (".5", 0.5), ("3600", 3600), ("2.", 2)])
def test_an_interval_is_in_seconds(text: str, seconds: float) -> None:
    assert top._interval(text) == seconds


@pytest.mark.parametrize(
    ("keys", "letters"),
    [("q", "q"), ("\x1b[Am", "m"), ("\x1bOPc\x1b[15~i", "ci"), ("\x1b[1;5Cd", "d"), ("\x1b", ""), ("\x1bm", "")],
)
def test_arrows_and_other_keys_with_names_are_no_letters(keys: str, letters: str) -> None:
    assert _without_named_keys(keys) == letters


def test_a_signal_that_the_caller_ignores_stays_ignored_and_handlers_are_put_back() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    terminated = signal.getsignal(signal.SIGTERM)
    try:
        with FullScreen(-1, 1) as screen:
            os.kill(os.getpid(), signal.SIGHUP)
            assert screen.taken() == b""
            os.kill(os.getpid(), signal.SIGTERM)
            assert screen.taken() == bytes([signal.SIGTERM])
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == terminated
    finally:
        signal.signal(signal.SIGHUP, before)
