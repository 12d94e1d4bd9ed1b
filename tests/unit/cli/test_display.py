"""Text on a terminal: its width, what is cut, and what never gets there."""

from __future__ import annotations

import pytest

from corelaunch.cli.display import cut, cut_beginning, pad, visible, width, wrap


@pytest.mark.parametrize(
    ("text", "columns"),
    [("abc", 3), ("", 0), ("漢字", 4), ("e\u0301", 1), ("é", 1), ("\uff46", 2), ("\u1112\u1161\u11ab", 2), ("…", 1)],
)
def test_the_width_is_that_of_the_terminal(text: str, columns: int) -> None:
    assert width(text) == columns
    assert width(pad(text, 6)) == width(pad(text, 6, right=True)) == 6


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢字 e\u0301", "plain é 漢字 e\u0301"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028", "\\u2028"),
        ("\x7f", "\\x7f"),
        (b"\xff\x9b".decode("utf-8", "surrogateescape"), "\\xff\\x9b"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_a_terminal_would_act_upon_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(text).isprintable()


@pytest.mark.parametrize("text", ["abcdef", "漢字漢字", "e\u0301" * 5, "ab漢cd", "漢" + "e\u0301" * 6, "한국어 text"])
def test_what_is_cut_fits_has_an_ellipsis_and_keeps_characters_whole(text: str) -> None:
    for columns in range(1, width(text) + 2):
        for one in (cut(text, columns), cut_beginning(text, columns)):
            assert width(one) <= columns
            assert (one == text) == (width(text) <= columns)
            assert one == text or one.count("…") == 1
        assert text.startswith(cut(text, columns).removesuffix("…"))
        assert text.endswith(cut_beginning(text, columns).removeprefix("…"))
        # No combining character without what it combines with, none lost by whom it belongs to.
        assert not cut_beginning(text, columns).removeprefix("…").startswith("\u0301")
        rest = text[len(cut(text, columns).removesuffix("…")) :]
        assert not rest.startswith("\u0301")


def test_lines_are_broken_at_blanks_and_inside_of_words_only_where_they_must_be() -> None:
    assert wrap("one two three", 8) == ["one two", "three"]
    assert wrap("incomprehensible", 6) == ["incomp", "rehens", "ible"]
    assert wrap("a incomprehensible b", 6) == ["a", "incomp", "rehens", "ible b"]
    assert wrap("漢字漢字", 5) == ["漢字", "漢字"]
    assert wrap("", 5) == [""]
    assert "".join(wrap("x" * 100, 7)) == "x" * 100
