"""The option parser: Go's flag style, from tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corelaunch.cli.options import FLAG, LIST, NUMBER, Option, parse
from corelaunch.errors import UsageError

TABLE = (
    Option("bundle b", "", metavar="dir"),
    Option("log", ""),
    Option("format", "", default="table"),
    Option("all a", "", FLAG),
    Option("no-subreaper", "", FLAG),
    Option("env e", "", LIST),
    Option("fds", "", NUMBER),
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"bundle": "", "all": False, "format": "table", "env": (), "fds": 0}),
        (["--bundle", "B"], {"bundle": "B"}),
        (["--bundle=B"], {"bundle": "B"}),
        (["-bundle", "B"], {"bundle": "B"}),
        (["-bundle=B"], {"bundle": "B"}),
        (["-b", "B"], {"bundle": "B"}),
        (["-b=B"], {"bundle": "B"}),
        (["--b", "B"], {"bundle": "B"}),
        (["--bundle", "--all"], {"bundle": "--all", "all": False}),
        (["--bundle="], {"bundle": ""}),
        (["--bundle=a=b"], {"bundle": "a=b"}),
        (["--bundle", "A", "--bundle", "B"], {"bundle": "B"}),
        (["-no-subreaper"], {"no-subreaper": True}),
        (["--all"], {"all": True}),
        (["--all", "--all"], {"all": True}),
        (["--all=true"], {"all": True}),
        (["--all=T"], {"all": True}),
        (["--all=1"], {"all": True}),
        (["--all=false"], {"all": False}),
        (["--all=0"], {"all": False}),
        (["--env", "A=1,2", "-e", "B=3"], {"env": ("A=1,2", "B=3")}),
        (["--fds", "3"], {"fds": 3}),
    ],
)
def test_every_spelling_of_an_option_gives_its_value(words: list[str], expected: dict[str, Any]) -> None:
    values, arguments, _ = parse(TABLE, words)
    assert {name: values[name] for name in expected} == expected
    assert arguments == []


def test_options_may_follow_arguments_unless_told_otherwise() -> None:
    values, arguments, _ = parse(TABLE, ["ID", "--all", "9"])
    assert (values["all"], arguments) == (True, ["ID", "9"])
    values, arguments, _ = parse(TABLE, ["--all", "ID", "-b", "x"], mixed=False)
    assert (values["all"], values["bundle"], arguments) == (True, "", ["ID", "-b", "x"])


def test_two_dashes_end_the_options_and_one_dash_is_an_argument() -> None:
    assert parse(TABLE, ["-", "--", "--all", "--"])[1] == ["-", "--all", "--"]


def test_options_that_were_given_are_told_from_defaults() -> None:
    assert parse(TABLE, ["--format=table", "-b", "x"])[2] == {"format", "bundle"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--nope"], "flag provided but not defined: -nope"),
        (["-nope=1"], "flag provided but not defined: -nope"),
        (["---all"], "flag provided but not defined: --all"),
        (["-ab"], "flag provided but not defined: -ab"),
        (["--log"], "flag needs an argument: -log"),
        (["--all=maybe"], 'invalid boolean value "maybe" for flag -all: use true or false'),
        (["--fds", "-1"], 'invalid value "-1" for flag -fds: it takes a number from 0'),
        (["--fds", "x"], 'invalid value "x" for flag -fds: it takes a number from 0'),
        (["--fds", "9" * 30], f'invalid value "{"9" * 30}" for flag -fds: it takes a number from 0'),
        (["--fds", "²"], 'invalid value "²" for flag -fds: it takes a number from 0'),
    ],
)
def test_a_wrong_option_is_a_usage_error_in_runcs_words(words: list[str], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(TABLE, words)
    assert str(caught.value) == line


@given(st.lists(st.text(max_size=12), max_size=8), st.booleans())
def test_whatever_is_typed_gives_values_or_a_usage_error(words: list[str], mixed: bool) -> None:
    try:
        values, arguments, names = parse(TABLE, words, mixed=mixed)
    except UsageError:
        return
    assert set(values) == {option.name for option in TABLE}
    assert names <= set(values)
    assert len(arguments) <= len(words)
