"""Signal names and numbers of ``kill``."""

from __future__ import annotations

import signal

import pytest

from corelaunch.cli.signals import parse_signal
from corelaunch.errors import UsageError


@pytest.mark.parametrize("name", [s.name for s in signal.Signals if not s.name.startswith("SIGRT")])
def test_every_signal_of_this_system_is_known_with_and_without_prefix_in_any_case(name: str) -> None:
    number = signal.Signals[name].value
    for text in (name, name.lower(), name[3:], name[3:].lower(), name.capitalize(), str(number)):
        assert parse_signal(text) == number


def test_real_time_signals_are_counted_from_both_ends() -> None:
    assert parse_signal("RTMIN") == parse_signal("sigrtmin+0") == signal.SIGRTMIN
    assert parse_signal("SIGRTMIN+3") == signal.SIGRTMIN + 3
    assert parse_signal("RTMAX-1") == signal.SIGRTMAX - 1


def test_zero_is_the_probe_of_kill_2() -> None:
    assert parse_signal("0") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIG",
        "foo",
        "SIGFOO",
        "65",
        "-1",
        "+9",
        "SIG9",
        "9x",
        "_BLOCK",
        "_DFL",
        "RTMIN+99",
        "RTMIN+",
        "RTMAX-x",
        "²",
        "9" * 40,
    ],
)
def test_what_is_no_signal_is_refused_in_runcs_words(text: str) -> None:
    with pytest.raises(UsageError, match="unknown signal"):
        parse_signal(text)
