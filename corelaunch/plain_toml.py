"""The TOML that config files are usually written in, read in microseconds: ``tomllib`` costs 11 ms at import.

That is: comments, ``[table]``, and one ``key = value`` a line: a string without escapes, a number, or a list of such
strings. Everything else is left to ``tomllib``; a test holds both to the same answers.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def loads(text: str) -> dict[str, Any] | None:
    """The tables of a plain text; None if it is not plain, or wrong."""
    top: dict[str, Any] = {}
    table = top
    if any((c < " " and c not in "\n\t") or c == "\x7f" for c in text):
        return None
    for line in text.split("\n"):
        line = line.strip(" \t")
        if not line or line[0] == "#":
            continue
        if line[0] == "[":
            name = line[1:-1]
            if line[-1] != "]" or not name or not _BARE.issuperset(name) or name in top:
                return None
            table = top[name] = {}
            continue
        key, equals, rest = line.partition("=")
        key = key.rstrip(" \t")
        value = _value(_without_comment(rest).strip(" \t"))
        if not equals or not key or not _BARE.issuperset(key) or key in table or value is None:
            return None
        table[key] = value
    return top


def _without_comment(text: str) -> str:
    """The text before a ``#`` that stands in no string."""
    before = text.partition("#")[0]
    return text if before.count('"') % 2 or before.count("'") % 2 else before


def _value(text: str) -> Any:
    if text[:1] == "[" and text[-1:] == "]":
        items = [item.strip(" \t") for item in text[1:-1].split(",")]
        if items[-1] == "":
            items.pop()
        strings = [_string(item) for item in items]
        return None if None in strings else strings
    whole, point, fraction = text.partition(".")
    if _is_number(whole) and (whole == "0" or whole[0] != "0"):
        if not point:
            return int(whole)
        return float(text) if _is_number(fraction) else None
    return _string(text)


def _string(text: str) -> str | None:
    inside = text[1:-1]
    if len(text) < 2 or text[0] not in "\"'" or text[-1] != text[0] or text[0] in inside or "\\" in inside:
        return None
    return inside


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
