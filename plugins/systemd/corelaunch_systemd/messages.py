"""D-Bus messages, written and read by jeepney: calls to send, and what comes in cut into messages.

jeepney's connections are not used: they send ``Hello``, which systemd's own socket never answers, without a deadline;
and they drop signals that arrive between two calls (jeepney 0.9, io/blocking.py). Nor is its ``Parser``: it reads the
bodies of all signals, of which there are many on a busy host, and trusts lengths and signatures.
"""

from __future__ import annotations

from .jeepney_messages import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_dbus = load()
_FIELD = _dbus.HeaderFields
_NUMBERS = (_FIELD.reply_serial, _FIELD.unix_fds)
_TYPE = _dbus.MessageType
_KINDS = {_TYPE.method_call: "call", _TYPE.method_return: "reply", _TYPE.error: "error", _TYPE.signal: "signal"}

#: What a message begins with, up to and with the length of its header's fields (D-Bus specification, "Message Format").
_BEGINNING = 16
_VERSION = 1
#: What a message can be at most (the same chapter).
_LONGEST = 1 << 27

#: A type of no bytes: no valid signature has it, and jeepney would read an array of such for ever.
_NOTHING = "()"

#: What jeepney raises for bytes that are not of their types (KeyError: an unknown type; AssertionError: a text without
#: its NUL; RecursionError: variants in variants).
_WRONG = (ValueError, LookupError, TypeError, AssertionError, RecursionError)


class Incoming:
    """A message that came in.

    Attributes:
        kind: "reply", "error", "signal" or "call".
        reply_to: serial of the call that it answers, 0 if none.
        name: of the error or the signal.
        sender: its unique name on a bus, "" without one.
        signature: the types of its arguments.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        length = int.from_bytes(data[12:_BEGINNING], "little" if data[:1] == b"l" else "big")
        if _NOTHING.encode() in data[_BEGINNING : _BEGINNING + length]:  # neither names nor paths have it
            raise ValueError("not the fields of a header")
        header, self._body_at = _read(_dbus.Header.from_buffer, data)
        # The body begins at a boundary of 8 bytes.
        self._body_at += -self._body_at % 8
        if self._body_at + header.body_length != len(data):
            raise ValueError("the fields of a header are longer, or shorter, than it says")
        fields = header.fields
        if any(isinstance(value, str) is (field in _NUMBERS) for field, value in fields.items()):
            raise ValueError("a field of the header is not of its type")
        self._endianness = header.endianness
        self.kind = _KINDS[header.message_type]
        self.reply_to: int = fields.get(_FIELD.reply_serial, 0)
        self.name: str = fields.get(_FIELD.error_name) or fields.get(_FIELD.member, "")
        self.sender: str = fields.get(_FIELD.sender, "")
        self.signature: str = fields.get(_FIELD.signature, "")

    @property
    def body(self) -> tuple[Any, ...]:
        """The arguments; a variant is a pair of its signature and its value.

        Raises:
            ValueError: the bytes are not of the types of the signature, or a variant has another one in it (nothing
                that we ask for has).
        """
        data, at = self._data, self._body_at
        inner = data[at + 1 : at + 1 + data[at]].decode("latin-1") if self.signature == "v" and at < len(data) else ""
        if "v" in inner or _NOTHING in inner or ("v" in self.signature and self.signature != "v"):
            raise ValueError(f"values of {self.signature!r} with {inner!r} in it were not asked for")
        kind = _read(lambda: _dbus.parse_signature(list(f"({self.signature})")))
        values, end = _read(kind.parse_data, data, at, self._endianness)
        if end != len(data):
            raise ValueError(f"not values of {self.signature!r}: {len(data) - at} bytes in place of {end - at}")
        found: tuple[Any, ...] = values
        return found


def _read(read: Any, *arguments: Any) -> Any:
    from struct import error

    try:
        return read(*arguments)
    except (*_WRONG, error) as wrong:
        raise ValueError(f"{type(wrong).__name__}: {wrong}") from None


class Reader:
    """Cuts what comes in into messages."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Incoming]:
        """The messages that these bytes complete.

        Raises:
            ValueError: that is not D-Bus.
        """
        self._buffer += data
        while len(self._buffer) >= _BEGINNING:
            if self._buffer[:1] not in _dbus.endian_map or self._buffer[3] != _VERSION:
                raise ValueError(f"not a D-Bus message: it begins with {self._buffer[:4]!r}")
            length = _dbus.calc_msg_size(self._buffer[:_BEGINNING])
            if length > _LONGEST:
                raise ValueError(f"a message of {length} bytes")
            if len(self._buffer) < length:
                return
            message, self._buffer = self._buffer[:length], self._buffer[length:]
            yield Incoming(message)


def call(
    serial: int, destination: str, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...]
) -> bytes:
    """A method call.

    An array is a list (of bytes: bytes), a struct a tuple, a variant a pair (signature, value).

    Raises:
        ValueError: the arguments do not fit the signature.
    """
    fields = {_FIELD.path: path, _FIELD.interface: interface, _FIELD.member: member, _FIELD.destination: destination}
    if signature:
        fields[_FIELD.signature] = signature
    header = _dbus.Header(_dbus.Endianness.little, _TYPE.method_call, 0, _VERSION, 0, serial, fields)
    encoded: bytes = _read(_dbus.Message(header, body).serialise)
    return encoded
