"""The parent's end of the sync socket: sends, receives with a deadline, raises what the child reports."""

from __future__ import annotations

import os
import time
from struct import calcsize, unpack, unpack_from

from ..errors import ChildError, DeadlineExceeded, HookError, ProtocolError, one_line
from ..kernel import native
from ..kernel.native import lib
from .sync import MESSAGES, NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..kernel.native import Message
    from .sync import SyncMachine

_ERROR = f"=IIIIi{lib.CL_ERROR_PATH}s{lib.CL_ERROR_TEXT}s"
_LOG = f"=II{lib.CL_ERROR_TEXT}s"
_LEVELS = {
    lib.CL_LOG_DEBUG: "debug",
    lib.CL_LOG_INFO: "info",
    lib.CL_LOG_WARNING: "warning",
    lib.CL_LOG_ERROR: "error",
}


class Channel:
    """One conversation with one child.

    Args:
        fd: the parent's end; owned by the channel.
        machine: the sync table as this child's plan allows it.
        log: takes (level, text) of the child's log lines, as they come.
        seconds: how long the child may keep us waiting for any one message.
        excused: asked when that time is over: whether the child may have as much again.
    """

    def __init__(
        self,
        fd: int,
        machine: SyncMachine,
        log: Callable[[str, str], None],
        seconds: float,
        excused: Callable[[], bool] = bool,
    ) -> None:
        self.fd = fd
        self.machine = machine
        self._log = log
        self._seconds = seconds
        self._excused = excused
        #: Seconds on top of that: for what has a deadline of its own, which the child keeps.
        self.extra = 0
        self._sent = 0
        self._received = 0

    def send(self, name: str, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
        """Send one message by its name in the sync table.

        Raises:
            ChildError: the child is gone; its own last words are the error if it left any.
        """
        self._sent += 1
        try:
            native.send(self.fd, MESSAGES[name], self._sent, payload, fds)
        except (BrokenPipeError, ConnectionResetError):
            self.receive()  # raises what the child said before it went away
            raise ProtocolError("the child went away", why=f"{name} could not be sent") from None

    def receive(self) -> tuple[str, Message]:
        """The next message that is not a log line: (name, message). The end of sync is ("", an empty message).

        Raises:
            ChildError: the child reported an error.
            ProtocolError: it said what it may not say here.
            DeadlineExceeded: it said nothing for too long.
        """
        deadline = time.monotonic() + self._seconds + self.extra
        while True:
            message = self._next(deadline)
            if message is None:
                self.machine.end()
                return "", native.Message(0, 0, b"", [], 0)
            try:
                name = self._check(message)
            except BaseException:
                for fd in message.fds:
                    os.close(fd)
                raise
            if name == "LOG":
                self._relay(message.payload)
            elif name == "ERROR":
                raise self._explained(child_error(message.payload))
            else:
                return name, message

    def expect(self, *names: str) -> tuple[str, Message]:
        """The next message, which must be one of ``names`` ("" is the end of sync)."""
        name, message = self.receive()
        if name not in names:
            for fd in message.fds:
                os.close(fd)
            raise ProtocolError(
                "unexpected message from the child",
                where=name or "end of sync",
                why=f"waiting for {' or '.join(names)}",
            )
        return name, message

    def close(self) -> None:
        """Close our end: a child that waits for us sees the end and exits."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _next(self, deadline: float) -> Message | None:
        while True:
            try:
                return native.receive(self.fd, max(1, int((deadline - time.monotonic()) * 1000)))
            except TimeoutError:
                if not self._excused():
                    raise DeadlineExceeded(
                        "the child does not answer",
                        where=f"phase {self.machine.phase!r}",
                        why=f"nothing came for {self._seconds + self.extra:g} s",
                    ) from None
                deadline = time.monotonic() + self._seconds
            except ConnectionResetError:
                return None

    def _check(self, message: Message) -> str:
        # Stage 0 and stage 2 each count their own messages: the sequence starts again with INIT_ALIVE.
        if NAMES.get(message.type) == "INIT_ALIVE":
            self._received = 0
        self._received += 1
        if message.sequence != self._received and message.type != MESSAGES["ERROR"]:
            raise ProtocolError(
                "the child's messages are out of order", why=f"{message.sequence} came, {self._received} was due"
            )
        return self.machine.accept(message.type, len(message.fds))

    def _explained(self, error: ChildError | HookError | ProtocolError) -> ChildError | HookError | ProtocolError:
        if self.machine.in_user_namespace and isinstance(error, ChildError) and error.errno:
            from .refusals import hint

            error.hint = hint(error)
        return error

    def _relay(self, payload: bytes) -> None:
        if len(payload) != calcsize(_LOG):
            raise ProtocolError("malformed message from the child", where="LOG")
        level, operation, text = unpack(_LOG, payload)
        prefix = f"{operation_name(operation)}: " if operation else ""
        self._log(_LEVELS.get(level, "warning"), one_line(prefix + _text(text), 1024))


def child_error(payload: bytes) -> ChildError | HookError | ProtocolError:
    """The error that a cl_error (sync socket or error FIFO) describes; nothing in it is trusted beyond its size."""
    if len(payload) != calcsize(_ERROR) or unpack_from("=I", payload)[0] != lib.CL_MESSAGE_MAGIC:
        return ProtocolError("malformed message from the child", where="ERROR")
    _, stage, operation, index, number, path, text = unpack(_ERROR, payload)
    number = number if 0 < number < 4096 else 0
    name = operation_name(operation)
    what = one_line(_text(text), 1024) or name
    if operation == lib.CL_OP_FIND_EXECUTABLE or operation == lib.CL_OP_EXEC:
        # runc's wording, which docker and podman turn into exit codes 126 and 127, is made by the init itself.
        return ChildError(
            what, why=_strerror(number), errno=number, stage=stage, operation=name, operation_index=index
        )
    if operation == lib.CL_OP_HOOK:
        where, _, why = what.partition(": ")
        reason = f": {_strerror(number)}" if number else ""
        return HookError(f"hook {one_line(_text(path), 1024)} failed", where=where, why=why + reason, errno=number)
    return ChildError(
        f"{name}: {what}" if what != name else name,
        where=one_line(_text(path), 1024),
        errno=number,
        stage=stage,
        operation=name,
        operation_index=index,
    )


def operation_name(number: int) -> str:
    """How an operation is called in an error: CL_OP_MASK_PATH is "mask path"; "bootstrap" for none.

    Looked up when there is an error to tell: listing the constants of the header costs 3 ms.
    """
    for constant in dir(lib):
        if constant.startswith("CL_OP_") and getattr(lib, constant) == number:
            return constant[len("CL_OP_") :].lower().replace("_", " ")
    return "bootstrap"


def error_size() -> int:
    """Size of a cl_error, in bytes."""
    return calcsize(_ERROR)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


def _strerror(number: int) -> str:
    return os.strerror(number).lower() if number else ""
