"""A D-Bus connection to a systemd manager, with a deadline on all that it waits for.

The manager's own socket is asked first: it needs no message bus, nobody stands between, and what comes through it is
systemd's. Where there is none the bus is asked. The server takes who we are from the kernel (``AUTH EXTERNAL`` without
an identity, as sd-bus does): the uid that we see may be another one than it sees, in a user namespace.
"""

from __future__ import annotations

import os
import time
from errno import ECONNREFUSED
from select import POLLIN, poll

from corelaunch.api import CorelaunchError, DeadlineExceeded, Unsupported

from .parts import BOOTED, SYSTEM, USER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .messages import Incoming

_PRIVATE = "/run/systemd/private"
_SYSTEM_BUS = "/run/dbus/system_bus_socket"

SYSTEMD = "org.freedesktop.systemd1"
MANAGER_PATH = "/org/freedesktop/systemd1"
MANAGER = f"{SYSTEMD}.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
_BUS = "org.freedesktop.DBus"
#: A job has ended: its number, its object, its unit, its result.
_JOB_ENDED, _JOB_ENDED_ARGUMENTS = "JobRemoved", "uoss"
_BUS_PATH = "/org/freedesktop/DBus"

_CHUNK = 65536

#: systemd is not on the bus: it joins a little after the bus is up, and leaves it to be executed anew.
_LEFT = tuple(f"{_BUS}.Error.{name}" for name in ("NameHasNoOwner", "ServiceUnknown", "NoReply", "Disconnected"))


#: How long systemd may refuse connections while it executes itself anew (systemctl daemon-reexec): a tenth of a second,
#: and more than two on a busy machine that is emulated.
_EXECUTED_ANEW = 10.0


class BusError(CorelaunchError):
    """systemd, or the bus, refused a call.

    Attributes:
        name: the D-Bus name of the error.
    """

    def __init__(self, member: str, name: str, text: str) -> None:
        super().__init__("systemd refused", where=member, why=f"{text} ({name})" if text else name)
        self.name = name
        self.text = text


class Disconnected(CorelaunchError):
    """The other end hung up: systemd is executed anew, or has died."""


class Garbled(CorelaunchError):
    """What the other end says is not D-Bus, or no answer to what it was asked."""


def addresses(manager: str) -> list[tuple[str, bool]]:
    """Sockets at which a manager may answer, and whether each is a message bus; the best first."""
    if manager == SYSTEM:
        own = [(_PRIVATE, False)] if os.geteuid() == 0 else []
        return [*own, (_SYSTEM_BUS, True)]
    found = []
    directory = os.environ.get("XDG_RUNTIME_DIR") or ""
    if directory.startswith("/"):
        found.append((f"{directory}/systemd/private", False))
    # The form of the address that is in use: unix:path=PATH[,guid=GUID] (D-Bus specification, "Server Addresses").
    for part in (os.environ.get("DBUS_SESSION_BUS_ADDRESS") or "").split(";"):
        transport, _, rest = part.partition(":")
        path = dict(pair.partition("=")[::2] for pair in rest.split(",")).get("path", "")
        if transport == "unix" and path:
            found.append((path, True))
    if directory.startswith("/") and (f"{directory}/bus", True) not in found:
        found.append((f"{directory}/bus", True))
    return found


def connect(manager: str, deadline: float) -> Connection:
    """Connect to the system's manager or to that of the user.

    Raises:
        Unsupported: there is none, or it does not let us in; the error says what to do.
        DeadlineExceeded: it does not answer.
    """
    patience = min(time.monotonic() + _EXECUTED_ANEW, deadline)
    while True:
        tried: list[str] = []
        again = False
        for path, is_bus in addresses(manager):
            try:
                return Connection(path, is_bus, deadline)
            except OSError as error:
                tried.append(f"{path}: {(os.strerror(error.errno) if error.errno else str(error)).lower()}")
                again = again or error.errno == ECONNREFUSED
            except (BusError, Disconnected, Garbled) as error:
                tried.append(f"{path}: {error.line()}")
                again = again or isinstance(error, Disconnected)
        if not again or time.monotonic() > patience:
            raise _unreachable(manager, tried)
        time.sleep(0.02)


def _unreachable(manager: str, tried: list[str]) -> Unsupported:
    if manager == USER:
        hint = "log in with a session (or: loginctl enable-linger USER), and set XDG_RUNTIME_DIR to /run/user/UID"
        why = "; ".join(tried) or "neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set"
        return Unsupported("cannot reach the user's systemd", why=why, hint=hint)
    hint = "use --cgroup-manager cgroupfs" if not os.path.isdir(BOOTED) else "is systemd well? systemctl status"
    return Unsupported("cannot reach systemd", why="; ".join(tried), hint=hint)


class Connection:
    """An open connection; close it soon, as systemd tells it of every unit of the host.

    Attributes:
        deadline: ``time.monotonic()`` value after which every wait is an error.
    """

    def __init__(self, path: str, is_bus: bool, deadline: float) -> None:
        """Connect and authenticate.

        Raises:
            OSError: nobody listens there.
            Disconnected, Garbled, BusError, DeadlineExceeded: as for a call.
        """
        import _socket

        self.deadline = deadline
        self.path = path
        self._serial = 0
        self._owner = ""
        self._is_bus = is_bus
        self._pending: list[Incoming] = []
        self._socket: Any = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        self._poll = poll()
        self._poll.register(self._socket.fileno(), POLLIN)
        try:
            self._socket.connect(path)
            self._authenticate()
            from .messages import Reader

            self._reader = Reader()
            if is_bus:
                self.call(_BUS, "Hello", returns="s", destination=_BUS, path=_BUS_PATH)
                (self._owner,) = self.call(
                    _BUS, "GetNameOwner", "s", SYSTEMD, returns="s", destination=_BUS, path=_BUS_PATH
                )
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def listen(self) -> None:
        """Ask for the manager's signals; they are kept for :meth:`job_result` from now on.

        The manager's own socket gives them to everybody (systemd, src/core/dbus.c, bus_foreach_bus).
        """
        if not self._is_bus:
            return
        rule = f"type='signal',sender='{SYSTEMD}',interface='{MANAGER}',path='{MANAGER_PATH}'"
        self.call(_BUS, "AddMatch", "s", rule, destination=_BUS, path=_BUS_PATH)
        self.call(MANAGER, "Subscribe")

    def call(
        self,
        interface: str,
        member: str,
        signature: str = "",
        *arguments: Any,
        returns: str = "",
        path: str = MANAGER_PATH,
        destination: str = SYSTEMD,
    ) -> tuple[Any, ...]:
        """Call a method and wait for its answer, whose signature is ``returns``.

        Raises:
            BusError: it was refused.
            Disconnected: nobody is there any more.
            Garbled: the answer is none.
            DeadlineExceeded: no answer in time.
        """
        return self._answer(self._ask(interface, member, signature, arguments, path, destination), member, returns)

    def get(self, path: str, *names: str) -> list[Any]:
        """Properties of an object, asked for together.

        Args:
            path: the object.
            names: of properties, each with its interface: ``org.freedesktop.systemd1.Unit.ActiveState``.

        Raises:
            BusError, Disconnected, Garbled, DeadlineExceeded: as :meth:`call`.
        """
        serials = []
        for name in names:
            interface, _, member = name.rpartition(".")
            serials.append(self._ask(PROPERTIES, "Get", "ss", (interface, member), path, SYSTEMD))
        return [self._answer(serial, "Get", "v")[0][1] for serial in serials]

    def job_result(self, job: str, until: float) -> str:
        """How a job has ended since :meth:`listen`, in systemd's word; "" if nothing was heard of it until then."""
        try:
            # On a bus anybody can send us a signal of any name.
            signal = self._take(
                lambda message: message.kind == "signal"
                and (message.sender == self._owner or not self._is_bus)
                and self._body(message)[1] == job,
                "",
                until,
            )
            return str(self._body(signal)[3])
        except DeadlineExceeded:
            return ""

    def _ask(
        self, interface: str, member: str, signature: str, arguments: tuple[Any, ...], path: str, destination: str
    ) -> int:
        """Send a call; the serial that its answer will carry."""
        from .messages import call

        self._serial += 1
        self._send(call(self._serial, destination, path, interface, member, signature, arguments))
        return self._serial

    def _answer(self, serial: int, member: str, returns: str) -> tuple[Any, ...]:
        reply = self._take(lambda message: message.reply_to == serial and message.kind in ("reply", "error"), member)
        if reply.name in _LEFT and reply.kind == "error":
            raise Disconnected("systemd left the bus", where=self.path, why=member)
        if reply.kind == "error":
            raise BusError(member, reply.name, self._body(reply)[0] if reply.signature[:1] == "s" else "")
        if reply.signature != returns:
            raise self._garbled(f"it answers {member} with {reply.signature!r} in place of {returns!r}")
        return self._body(reply)

    def _body(self, message: Incoming) -> tuple[Any, ...]:
        try:
            return message.body
        except ValueError as error:
            raise self._garbled(str(error)) from error

    def _garbled(self, why: str) -> Garbled:
        return Garbled("systemd does not speak D-Bus", where=self.path, why=why)

    def _take(self, wanted: Callable[[Incoming], bool], what: str, until: float = float("inf")) -> Incoming:
        while True:
            for index, message in enumerate(self._pending):
                if wanted(message):
                    del self._pending[index]
                    return message
            data = self._receive(what, until)
            try:
                # Of all signals one is waited for: the others are many on a busy host.
                self._pending += (
                    message
                    for message in self._reader.feed(data)
                    if message.kind in ("reply", "error")
                    or (message.name == _JOB_ENDED and message.signature == _JOB_ENDED_ARGUMENTS)
                )
            except ValueError as error:
                raise self._garbled(str(error)) from error

    def _receive(self, what: str, until: float = float("inf")) -> bytes:
        left = min(self.deadline, until) - time.monotonic()
        if left < 0 or not self._poll.poll(left * 1000):
            raise DeadlineExceeded("systemd does not answer", where=self.path, why=f"{what or 'it'} took too long")
        try:
            data: bytes = self._socket.recv(_CHUNK)
        except OSError as error:
            raise Disconnected("systemd hung up", where=self.path, why=str(error), errno=error.errno or 0) from error
        if not data:
            raise Disconnected("systemd hung up", where=self.path, why=what)
        return data

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(max(self.deadline - time.monotonic(), 0.001))
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise DeadlineExceeded("systemd does not read", where=self.path) from error
        except OSError as error:
            raise Disconnected("systemd hung up", where=self.path, why=str(error), errno=error.errno or 0) from error

    def _authenticate(self) -> None:
        """SASL EXTERNAL (D-Bus specification, "Authentication Protocol"), all of it at once as sd-bus does.

        A message that systemd reads together with ``BEGIN`` lies in its buffer until the next one comes; when both
        answers are here, it has read ``BEGIN``.
        """
        self._send(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
        answer = b""
        while answer.count(b"\r\n") < 2:
            answer += self._receive("authentication")
            if answer.startswith((b"REJECTED", b"ERROR")):
                break
        if b"OK " not in answer:
            raise BusError("AUTH EXTERNAL", " ".join(answer.decode(errors="replace").split()), "")
