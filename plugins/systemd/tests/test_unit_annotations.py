"""Annotations org.systemd.property.*: GVariant text, seconds, and what may not be set."""

from __future__ import annotations

from typing import Any

import pytest
from corelaunch_systemd.properties import PREFIX, asked_for, of_unit
from corelaunch_systemd.variant import parse
from hypothesis import given
from hypothesis import strategies as st

from corelaunch.api import ConfigError


@pytest.mark.parametrize(
    ("text", "signature", "value"),
    [
        ("uint64 5", "t", 5),
        ("  uint64   0x10 ", "t", 16),
        ("-7", "i", -7),
        ("+7", "i", 7),
        ("byte 255", "y", 255),
        ("int16 -32768", "n", -32768),
        ("true", "b", True),
        ("boolean false", "b", False),
        ("1.5", "d", 1.5),
        ("1e3", "d", 1000.0),
        ("double 3", "d", 3.0),
        ("'text'", "s", "text"),
        ('"it\'s"', "s", "it's"),
        (r"'a\'b\\c\n\u00fc\U0001f40d'", "s", "a'b\\c\nü🐍"),
        ("@t 9", "t", 9),
        ("['a', 'b']", "as", ["a", "b"]),
        ("@as []", "as", []),
        ("[uint32 1, 2]", "au", [1, 2]),
        ("[1, uint32 2]", "au", [1, 2]),
        ("@ay [1, 2]", "ay", [1, 2]),
        ("('a', uint64 1)", "(st)", ("a", 1)),
        ("[('a', 'rw')]", "a(ss)", [("a", "rw")]),
        ("@a(st) [('/dev/sda', 5)]", "a(st)", [("/dev/sda", 5)]),
        ("[[1], [2]]", "aai", [[1], [2]]),
        ("(1,)", "(i)", (1,)),
    ],
)
def test_gvariant_text_is_read(text: str, signature: str, value: Any) -> None:
    assert parse(text) == (signature, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "'text",
        "'a' 'b'",
        "1 2",
        "1_000",
        "010",
        "0x",
        "--1",
        "1.5.5",
        "nan",
        "inf",
        "[]",
        "[1",
        "[1 2]",
        "[,]",
        "['a',]",
        "[1, 'a']",
        "()",
        "(1)",
        "uint64",
        "uint64 -1",
        "uint32 4294967296",
        "byte 'a'",
        "uint64 1.5",
        "uint32 uint64 1",
        "@z 1",
        "objectpath '/a'",
        "@g 's'",
        "@a{sv} {}",
        "@v <1>",
        "@",
        "@tt 1",
        r"'\ud800'",
        r"'\u12'",
        "'a\0b'",
        "<1>",
        "{'a': 1}",
        "just 1",
        "[" * 100 + "]" * 100,
        "True",
    ],
)
def test_other_text_is_refused_and_says_where(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        asked_for({f"{PREFIX}Whatever": text})
    assert caught.value.where == "annotations.org.systemd.property.Whatever"
    assert caught.value.hint


@given(st.text(alphabet="@[](),'\"\\ 0123456789abstuinxdx.-+eE"))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        parse(text)
    except ValueError:
        pass


def test_seconds_become_microseconds_as_under_runc() -> None:
    annotations = {f"{PREFIX}TimeoutStopSec": "uint64 5", f"{PREFIX}RuntimeMaxSec": "1.5", "other": "x"}
    assert asked_for(annotations) == [("TimeoutStopUSec", ("t", 5_000_000)), ("RuntimeMaxUSec", ("t", 1_500_000))]
    # The name in D-Bus is taken as it is, and so is a name that only looks alike.
    assert asked_for({f"{PREFIX}TimeoutStopUSec": "uint64 5"}) == [("TimeoutStopUSec", ("t", 5))]


@pytest.mark.parametrize("text", ["'5'", "true", "-1", "1e300"])
def test_seconds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="seconds"):
        asked_for({f"{PREFIX}TimeoutStopSec": text})


@pytest.mark.parametrize("name", ["PIDs", "PIDFDs", "Slice", "Delegate", "Controller"])
def test_what_ties_the_unit_to_its_container_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="may not be set"):
        asked_for({PREFIX + name: "[uint32 1]"})


@pytest.mark.parametrize("name", ["", "a", "A-B", "A.B", "Ü" * 3, "A1B"])
def test_what_is_no_name_of_a_property_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="not the name of a property"):
        asked_for({PREFIX + name: "true"})


def test_properties_that_a_systemd_does_not_know_are_left_out() -> None:
    old, new = (dict(of_unit("a.scope", "b.slice", "a", 1, version)) for version in (239, 253))
    assert "OOMPolicy" in new and "OOMPolicy" not in old
    assert {"Delegate", "PIDs", "Slice", "CollectMode"} <= set(old)


def test_a_slice_takes_no_processes_and_is_not_put_anywhere() -> None:
    found = dict(of_unit("a-b.slice", "a.slice", "a", 1, 252))
    assert not {"PIDs", "Slice", "Delegate"} & set(found)
    assert found["Wants"] == ("as", ["a.slice"])
