"""What a terminal would show, as SVG: the same text gives the same bytes.

Text and SGR sequences (ECMA-48, 8.3.117) and nothing else; whatever else begins with ESC is an error. Each run of text
says how wide it is, so that columns stand below each other in whatever font the reader has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from corelaunch.cli.display import width

FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
SIZE, CELL, LINE, MARGIN = 13, 7.8, 17, 14
GROUND, INK = "#1b1f27", "#d5dae3"
#: SGR 30 to 37; 90 to 97 are these as well.
COLOURS = ("#6b7280", "#f47067", "#7bc275", "#e0b453", "#6cb6ff", "#dcbdfb", "#5bc8c8", "#d5dae3")
FAINT = "#8b93a1"

_SGR = re.compile(r"\x1b\[([\d;]*)m")


class Style:
    """How text looks at the moment."""

    def __init__(self) -> None:
        self.colour, self.bold = "", False

    def apply(self, parameters: str) -> None:
        """Change it as an SGR sequence says."""
        for code in map(int, (parameters or "0").split(";")):
            if code == 0:
                self.colour, self.bold = "", False
            elif code == 1:
                self.bold = True
            elif code == 2:
                self.colour = FAINT
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self.colour = COLOURS[code % 10]
            elif code == 39:
                self.colour = ""
            else:
                raise ValueError(f"SGR {code} is not known here")


def runs(line: str, style: Style) -> Iterator[tuple[int, str, str, bool]]:
    """(column, text, colour, bold) of each piece of a line that is not blank."""
    column = 0
    for index, part in enumerate(_SGR.split(line)):
        if index % 2:
            style.apply(part)
            continue
        if not part.isprintable():
            raise ValueError(f"no text: {part!r}")
        # Wide gaps are no text: a run between them is placed by its column.
        for piece in re.finditer(r"\S+(?: \S+)*", part):
            yield column + width(part[: piece.start()]), piece.group(), style.colour, style.bold
        column += width(part)


def picture(text: str, columns: int, title: str) -> str:
    """The SVG of lines of at most ``columns``.

    Raises:
        ValueError: a line is wider, or has something in it that is neither text nor SGR.
    """
    lines = text.rstrip("\n").split("\n")
    across, down = round(columns * CELL + 2 * MARGIN), len(lines) * LINE + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down}" width="{across}" height="{down}" '
        f'role="img" aria-label={quoteattr(title)}>\n<title>{escape(title)}</title>\n'
        f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>\n'
        f'<g font-family="{FONT}" font-size="{SIZE}" fill="{INK}" xml:space="preserve">\n'
    ]
    style = Style()
    for number, line in enumerate(lines):
        y = MARGIN + number * LINE + SIZE
        for column, run, colour, bold in runs(line, style):
            cells = width(run)
            if column + cells > columns:
                raise ValueError(f"line {number + 1} is wider than {columns} columns: {line!r}")
            look = (f' fill="{colour}"' if colour else "") + (' font-weight="bold"' if bold else "")
            place = f'x="{_short(MARGIN + column * CELL)}" y="{y}" textLength="{_short(cells * CELL)}"'
            parts.append(f"<text {place}{look}>{escape(run)}</text>\n")
    return "".join([*parts, "</g>\n</svg>\n"])


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
