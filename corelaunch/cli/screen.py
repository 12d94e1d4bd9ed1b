"""What standard output is: a terminal of some size, with colours or without, or something that is read by programs."""

from __future__ import annotations

import os
import posix

from ..records import Record

#: Columns of a terminal that does not say (a serial line).
_COLUMNS, _ROWS = 80, 24


class Screen(Record):
    """Where text goes.

    Attributes:
        is_terminal: people read it; control characters must not reach it.
        columns: what lines are cut to, 0: never.
        rows: lines that can be seen at once.
        colours: it shows them, and nobody asked for none (https://no-color.org).
    """

    is_terminal: bool = False
    columns: int = 0
    rows: int = 0
    colours: bool = False

    def whole(self) -> Screen:
        """The same for who asked for all of it: nothing is cut or coloured."""
        screen: Screen = self.replace(columns=0, colours=False)
        return screen


#: A pipe or a file.
PIPE = Screen()


def screen_of(fd: int = 1) -> Screen:
    """The screen behind a descriptor."""
    if not os.isatty(fd):
        return PIPE
    from ..terminal import window_size

    rows, columns = window_size(fd) or (_ROWS, _COLUMNS)
    environment = posix.environ
    colours = not environment.get(b"NO_COLOR") and environment.get(b"TERM", b"") not in (b"", b"dumb")
    return Screen(True, columns, rows, colours)
