"""The picture of a traced verb: every step has its line, bars are where the steps were, and the sum is the whole."""

from __future__ import annotations

import re

import pytest

from corelaunch.cli.trace_account import rows, slowest, sums, total
from corelaunch.cli.waterfall import waterfall

from .traced_verbs import STEPS, step, verb

WIDTHS = (40, 80, 200)
SGR = re.compile(r"\x1b\[[0-9]*m")
PICTURE = """\
create web: exit code 0, pid 42, 2026-01-02T03:04:05.000006Z
  step                        start       ms
  start of the interpreter     0.00    10.00 ################
  not in a step               10.00     1.00                 ..
> prepare                     11.00     4.00                   ###-##
    cgroupfs: place           13.00     1.00                      #
  not in a step               15.00     1.00                         .
  bootstrap                   16.00     2.00                          #--#
    wait for child: STAGE2    16.50     1.00                           ##
  networks                    18.00     0.00
  hooks point                 18.00     1.00                              -
    hooks prestart            18.20     0.50                              #
  not in a step               19.00     1.00                               ..
  end of the process          20.00     2.00                                 ###
  total                            22.00  100 %
    start of the interpreter       10.00   45 %
    steps of corelaunch             4.50   20 %
    cgroup_manager:cgroupfs         1.00    5 %
    waiting for corelaunch-init     1.00    5 %
    OCI hooks                       0.50    2 %
    not in a step                   3.00   14 %
    end of the process              2.00    9 %
> slowest: prepare, 3.00 ms of its own"""


def test_the_picture() -> None:
    assert "\n".join(waterfall(verb(), 80, unicode=False)) == PICTURE


def test_the_same_steps_give_the_same_picture() -> None:
    assert waterfall(verb(), 80) == waterfall(verb(), 80)


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal_and_every_step_has_one(width: int, unicode: bool) -> None:
    steps = [*STEPS, step("a step with a name that is longer than most terminals are wide " * 3, 9000, 100)]
    lines = waterfall(verb(*steps, error="x" * 300), width, unicode=unicode)
    assert max(map(len, lines)) <= width
    body = "\n".join(lines)
    for name in ("prepare", "cgroupfs: place", "bootstrap", "networks", "a step with"):
        assert name[:12] in body


@pytest.mark.parametrize("width", [0, 1, 39])
def test_a_terminal_that_is_too_narrow_gets_forty_columns(width: int) -> None:
    assert waterfall(verb(), width) == waterfall(verb(), 40)


@pytest.mark.parametrize("width", WIDTHS)
def test_bars_begin_in_the_order_of_their_steps_and_end_within_the_width(width: int) -> None:
    lines = waterfall(verb(), width)[2:14]
    begins = [re.search("[█░▏·]", line) for line in lines]
    columns = [found.start() for found in begins if found]
    assert columns == sorted(columns)


def test_without_unicode_every_line_is_ascii_and_without_colours_none_has_an_escape() -> None:
    steps = step("prepärieren" * 9, 0, 9000, failed="ConfigError"), step("process", 9000, 10**7)
    failed = verb(*steps, forgotten=3, error="kein Verzeichnis für größere Dinge")
    assert all(line.isascii() for line in waterfall(failed, 80, unicode=False))
    assert not any("\x1b" in line for line in waterfall(failed, 80))


def test_colours_change_nothing_but_colours() -> None:
    lines = waterfall(verb(), 80, colours=True)
    assert any("\x1b" in line for line in lines)
    assert [SGR.sub("", line).rstrip() for line in lines] == waterfall(verb(), 80)
    assert all(line.count("\x1b[0m") * 2 == len(SGR.findall(line)) for line in lines), "every colour ends on its line"


@pytest.mark.parametrize(
    "one",
    [
        verb(),
        verb(before_us=None, after_us=None),
        verb(duration_us=None, monotonic_us=None, before_us=None, after_us=None, exit_code=None),
        verb(step("late", 50000, 10)),
        verb(step("a", 0, 100), step("b", 50, 100), step("c", 10, 10, 1), step("d", 500, 900, 4)),
    ],
)
def test_the_rows_of_depth_0_and_the_sum_both_add_up_to_the_whole(one: object) -> None:
    found = rows(one)  # type: ignore[arg-type]
    end = 0
    for row in found:
        if not row.depth:
            assert row.start == end
            end = row.start + row.duration
        assert row.own >= 0
        assert all(row.start <= start <= stop <= row.start + row.duration for start, stop in row.inner)
    assert total(found) == end == sum(amount for _, amount in sums(found))


def test_time_between_steps_is_shown_and_a_little_of_it_is_in_the_sum_alone() -> None:
    lines = waterfall(verb(step("a", 0, 4000), step("b", 4010, 4000), step("c", 9000, 1000)), 80)
    assert len([line for line in lines if re.match(r"  not in a step .*·", line)]) == 1
    assert re.search(r"^    not in a step +1.00 ", "\n".join(lines), re.MULTILINE)


def test_the_networks_of_one_plugin_are_one_part_of_the_sum() -> None:
    steps = [step("place", 0, 10, 0, "network_strategy:veth"), step("create", 10, 20, 0, "network_strategy:veth:0")]
    assert ("network_strategy:veth", 30) in sums(rows(verb(*steps)))


def test_imports_have_a_line_where_they_take_long_and_the_import_of_a_plugin_in_any_case() -> None:
    steps = (
        step("import creation", 0, 5000),
        step("import jsontext", 5000, 100),
        step("place", 5200, 300, 0, "cgroup_manager:mine"),
        step("import mine.limits", 5200, 250, 1, "cgroup_manager:mine"),
        step("import mine.paths", 5450, 10, 1, "cgroup_manager:mine"),
        step("import", 5600, 1, 0, "lifecycle:audit"),
    )
    names = [line[2:].strip().split("  ")[0] for line in waterfall(verb(*steps), 80)[1:-1]]
    assert [name for name in names if "import" in name] == [
        "import creation",
        "mine: import limits",
        "audit: import",
        "imports",
    ]


def test_the_slowest_step_is_the_one_with_the_longest_time_of_its_own() -> None:
    inner = verb(step("prepare", 0, 9000), step("place", 100, 8000, 1, "cgroup_manager:mine"))
    found = slowest(rows(inner))
    assert found is not None
    assert (found.name, found.own) == ("place", 8000)
    lines = waterfall(inner, 80)
    assert next(line for line in lines if line.startswith("▸")).split()[1:3] == ["mine:", "place"]
    assert lines[-1] == "▸ slowest: mine: place, 8.00 ms of its own"


def test_a_container_that_runs_for_long_leaves_room_for_the_launch() -> None:
    minute = 60_000_000
    lines = waterfall(verb(*STEPS, step("process", 9000, minute), duration_us=minute + 10000), 80)
    process = next(line for line in lines if "process   " in line)
    assert set(process.split()[-1]) == {"╌"}
    assert 4 <= len(process.split()[-1]) <= 8
    prepare = next(line for line in lines if "prepare" in line)
    assert len(prepare.split()[-1]) >= 3
    assert not any("slowest: process" in line for line in lines)


def test_numbers_of_minutes_are_seconds() -> None:
    lines = waterfall(verb(step("process", 0, 200_000_000), duration_us=200_000_000), 80)
    assert lines[1].split() == ["step", "start", "s"]
    assert next(line for line in lines if line.startswith("  process")).split()[2] == "200.00"


def test_the_step_that_failed_is_marked_and_named_with_those_around_it() -> None:
    steps = [
        step("prepare", 0, 100, failed=""),
        step("look", 10, 10, 1, failed="FileNotFoundError"),
        step("ready point", 100, 900, failed="ChildError"),
        step("wait for child: CONSOLE", 100, 100, 1),
        step("wait for child", 200, 800, 1, failed="ChildError"),
        step("undo", 1000, 100),
        step("destroy", 1000, 90, 1, "cgroup_manager:mine"),
    ]
    lines = waterfall(verb(*steps, exit_code=1, error="mount: no such file"), 80)
    assert lines[1] == "mount: no such file"
    assert [line.split()[1:5] for line in lines if line.startswith("✗")] == [
        ["wait", "for", "child", "10.20"],
        ["failed:", "ready", "point", "→"],
    ]
    assert "✗ failed: ready point → wait for child (ChildError)" in lines


def test_steps_that_were_forgotten_are_told() -> None:
    assert waterfall(verb(forgotten=512), 80)[-1].strip() == "512 steps before the first were forgotten"


def test_what_a_plugin_or_a_file_says_cannot_move_the_cursor() -> None:
    steps = [step("a\x1b[2J\n\u202eb", 0, 10, 0, "x:\x9by"), step("c", 20, 1, 0, "network_strategy:veth:0")]
    text = "".join(waterfall(verb(*steps, error="\x1b]0;x\x07"), 200))
    assert text.isprintable()
    assert "veth:0: c" in text


def test_a_verb_that_the_front_would_have_answered_says_so() -> None:
    assert waterfall(verb().replace(verb="kill"), 80)[-1] == "  without a trace, kill does not need Python"


def test_a_verb_of_an_older_trace_has_no_name() -> None:
    old = verb(duration_us=None, monotonic_us=None, exit_code=None, before_us=None, after_us=None)
    old = old.replace(verb="", container_id="", pid=0, time="")
    assert waterfall(old, 80)[0] == "a verb that does not say which"


def test_a_verb_without_steps_is_drawn() -> None:
    empty = verb().replace(steps=())
    assert waterfall(empty, 80)[2].startswith("  start of the interpreter")
    assert waterfall(empty.replace(duration_us=0, before_us=None, after_us=None), 80)[-1].split() == ["total", "0.00"]
