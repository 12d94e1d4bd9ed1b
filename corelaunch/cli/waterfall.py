"""The picture of a traced verb on a terminal: a line for each step, with a bar where and as long as it was.

A pure function: the same verb and the same width give the same lines. Within a bar what is solid is the step's own
time, what is light is that of the steps within it, which have lines of their own.
"""

from __future__ import annotations

from ..records import Record
from ..trace import IMPORT
from .display import BLUE, BOLD, CYAN, DIM, GREEN, MAGENTA, RED, WHITE, YELLOW, cut, pad, painted, visible
from .display import width as columns_of
from .trace_account import (
    END,
    GAP,
    HOOKS,
    IMPORTS,
    PLUGIN,
    RUNS,
    START,
    STEP,
    WAIT,
    failed_path,
    rows,
    slowest,
    sums,
    total,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..trace_file import TracedVerb
    from .trace_account import Row

#: Pieces between steps, and imports, that are shorter than this part of the whole have no line; the sum has them.
_SMALLEST = 0.01
#: The container's own process takes no more than this part of the picture, however long it runs.
_LONGEST_RUN = 0.2
#: Verbs that the front answers itself where it can (native/quick.c), but not under a trace.
_QUICK = ("state", "kill", "start", "delete")
#: Columns: in front of a name, for numbers, of the narrowest bar; the start gives way on narrow terminals.
_GUTTER, _NUMBER, _LEAST_BAR, _NARROW = 2, 9, 8, 60

_COLOURS: Mapping[str, str] = {
    STEP: BLUE,
    PLUGIN: MAGENTA,
    WAIT: CYAN,
    HOOKS: GREEN,
    IMPORTS: WHITE,
    **dict.fromkeys((RUNS, START, GAP, END), DIM),
}


class Marks(Record):
    """What is drawn with."""

    own: str = "#"
    inner: str = "-"
    #: A bar that is shorter than a column.
    thin: str = "|"
    #: Of what is in no step, and of a piece that is longer than it is drawn.
    gap: str = "."
    cut: str = "~"
    slowest: str = ">"
    failed: str = "x"
    within: str = ">"
    #: Text may have other characters than those of ASCII, too.
    unicode: bool = False


ASCII = Marks()
UNICODE = Marks("█", "░", "▏", "·", "╌", "▸", "✗", "→", True)


def waterfall(verb: TracedVerb, width: int, *, unicode: bool = True, colours: bool = False) -> list[str]:
    """The lines of the picture.

    Args:
        verb: what was traced.
        width: columns of the terminal; no line is longer, from 40 on.
        unicode: the terminal has block elements.
        colours: it shows colours.
    """
    marks = UNICODE if unicode else ASCII
    found = rows(verb)
    whole = total(found)
    shown = [row for row in found if row.duration >= whole * _SMALLEST or not _is_incidental(row)]
    page = _Page(max(width, 40), marks, whole, colours=colours)
    page.fit([_label(row) for row in shown], _Scale(found))
    lines = [page.paint(page.fitted(text, page.width), BOLD) for text in _head(verb)]
    lines.append(page.header())
    first, failures = slowest(shown), failed_path(shown)
    for row in shown:
        mark, colour = " ", _COLOURS[row.kind]
        if any(row is failure for failure in failures[-1:]):
            mark, colour = marks.failed, RED
        elif row is first:
            mark, colour = marks.slowest, YELLOW
        lines.append(page.line(mark, row, colour))
    lines += page.summary(found)
    if verb.cpu_us is not None:
        lines.append(page.note(" ", f"CPU time, also of children that ended: {page.amount(verb.cpu_us)}", DIM))
    if first is not None:
        lines.append(page.note(marks.slowest, f"slowest: {_name(first)}, {page.amount(first.own)} of its own", YELLOW))
    if failures:
        path = f" {marks.within} ".join(map(_name, failures))
        lines.append(page.note(marks.failed, f"failed: {path} ({visible(failures[-1].failed)})", RED))
    if verb.verb in _QUICK:
        lines.append(page.note(" ", f"without a trace, {verb.verb} does not need Python", DIM))
    if verb.forgotten:
        lines.append(page.note(" ", f"{verb.forgotten} steps before the first were forgotten", DIM))
    return lines


def _head(verb: TracedVerb) -> list[str]:
    words = [part for part in (verb.verb, verb.container_id) if part]
    told = [f"exit code {verb.exit_code}"] if verb.exit_code is not None else []
    told += [f"pid {verb.pid}", verb.time] if verb.pid else []
    lines = [visible(f"{' '.join(words) or 'a verb that does not say which'}: {', '.join(told)}".removesuffix(": "))]
    return [*lines, visible(verb.error)] if verb.error else lines


class _Page:
    """Where columns are, and how wide."""

    def __init__(self, width: int, marks: Marks, whole: int, *, colours: bool) -> None:
        self.width = width
        self._marks = marks
        self._whole = whole
        self._colours = colours
        self._unit, self._divisor = ("s", 1e6) if whole >= 100_000_000 else ("ms", 1e3)
        self._starts = width >= _NARROW
        self._names = self._bars = 0
        self._scale = _Scale([])

    def fit(self, labels: Sequence[str], scale: _Scale) -> None:
        """Divide the width between the names and the bars."""
        left = self.width - _GUTTER - _NUMBER * (1 + self._starts) - 1
        longest = max(columns_of(label) for label in [*labels, "step"])
        self._names = min(longest, max(left * 3 // 5, left - 60), left - _LEAST_BAR)
        self._bars = left - self._names
        self._scale = scale

    def header(self) -> str:
        """The line above the columns."""
        start = "start".rjust(_NUMBER) if self._starts else ""
        return self.paint(f"  {'step'.ljust(self._names)}{start}{self._unit.rjust(_NUMBER)}".rstrip(), BOLD)

    def line(self, mark: str, row: Row, colour: str) -> str:
        """The line of a row."""
        name = pad(self.fitted(_label(row), self._names), self._names)
        start = self._number(row.start).rjust(_NUMBER) if self._starts else ""
        text = f"{mark} {name}{start}{self._number(row.duration).rjust(_NUMBER)}"
        if colour in (RED, YELLOW, DIM):
            text = self.paint(text, colour)
        return f"{text} {self.paint(self._bar(row), colour)}".rstrip()

    def summary(self, found: Sequence[Row]) -> list[str]:
        """The lines of the sum."""
        what = [("total", self._whole), *((f"  {name}", amount) for name, amount in sums(found))]
        room = self.width - _GUTTER - _NUMBER - 7
        names = min(max(columns_of(visible(name)) for name, _ in what), room)
        lines = []
        for name, amount in what:
            percent = f"{100 * amount / self._whole:.0f} %" if self._whole else ""
            label = pad(self.fitted(visible(name), names), names)
            text = f"  {label}{self._number(amount).rjust(_NUMBER)}{percent.rjust(7)}"
            lines.append(self.paint(text, BOLD) if name == "total" else text)
        return lines

    def note(self, mark: str, text: str, colour: str) -> str:
        """A line of words below the sum."""
        return self.paint(f"{mark} {self.fitted(text, self.width - _GUTTER)}", colour)

    def fitted(self, text: str, columns: int) -> str:
        """Text in at most so many columns, in what the terminal has."""
        if self._marks.unicode:
            return cut(text, columns)
        text = text.encode("ascii", "backslashreplace").decode()
        return text if len(text) <= columns else f"{text[: columns - 2]}.."

    def amount(self, microseconds: int) -> str:
        """A time with its unit."""
        return f"{self._number(microseconds)} {self._unit}"

    def paint(self, text: str, colour: str) -> str:
        """Text in a colour, where there are colours."""
        return painted(text, colour) if self._colours else text

    def _number(self, microseconds: int) -> str:
        return f"{microseconds / self._divisor:.2f}"

    def _bar(self, row: Row) -> str:
        """The bar of a row: blanks up to its start, and what it is drawn with."""
        begin, end = (self._scale.column(time, self._bars) for time in (row.start, row.start + row.duration))
        own = self._marks.gap if row.kind == GAP else self._marks.own
        if row.kind == RUNS and self._scale.is_cut(row):
            own = self._marks.cut
        if end == begin:
            thin = own if row.kind == GAP else self._marks.thin
            return " " * min(begin, self._bars - 1) + thin if row.duration else ""
        cells = [own] * (end - begin)
        for start, stop in row.inner:
            for column in range(self._scale.column(start, self._bars), self._scale.column(stop, self._bars)):
                cells[column - begin] = self._marks.inner
        return " " * begin + "".join(cells)


class _Scale:
    """From microseconds to columns. A container's process that runs for long takes less room than its time."""

    def __init__(self, found: Sequence[Row]) -> None:
        runs = [row for row in found if row.kind == RUNS]
        whole = total(found)
        others = whole - sum(row.duration for row in runs)
        self._most = int(others * _LONGEST_RUN / (1 - _LONGEST_RUN)) // max(len(runs), 1)
        self._cuts = [(row.start, row.start + row.duration) for row in runs if others and row.duration > self._most]
        self._whole = self._place(whole)

    def is_cut(self, row: Row) -> bool:
        """Whether this row is drawn shorter than it is."""
        return (row.start, row.start + row.duration) in self._cuts

    def column(self, time: int, columns: int) -> int:
        """The column, of so many, at which a time is."""
        return min(round(self._place(time) * columns / self._whole), columns) if self._whole else 0

    def _place(self, time: int) -> float:
        place = float(time)
        for start, end in self._cuts:
            if time > start:
                length = end - start
                place -= min(time, end) - start - (min(time, end) - start) * self._most / length
        return place


def _is_incidental(row: Row) -> bool:
    """Whether it is worth a line only if it takes long."""
    return row.kind == GAP or (row.name.startswith(f"{IMPORT} ") and not row.failed)


def _label(row: Row) -> str:
    return "  " * row.depth + _name(row)


def _name(row: Row) -> str:
    """The name of a row; a plugin without its kind, which its methods show."""
    if not row.plugin:
        return visible(row.name)
    name = row.name
    if name.startswith(f"{IMPORT} "):
        name = f"{IMPORT} {name.rpartition('.')[2].removeprefix(f'{IMPORT} ')}"  # whose module it is, is said already
    return visible(f"{row.plugin.partition(':')[2] or row.plugin}: {name}")
