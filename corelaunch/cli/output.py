"""Printing on stdout: text, lines for people, JSON in the two shapes that callers of runc know."""

from __future__ import annotations

import os

from ..errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def write(text: str) -> None:
    """Write to stdout, completely.

    Raises:
        KernelError: it cannot be written (closed pipe, full disk).
    """
    data = text.encode("utf-8", "surrogateescape")
    try:
        while data:
            try:
                data = data[os.write(1, data) :]
            except BlockingIOError:  # a caller's non-blocking pipe that is full
                _wait_for_reader()
    except OSError as error:
        raise KernelError.of("cannot write to stdout", error) from None


def _wait_for_reader() -> None:
    import select

    poll = select.poll()
    poll.register(1, select.POLLOUT)
    poll.poll()


def write_lines(lines: Iterable[str]) -> None:
    """Write lines; on a terminal without anything that it would act upon."""
    if os.isatty(1):
        from .display import visible

        lines = map(visible, lines)
    write("".join(f"{line}\n" for line in lines))


def write_json(value: Any, blanks: int = 0, end: str = "\n") -> None:
    """Write JSON: on one line without blanks, or with one member a line, ``blanks`` deeper each.

    Raises:
        KernelError: as :func:`write`.
    """
    write(json_text(value, blanks, on_terminal=os.isatty(1)) + end)


def json_text(value: Any, blanks: int = 0, *, on_terminal: bool) -> str:
    """The text of :func:`write_json`.

    It is valid whatever is in it: bytes of a path that are no UTF-8 come out as ``\\udcXX``. On a terminal, which acts
    upon more characters than JSON must escape, what is not printable is escaped, too.
    """
    text = indented(value, blanks) if blanks else compact(value)
    if not text.isascii() or "\x7f" in text:
        text = "".join(_escaped(c) if _must_be_escaped(c, on_terminal) else c for c in text)
    return text


def _must_be_escaped(character: str, on_terminal: bool) -> bool:
    if "\ud800" <= character <= "\udfff":
        return True
    return on_terminal and not character.isprintable() and character != "\n"


def _escaped(character: str) -> str:
    """As JSON escapes it: UTF-16, four digits each."""
    data = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[i]:02x}{data[i + 1]:02x}" for i in range(0, len(data), 2))


def compact(value: Any) -> str:
    """JSON on one line, without blanks."""
    from ..jsontext import dumps

    return dumps(value)


def indented(value: Any, blanks: int = 2) -> str:
    """JSON with one member a line."""
    from ..jsontext import dumps

    return dumps(value, blanks)
