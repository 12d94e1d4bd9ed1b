"""Values in the text format of GVariant, as annotations have them: ``uint64 5``, ``'text'``, ``@as []``.

https://docs.gtk.org/glib/gvariant-text-format.html, without maybe types, dictionaries, object paths, signatures, format
strings and infinity: no property of a unit needs them. The types are those of D-Bus.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEYWORDS = {
    "boolean": "b",
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "double": "d",
    "string": "s",
}
_RANGES = {
    "y": (0, (1 << 8) - 1),
    "n": (-(1 << 15), (1 << 15) - 1),
    "q": (0, (1 << 16) - 1),
    "i": (-(1 << 31), (1 << 31) - 1),
    "u": (0, (1 << 32) - 1),
    "x": (-(1 << 63), (1 << 63) - 1),
    "t": (0, (1 << 64) - 1),
}
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_HEX = {"u": 4, "U": 8}
#: Beyond any property, and a limit on what a text can make us do.
_DEEPEST = 16


def parse(text: str) -> tuple[str, Any]:
    """The D-Bus signature and the value of a text.

    Raises:
        ValueError: it is not in this format; the message says where.
    """
    parser = _Parser(text)
    node = parser.value(0)
    parser.blanks()
    if parser.at < len(text):
        raise parser.error("something follows the value")
    signature = node.signature()
    return signature, node.typed(signature)


class _Node:
    """A value as it was written, with the type that was written with it ("" if none was)."""

    def __init__(self, kind: str, content: Any, annotated: str, at: int) -> None:
        self.kind = kind  #: "number", "string", "boolean", "array" or "tuple"
        self.content = content
        self.annotated = annotated
        self.at = at

    def signature(self) -> str:
        """Its type: as written, else what GVariant takes it for (int32, double, string …)."""
        if self.annotated:
            return self.annotated
        if self.kind == "number":
            text: str = self.content
            return "d" if set(text) & set(".eE") and "x" not in text.lower() else "i"
        if self.kind == "array":
            if not self.content:
                raise ValueError(f"at {self.at}: an empty array needs its type: @as []")
            items: list[_Node] = self.content
            written = [node.annotated for node in items if node.annotated]
            return "a" + (written[0] if written else items[0].signature())
        if self.kind == "tuple":
            return f"({''.join(node.signature() for node in self.content)})"
        return "s" if self.kind == "string" else "b"

    def typed(self, signature: str) -> Any:
        """The value, as a value of this type."""
        if self.annotated and self.annotated != signature:
            raise ValueError(f"at {self.at}: of type {self.annotated}, where {signature} is needed")
        if self.kind == "array" and signature.startswith("a"):
            return [node.typed(signature[1:]) for node in self.content]
        if self.kind == "tuple" and signature.startswith("("):
            kinds = split(signature[1:-1])
            if len(kinds) == len(self.content):
                return tuple(node.typed(kind) for node, kind in zip(self.content, kinds))
        if self.kind == "string" and signature == "s":
            return self.content
        if self.kind == "boolean" and signature == "b":
            return self.content
        if self.kind == "number":
            return self._number(signature)
        raise ValueError(f"at {self.at}: a {self.kind}, where {signature} is needed")

    def _number(self, signature: str) -> int | float:
        if signature == "d":
            return float(self.content)
        if signature not in _RANGES:
            raise ValueError(f"at {self.at}: a number, where {signature} is needed")
        try:
            value = int(self.content, 0)
        except ValueError:
            raise ValueError(f"at {self.at}: {self.content!r} is not an integer") from None
        least, most = _RANGES[signature]
        if not least <= value <= most:
            raise ValueError(f"at {self.at}: {value} is not within {least} to {most}")
        return value


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def error(self, what: str) -> ValueError:
        return ValueError(f"at {self.at}: {what}")

    def blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t\n\r":
            self.at += 1

    def value(self, depth: int) -> _Node:
        if depth > _DEEPEST:
            raise self.error("nested too deeply")
        self.blanks()
        at, start = self.at, self.text[self.at : self.at + 1]
        if start == "@":
            self.at += 1
            annotated = self.word()
            if len(split(annotated)) != 1:
                raise ValueError(f"at {at}: {annotated!r} is no type of a property")
            return self.annotated(annotated, depth, at)
        if start in "'\"" and start:
            return _Node("string", self.string(start), "", at)
        if start and start in "[(":
            return self.sequence(start, depth, at)
        word = self.word()
        if word in ("true", "false"):
            return _Node("boolean", word == "true", "", at)
        if word in _KEYWORDS:
            return self.annotated(_KEYWORDS[word], depth, at)
        if not word or not (word[0].isdigit() or word[0] in "+-."):
            raise ValueError(f"at {at}: {word or start!r} is no value (text is in quotes)")
        return _Node("number", _number(word, at), "", at)

    def annotated(self, signature: str, depth: int, at: int) -> _Node:
        node = self.value(depth + 1)
        if node.annotated and node.annotated != signature:
            raise ValueError(f"at {at}: two types for one value")
        return _Node(node.kind, node.content, signature, at)

    def sequence(self, start: str, depth: int, at: int) -> _Node:
        end = "]" if start == "[" else ")"
        self.at += 1
        items: list[_Node] = []
        comma = True
        while True:
            self.blanks()
            if self.text[self.at : self.at + 1] == end:
                if comma and items and end == "]":
                    raise self.error("a value is missing after the comma")
                break
            if not comma:
                raise self.error(f"',' or {end!r} is missing")
            items.append(self.value(depth + 1))
            self.blanks()
            comma = self.text[self.at : self.at + 1] == ","
            self.at += comma
        self.at += 1
        if end == ")" and (not items or (len(items) == 1 and not comma)):
            raise ValueError(f"at {at}: a tuple of one value is written (value,), and one of none is of no use")
        return _Node("array" if end == "]" else "tuple", items, "", at)

    def word(self) -> str:
        begin = self.at
        while self.at < len(self.text) and self.text[self.at] not in " \t\n\r,[]'\"" and (
            self.text[self.at] not in "()" or self.text[begin - 1 : begin] == "@"
        ):
            self.at += 1
        return self.text[begin : self.at]

    def string(self, quote: str) -> str:
        self.at += 1
        found: list[str] = []
        while True:
            letter = self.text[self.at : self.at + 1]
            self.at += 1
            if letter == quote:
                return "".join(found)
            if not letter:
                raise self.error("the text does not end")
            if letter == "\\":
                letter = self.escape()
            if letter == "\0":
                raise self.error("a NUL in a text")
            found.append(letter)

    def escape(self) -> str:
        letter = self.text[self.at : self.at + 1]
        self.at += 1
        if letter in _HEX:
            digits = self.text[self.at : self.at + _HEX[letter]]
            self.at += _HEX[letter]
            try:
                code = int(digits, 16) if len(digits) == _HEX[letter] else -1
                return chr(code).encode().decode()  # a surrogate is no letter
            except (ValueError, OverflowError):
                raise self.error("not the code of a letter") from None
        return _ESCAPES.get(letter, letter)


def split(signature: str) -> list[str]:
    """The single types of a signature.

    Raises:
        ValueError: it is not one, or has a type that no property has.
    """
    found = []
    rest = signature
    while rest:
        single, rest = _single(rest, 0)
        found.append(single)
    return found


def _single(signature: str, depth: int) -> tuple[str, str]:
    first = signature[:1]
    if depth > _DEEPEST or not first:
        raise ValueError("not a D-Bus type")
    if first == "a":
        inner, rest = _single(signature[1:], depth + 1)
        return f"a{inner}", rest
    if first == "(":
        rest, whole = signature[1:], "("
        while not rest.startswith(")"):
            inner, rest = _single(rest, depth + 1)
            whole += inner
        if whole == "(":
            raise ValueError("not a D-Bus type: ()")
        return f"{whole})", rest[1:]
    if first not in _KEYWORDS.values():
        raise ValueError(f"not a D-Bus type: {first!r}")
    return first, signature[1:]


def _number(word: str, at: int) -> str:
    """The word, if int() or float() would read it as GVariant does: no underscores, no leading zeros, no inf."""
    digits = word.lstrip("+-")
    hexadecimal = digits[:2] in ("0x", "0X")
    allowed = "0123456789abcdefABCDEFxX" if hexadecimal else "0123456789.eE+-"
    wrong = len(word) - len(digits) > 1 or set(digits) - set(allowed) or (digits[:1] == "0" and digits[1:2].isdigit())
    try:
        if wrong:
            raise ValueError
        int(word, 0) if hexadecimal else float(word)
    except ValueError:
        raise ValueError(f"at {at}: {word!r} is not a number") from None
    return word
