"""D-Bus messages (D-Bus specification, "Message Format"): calls to send, and what comes in cut into messages."""

from __future__ import annotations

from struct import unpack_from

from .wire import NATIVE, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_KINDS = {1: "call", 2: "reply", 3: "error", 4: "signal"}
_PATH, _INTERFACE, _MEMBER, _ERROR, _REPLY_TO, _DESTINATION, _SENDER, _SIGNATURE = range(1, 9)

_CALL = 1
_VERSION = 1
#: What a message can be at most (the same chapter).
_LONGEST = 1 << 27


class Incoming:
    """A message that came in.

    Attributes:
        kind: "reply", "error", "signal" or "call".
        reply_to: serial of the call that it answers, 0 if none.
        name: of the error or the signal.
        sender: its unique name on a bus, "" without one.
    """

    def __init__(self, data: bytes, order: str) -> None:
        number, end = data[1], 16 + unpack_from(order + "I", data, 12)[0]
        # The fields are an array; before it are twelve bytes, so it is decoded with them as numbers.
        fields = dict(decode("uuua(yv)", data[:end], order)[3])
        self.kind = _KINDS.get(number, "")
        self.reply_to: int = fields.get(_REPLY_TO, 0)
        self.name: str = fields.get(_ERROR) or fields.get(_MEMBER, "")
        self.sender: str = fields.get(_SENDER, "")
        self._signature: str = fields.get(_SIGNATURE, "")
        self._body = data[end + -end % 8 :]
        self._order = order

    @property
    def body(self) -> tuple[Any, ...]:
        """The arguments; most signals are looked at by their name alone."""
        return decode(self._signature, self._body, self._order)


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
        while len(self._buffer) >= 16:
            order = {b"l": "<", b"B": ">"}.get(self._buffer[:1], "")
            if not order:
                raise ValueError(f"not a D-Bus message: it begins with {self._buffer[:4]!r}")
            body, _, fields = unpack_from(order + "III", self._buffer, 4)
            length = 16 + fields + -fields % 8 + body
            if length > _LONGEST:
                raise ValueError(f"a message of {length} bytes")
            if len(self._buffer) < length:
                return
            message, self._buffer = self._buffer[:length], self._buffer[length:]
            yield Incoming(message, order)


def call(
    serial: int, destination: str, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...]
) -> bytes:
    """A method call.

    Raises:
        ValueError: the arguments do not fit the signature.
    """
    arguments = encode(signature, body)
    fields = [
        (_PATH, ("o", path)),
        (_INTERFACE, ("s", interface)),
        (_MEMBER, ("s", member)),
        (_DESTINATION, ("s", destination)),
    ]
    if signature:
        fields.append((_SIGNATURE, ("g", signature)))
    order = ord("l" if NATIVE == "<" else "B")
    header = encode("yyyyuua(yv)", (order, _CALL, 0, _VERSION, len(arguments), serial, fields))
    return header + bytes(-len(header) % 8) + arguments
