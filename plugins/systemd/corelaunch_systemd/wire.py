"""The D-Bus wire format (D-Bus specification, "Type system" and "Marshaling"): values from and to bytes.

Written by hand because a library's import takes longer than all that is asked of systemd for a container (jeepney's
20 ms, most of it for modules of the standard library that nothing else here needs). Tests hold it to jeepney's bytes.
File descriptors are left out.
"""

from __future__ import annotations

import sys
from struct import error as struct_error
from struct import pack, unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

NATIVE = "<" if sys.byteorder == "little" else ">"

#: Type -> its letter for struct. Each is aligned to its own size.
_FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
_ALIGNMENT = {
    **dict.fromkeys("ygv", 1),
    **dict.fromkeys("nq", 2),
    **dict.fromkeys("biusoa", 4),
    **dict.fromkeys("xtd({", 8),
}

#: Containers within containers: 32 arrays and 32 structs (specification, "Valid Signatures"), and variants alike.
_DEEPEST = 64
_LONGEST_ARRAY = 1 << 26


def split(signature: str) -> list[str]:
    """The single complete types of a signature.

    Raises:
        ValueError: it is not one.
    """
    found = []
    while signature:
        single, signature = _single(signature, 0)
        found.append(single)
    return found


def encode(signature: str, values: Sequence[Any]) -> bytes:
    """Values of these types, as from a boundary of 8 bytes on.

    An array is a list (of bytes: bytes), a struct or a dictionary's entry a tuple, a variant (signature, value).

    Raises:
        ValueError: they are not of these types.
    """
    kinds = split(signature)
    if len(kinds) != len(values):
        raise ValueError(f"{len(values)} values for {signature!r}")
    out = bytearray()
    try:
        for kind, value in zip(kinds, values):
            _put(out, kind, value)
    except (struct_error, TypeError, AttributeError) as error:
        raise ValueError(f"not values of {signature!r}: {error}") from None
    return bytes(out)


def decode(signature: str, data: bytes, order: str) -> tuple[Any, ...]:
    """The values of these types that begin at a boundary of 8 bytes; a dictionary is a dict, a variant its value.

    Raises:
        ValueError: the bytes are not of these types.
    """
    decoder = _Decoder(data, order)
    try:
        return tuple(decoder.take(kind, 0) for kind in split(signature))
    except (struct_error, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"not values of {signature!r}: {error}") from None


def _single(signature: str, depth: int) -> tuple[str, str]:
    """The first single type, and what follows it."""
    first = signature[:1]
    if not first or depth > _DEEPEST:
        raise ValueError("not a D-Bus signature")
    if first in _FIXED or first in "sogv":
        return first, signature[1:]
    if first == "a":
        inner, rest = _single(signature[1:], depth + 1)
        return first + inner, rest
    end = {"(": ")", "{": "}"}.get(first)
    if end is None:
        raise ValueError(f"not a D-Bus type: {first!r}")
    whole, rest = first, signature[1:]
    while rest[:1] != end:
        inner, rest = _single(rest, depth + 1)
        whole += inner
    if len(whole) == 1:
        raise ValueError("not a D-Bus type: it is empty")
    return whole + end, rest[1:]


def _pad(out: bytearray, alignment: int) -> None:
    out += bytes(-len(out) % alignment)


def _put(out: bytearray, kind: str, value: Any) -> None:
    first = kind[0]
    _pad(out, _ALIGNMENT[first])
    if first in _FIXED:
        out += pack(NATIVE + _FIXED[first], value)
    elif first in "so":
        text = value.encode()
        out += pack(NATIVE + "I", len(text)) + text + b"\0"
    elif first == "g":
        out += bytes((len(value),)) + value.encode() + b"\0"
    elif first == "v":
        signature, inner = value
        (single,) = split(signature)
        _put(out, "g", signature)
        _put(out, single, inner)
    elif first == "a":
        begin = len(out)
        out += bytes(4)
        _pad(out, _ALIGNMENT[kind[1]])
        first_item = len(out)
        if kind == "ay":
            out += bytes(value)
        else:
            for item in value:
                _put(out, kind[1:], item)
        out[begin : begin + 4] = pack(NATIVE + "I", len(out) - first_item)
    else:
        kinds = split(kind[1:-1])
        if len(kinds) != len(value):
            raise ValueError(f"{value!r} is not a {kind}")
        for inner_kind, item in zip(kinds, value):
            _put(out, inner_kind, item)


class _Decoder:
    def __init__(self, data: bytes, order: str) -> None:
        self._data = data
        self._order = order
        self._at = 0

    def take(self, kind: str, depth: int) -> Any:
        """The next value."""
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        first = kind[0]
        self._at += -self._at % _ALIGNMENT[first]
        if first in _FIXED:
            (value,) = unpack_from(self._order + _FIXED[first], self._data, self._at)
            self._at += 8 if first in "xtd" else _ALIGNMENT[first]
            return bool(value) if first == "b" else value
        if first in "so":
            return self._bytes(self.take("u", depth), 1).decode()
        if first == "g":
            return self._bytes(self.take("y", depth), 1).decode()
        if first == "v":
            kinds = split(self.take("g", depth))
            if len(kinds) != 1:
                raise ValueError("a variant of several values")
            return self.take(kinds[0], depth + 1)
        if first == "a":
            return self._array(kind[1:], depth)
        return tuple(self.take(inner, depth + 1) for inner in split(kind[1:-1]))

    def _array(self, kind: str, depth: int) -> Any:
        length = self.take("u", depth)
        self._at += -self._at % _ALIGNMENT[kind[0]]
        if length > _LONGEST_ARRAY or self._at + length > len(self._data):
            raise ValueError("an array is longer than its message")
        if kind == "y":
            return self._bytes(length, 0)
        end = self._at + length
        items = []
        while self._at < end:
            items.append(self.take(kind, depth + 1))
        if self._at != end:
            raise ValueError("an item is longer than its array")
        return dict(items) if kind[0] == "{" else items

    def _bytes(self, length: int, after: int) -> bytes:
        begin = self._at
        self._at += length + after
        if self._at > len(self._data):
            raise ValueError("a text is longer than its message")
        return self._data[begin : begin + length]
