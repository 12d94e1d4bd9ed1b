"""D-Bus messages: written and read by jeepney, whose connections are not used.

Its blocking connection sends ``Hello``, which systemd's own socket never answers, without a deadline; and it drops
signals that arrive between two calls (jeepney 0.9, io/blocking.py). Importing jeepney takes longer than all that is
asked of systemd for a container, so it is done as late as can be.
"""

from __future__ import annotations

from jeepney import HeaderFields, MessageType, Parser, new_method_call
from jeepney.wrappers import DBusAddress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from jeepney import Message


class Incoming:
    """A message that came in.

    Attributes:
        kind: "reply", "error", "signal" or "call".
        reply_to: serial of the call that it answers, 0 if none.
        name: of the error or the signal.
        path: object that a signal is about.
        sender: its unique name on a bus, "" without one.
        body: the arguments.
    """

    def __init__(self, message: Message) -> None:
        fields = message.header.fields
        self.kind = {
            MessageType.method_return: "reply",
            MessageType.error: "error",
            MessageType.signal: "signal",
        }.get(message.header.message_type, "call")
        self.reply_to: int = fields.get(HeaderFields.reply_serial, 0)
        self.name: str = fields.get(HeaderFields.error_name) or fields.get(HeaderFields.member, "")
        self.path: str = fields.get(HeaderFields.path, "")
        self.sender: str = fields.get(HeaderFields.sender, "")
        self.body: tuple[Any, ...] = message.body


class Reader:
    """Cuts what comes in into messages."""

    def __init__(self) -> None:
        self._parser = Parser()

    def feed(self, data: bytes) -> Iterator[Incoming]:
        """The messages that these bytes complete."""
        for message in self._parser.feed(data):
            yield Incoming(message)


def call(
    serial: int, destination: str, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...]
) -> bytes:
    """A method call.

    Raises:
        ValueError, TypeError: the arguments do not fit the signature.
    """
    address = DBusAddress(path, destination, interface)
    message = new_method_call(address, member, signature or None, body)
    encoded: bytes = message.serialise(serial)
    return encoded
