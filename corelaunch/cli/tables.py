"""The one writer of tables: for programs as Go's tabwriter does it for runc, for people fitted to their terminal."""

from __future__ import annotations

from ..records import Record
from .display import BOLD, DIM, GREEN, YELLOW, cut, cut_beginning, pad, painted, visible, width, wrap
from .screen import PIPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .screen import Screen

#: What happens to a cell that is wider than its column may be: its end is cut, its beginning is cut (paths), or it goes
#: on below (the last column only).
END, BEGINNING, WRAP = "end", "beginning", "wrap"

_NARROW_GAP = 2

HEADER = BOLD

#: Of the states that a container may be in.
STATUS_COLOURS = {"running": GREEN, "paused": YELLOW, "creating": YELLOW, "stopped": DIM}


class Column(Record):
    """One column."""

    title: str
    right: bool = False
    #: Columns give way in this order where the terminal is too narrow; 0: never.
    gives_way: int = 0
    #: But to no fewer columns of the terminal than these.
    least: int = 8
    fit: str = END
    #: Cell, or its part before a colon -> colour (SGR).
    colours: Mapping[str, str] = {}


def table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    screen: Screen = PIPE,
    *,
    narrowest: int = 0,
    gap: int = 3,
) -> str:
    """A header and a line for each row; the last column is not padded.

    Args:
        columns: what stands in them.
        rows: their cells.
        screen: where it goes. On a terminal cells are made visible, and cut to its width; elsewhere they are whole.
        narrowest: width of the narrowest column with its gap, as in runc's tables.
        gap: blanks between columns; fewer where lines are cut.
    """
    cells = [[column.title for column in columns], *map(list, rows)]
    if screen.is_terminal:
        cells = [[visible(cell) for cell in row] for row in cells]
    measure = width if screen.is_terminal else len
    gap = _NARROW_GAP if screen.columns else gap
    widths = [max(measure(row[index]) for row in cells) for index in range(len(columns))]
    if screen.columns:
        _narrow(widths, columns, screen.columns - gap * (len(columns) - 1))
    padded = [max(narrowest - gap, size) for size in widths]
    lines = []
    for number, row in enumerate(cells):
        fitted = [_fit(cell, column, size) for cell, column, size in zip(row, columns, widths)]
        for line in range(max(map(len, fitted))):
            parts = [cell[line] if line < len(cell) else "" for cell in fitted]
            texts = _aligned(parts, columns, padded, gap, screen.is_terminal)
            if screen.columns:
                texts = _within(texts, screen.columns)
            if screen.colours:
                texts = [
                    _coloured(text, HEADER if number == 0 else _colour(cell, column))
                    for text, cell, column in zip(texts, row, columns)
                ]
            lines.append("".join(texts) + "\n")
    return "".join(lines)


def _narrow(widths: list[int], columns: Sequence[Column], room: int) -> None:
    """Take from the columns that give way, one after the other, what is too much."""
    order = sorted((column.gives_way, index) for index, column in enumerate(columns) if column.gives_way)
    for _, index in order:
        excess = sum(widths) - room
        if excess <= 0:
            return
        widths[index] = max(min(columns[index].least, widths[index]), widths[index] - excess)


def _fit(cell: str, column: Column, columns: int) -> list[str]:
    if len(cell) <= columns or not columns or width(cell) <= columns:
        return [cell]  # the first: also where nothing was measured as a terminal does it
    if column.fit == WRAP:
        return wrap(cell, columns)
    return [(cut_beginning if column.fit == BEGINNING else cut)(cell, columns)]


def _aligned(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], gap: int, seen: bool) -> list[str]:
    """The cells of a line with their blanks."""
    last = len(columns) - 1
    texts = []
    for index, (cell, column, size) in enumerate(zip(cells, columns, widths)):
        if not seen:
            text = cell.rjust(size) if column.right else cell.ljust(size) if index < last else cell
        else:
            text = pad(cell, size, right=column.right) if column.right or index < last else cell
        texts.append(text + " " * gap if index < last else text)
    return texts


def _within(texts: list[str], columns: int) -> list[str]:
    """The last resort where nothing gives way any more: the line ends where the terminal does."""
    if sum(map(width, texts)) <= columns:
        return texts
    kept: list[str] = []
    room = columns
    for text in texts:
        kept.append(text if width(text) <= room else cut(text, room) if room > 0 else "")
        room -= width(text)
    return kept


def _colour(cell: str, column: Column) -> str:
    return column.colours.get(cell.partition(":")[0], "")


def _coloured(text: str, colour: str) -> str:
    bare = text.strip(" ")
    if not bare:
        return text
    before, _, after = text.partition(bare)
    return f"{before}{painted(bare, colour)}{after}"
