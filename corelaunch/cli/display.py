"""Text on a terminal: which columns it takes, and what of it may not reach the terminal as it is.

Ids, paths, annotations, titles of processes and what plugins say come from others. A terminal does what control
characters tell it (``ESC ]`` and C1 controls, also in UTF-8), and format characters (U+202E) change the order of what
is read, so everything that is not printable is written as an escape.
"""

from __future__ import annotations

ELLIPSIS = "…"

#: What :func:`painted` paints with (SGR).
BOLD, DIM = "1", "2"
RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, WHITE = "31", "32", "33", "34", "35", "36", "37"

#: Vowels and final consonants of Hangul: they take no column of their own after the letter that they complete.
_JAMO = range(0x1160, 0x1200)


def visible(text: str) -> str:
    r"""Text without anything that a terminal acts upon: ``\x1b``, ``\u202e``; a byte that is no UTF-8: ``\xff``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else repr(character)[1:-1]


def width(text: str) -> int:
    """Columns that printable text takes: 2 for wide characters of East Asia, 0 for combining ones (UAX #11)."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if character < "\u0300":
        return 1
    from unicodedata import category, east_asian_width

    if category(character) in ("Mn", "Me") or ord(character) in _JAMO:
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """Text in at most ``columns`` (from 1), its end replaced by an ellipsis where it does not fit."""
    if width(text) <= columns:
        return text
    return _beginning(text, columns - 1) + ELLIPSIS


def cut_beginning(text: str, columns: int) -> str:
    """As :func:`cut`, for what matters at its end, as a path does."""
    if width(text) <= columns:
        return text
    start, taken = len(text), 0
    while start and taken + _columns_of(text[start - 1]) < columns:
        start -= 1
        taken += _columns_of(text[start])
    while start < len(text) and not _columns_of(text[start]):
        start += 1  # the character that it combined with is cut off
    return ELLIPSIS + text[start:]


def wrap(text: str, columns: int) -> list[str]:
    """Text in lines of at most ``columns`` (from 2), broken at blanks, and inside of words that are longer."""
    lines = [""]
    for word in text.split(" "):
        line = f"{lines[-1]} {word}" if lines[-1] else word
        if width(line) <= columns:
            lines[-1] = line
            continue
        if lines[-1]:
            lines.append("")
        while width(word) > columns:
            lines[-1] = _beginning(word, columns)
            word = word[len(lines[-1]) :]
            lines.append("")
        lines[-1] = word
    return lines


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Text with blanks behind it, or before it, up to ``columns``."""
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


def painted(text: str, colour: str) -> str:
    """Text in one of the colours above; as it is if either is "". To be measured and cut before that."""
    return f"\x1b[{colour}m{text}\x1b[0m" if text and colour else text


def _beginning(text: str, columns: int) -> str:
    """The longest beginning that fits, with all that combines with its last character."""
    taken = 0
    for index, character in enumerate(text):
        taken += _columns_of(character)
        if taken > columns:
            return text[:index]
    return text
