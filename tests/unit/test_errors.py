"""Errors are one line, harmless to a terminal, and carry runc's phrases."""

from __future__ import annotations

import errno

import pytest

from corelaunch.errors import (
    ConfigError,
    ContainerExists,
    ContainerNotFound,
    InvalidId,
    KernelError,
    TeardownError,
    one_line,
)


def test_the_line_is_what_where_why_and_the_hint_behind_it() -> None:
    error = ConfigError("namespace named twice", where="linux.namespaces[3]", why="pid", hint="remove one")
    assert error.line() == "namespace named twice: linux.namespaces[3]: pid"
    assert str(error) == "namespace named twice: linux.namespaces[3]: pid (remove one)"


def test_an_errno_becomes_the_reason() -> None:
    assert str(KernelError("mount", where="/x", errno=errno.EACCES)) == "mount: /x: permission denied"
    wrapped = KernelError.of("cannot make cgroup", OSError(errno.EBUSY, "x", "/sys/y"))
    assert (str(wrapped), wrapped.errno) == ("cannot make cgroup: /sys/y: device or resource busy", errno.EBUSY)


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "a\x9bb", "a\rb", "a\x7fb"])
def test_control_characters_never_reach_a_terminal(text: str) -> None:
    assert all(c >= " " and not "\x7f" <= c <= "\x9f" for c in one_line(text))


def test_a_long_text_is_cut() -> None:
    assert len(one_line("x" * 10000)) == 4096


def test_the_phrases_that_engines_match_are_there() -> None:
    assert "container with given ID already exists" in str(ContainerExists("a"))
    assert "container does not exist" in str(ContainerNotFound("a"))
    assert "invalid container ID format" in str(InvalidId("a/b"))


def test_a_teardown_error_names_all_that_failed() -> None:
    error = TeardownError("cannot remove", [ValueError("one"), ValueError("two")], where="demo")
    assert str(error) == "cannot remove: demo: one; two"
    assert len(error.errors) == 2
