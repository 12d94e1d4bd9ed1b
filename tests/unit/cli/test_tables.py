"""The table writer: runc's tables for programs, fitted ones on a terminal."""

from __future__ import annotations

import fcntl
import os
import posix
import pty
import re
import struct
import termios

import pytest

from corelaunch.cli.display import width
from corelaunch.cli.quantities import duration, size
from corelaunch.cli.screen import PIPE, Screen, screen_of
from corelaunch.cli.tables import BEGINNING, GREEN, WRAP, Column, table

PLAIN = Screen(is_terminal=True)
COLUMNS = (
    Column("ID", gives_way=2, least=6),
    Column("STATUS", colours={"running": GREEN}),
    Column("N", right=True),
    Column("PATH", gives_way=1, least=8, fit=BEGINNING),
)
ROWS = [("a" * 20, "running", "5", "/some/long/path/to/bundle"), ("b", "stopped", "1234", "/b")]


def test_a_pipe_gets_every_cell_as_it_is_in_columns_as_wide_as_their_longest_cell() -> None:
    rows = [("\x1b[31m漢", "x"), ("abc", "a longer one")]
    assert table((Column("ID"), Column("REST")), rows, PIPE, narrowest=12).splitlines() == [
        "ID          REST",
        "\x1b[31m漢      x",
        "abc         a longer one",
    ]


def test_a_terminal_gets_columns_by_the_width_that_is_seen_and_no_control_characters() -> None:
    lines = table((Column("ID"), Column("REST")), [("漢字", "x"), ("a\x1bb", "y")], PLAIN).splitlines()
    assert lines == ["ID       REST", "漢字     x", "a\\x1bb   y"]
    assert [width(line.rpartition(" ")[0]) for line in lines] == [8, 8, 8]


@pytest.mark.parametrize("columns", [20, 30, 40, 60, 79, 200])
def test_no_line_is_wider_than_the_terminal_and_columns_give_way_in_their_order(columns: int) -> None:
    lines = table(COLUMNS, ROWS, Screen(True, columns, 24)).splitlines()
    assert len(lines) == 3
    assert all(width(line) <= columns for line in lines)
    assert ("…" in lines[1]) == (columns < 62)
    assert ("a" * 20 in lines[1]) == (columns > 44), "the path gives way first"


def test_a_path_loses_its_beginning_and_an_id_its_end() -> None:
    line = table(COLUMNS, ROWS, Screen(True, 40, 24)).splitlines()[1]
    assert re.fullmatch(r"a+…  running +5  …[a-z/]*bundle", line)


def test_what_must_not_be_cut_goes_on_below() -> None:
    columns = (Column("ID"), Column("REASON", gives_way=1, least=10, fit=WRAP))
    text = table(columns, [("one", "it is broken for more than one reason"), ("two", "-")], Screen(True, 20, 24))
    assert text.splitlines() == [
        "ID   REASON",
        "one  it is broken",
        "     for more than",
        "     one reason",
        "two  -",
    ]


def test_colours_are_around_the_words_and_only_where_the_screen_has_them() -> None:
    coloured = table(COLUMNS, ROWS, Screen(True, 0, 24, colours=True))
    assert "\x1b[32mrunning\x1b[0m" in coloured
    assert coloured.startswith("\x1b[1mID\x1b[0m ")
    assert re.sub(r"\x1b\[\d*m", "", coloured) == table(COLUMNS, ROWS, PLAIN)
    assert "\x1b" not in table(COLUMNS, ROWS, PLAIN) + table(COLUMNS, ROWS, PIPE)


def test_a_hostile_cell_takes_no_colour_with_it_and_cannot_make_a_line() -> None:
    rows = [("x\n\x1b[2J", "running: \x1b[8m", "1", "/\u202e")]
    text = table(COLUMNS, rows, Screen(True, 80, 24, colours=True))
    assert text.count("\n") == 2
    assert re.sub(r"\x1b\[(1|32|0)m", "", text).replace("\n", "").isprintable()


def test_what_is_no_terminal_is_a_pipe() -> None:
    with open("/dev/null", "wb") as null:
        assert screen_of(null.fileno()) == PIPE


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        ({b"TERM": b"xterm"}, True),
        ({b"TERM": b"xterm", b"NO_COLOR": b""}, True),
        ({b"TERM": b"xterm", b"NO_COLOR": b"1"}, False),
        ({b"TERM": b"dumb"}, False),
        ({}, False),
    ],
)
def test_a_terminal_has_a_size_and_colours_unless_it_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, environment: dict[bytes, bytes], colours: bool
) -> None:
    monkeypatch.setattr(posix, "environ", environment)
    master, slave = pty.openpty()
    try:
        assert screen_of(slave) == Screen(True, 80, 24, colours)  # it has none: 0 by 0
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        assert screen_of(slave) == Screen(True, 100, 30, colours)
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0K"), (1536, "1.5K"), (128 << 20, "128M"), (1023 << 20, "1.0G")],
)
def test_sizes_are_powers_of_1024_with_two_or_three_digits(count: int, text: str) -> None:
    assert size(count) == text
    assert len(size(count)) <= 5


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (119.9, "119s"), (120, "2m"), (7200, "2h"), (172800, "2d")])
def test_durations_are_in_the_largest_unit_of_which_there_are_two(seconds: float, text: str) -> None:
    assert duration(seconds) == text
