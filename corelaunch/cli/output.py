"""Printing on stdout: text, aligned tables, JSON in the two shapes that callers of runc know."""

from __future__ import annotations

import os

from ..errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, narrowest: int = 12, gap: int = 3) -> str:
    """Columns padded with blanks to the widest cell, as Go's tabwriter does for runc; the last one is not padded."""
    lines = [header, *rows]
    widths = [max(narrowest, *(len(line[column]) + gap for line in lines)) for column in range(len(header) - 1)]
    return "".join("".join(cell.ljust(width) for cell, width in zip(line, widths)) + line[-1] + "\n" for line in lines)


def compact(value: Any) -> str:
    """JSON on one line, without blanks."""
    from ..jsontext import dumps

    return dumps(value)


def indented(value: Any, blanks: int = 2) -> str:
    """JSON with one member a line."""
    from ..jsontext import dumps

    return dumps(value, blanks)
