"""The caller's terminal while a container with a terminal runs in the foreground.

One loop with poll(2) copies between the caller's stdio and the pty master, without threads. The caller's terminal is
raw meanwhile, so that ^C and ^Z reach the container's terminal as keys; whatever happens it is restored.

References: termios(3), pty(7), tty_ioctl(4).
"""

from __future__ import annotations

import os
import select
import termios
import time
from fcntl import ioctl
from struct import pack, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from .notify import NotifySocket

_CHUNK = 32768
#: No more input is read while this much waits for a container that does not read its terminal.
_PENDING_LIMIT = 65536
#: What a terminal takes as end of file at the start of a line (VEOF, ^D).
_END_OF_FILE = b"\x04"
#: After the process ended, output that is still under way in the kernel is waited for at most this long.
_DRAIN_SECONDS = 1.0
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


class RawTerminal:
    """Context manager: a terminal in raw mode (cfmakeraw), as it was before at the end. Not a terminal: no effect."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._before: Any = None

    def __enter__(self) -> None:
        if not os.isatty(self.fd):
            return
        self._before = termios.tcgetattr(self.fd)
        iflag, oflag, cflag, lflag, ispeed, ospeed, chars = termios.tcgetattr(self.fd)
        iflag &= ~(
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON
        )
        oflag &= ~termios.OPOST
        lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        chars[termios.VMIN], chars[termios.VTIME] = 1, 0
        termios.tcsetattr(self.fd, termios.TCSANOW, [iflag, oflag, cflag, lflag, ispeed, ospeed, chars])

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._before is not None:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self._before)


def terminal_of(*fds: int) -> int:
    """The first descriptor that is a terminal, -1 if none is."""
    return next((fd for fd in fds if os.isatty(fd)), -1)


def window_size(fd: int) -> tuple[int, int] | None:
    """Rows and columns of a terminal; None if it has no size, is hung up, or is no terminal at all."""
    try:
        rows, columns, _, _ = unpack("=HHHH", ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))
    except (OSError, ValueError):
        return None
    return (rows, columns) if rows and columns else None


def copy_size(source: int, master: int) -> None:
    """Give the pty of ``master`` the window size of the terminal ``source``; one without a size is passed over.

    The kernel sends SIGWINCH to the foreground process group of the pty if the size changed.
    """
    size = window_size(source)
    if size is not None:
        ioctl(master, termios.TIOCSWINSZ, pack("=HHHH", *size, 0, 0))


def plain_newlines(master: int) -> None:
    """Stop the pty from writing ``\\r\\n`` for ``\\n``: for output that goes to a pipe or a file."""
    attributes = termios.tcgetattr(master)
    attributes[1] &= ~termios.ONLCR
    termios.tcsetattr(master, termios.TCSANOW, attributes)


class Proxy:
    """Copies stdin → master and master → stdout until the process has ended and its output is through.

    Args:
        master: the pty master; it is switched to non-blocking mode, it is ours.
        pidfd: of the process whose end ends the loop.
        stdin, stdout: the caller's; their mode is not changed, others share their open file description.
        notify: the container's notify socket, which is looked after meanwhile.
    """

    def __init__(
        self, master: int, pidfd: int, stdin: int = 0, stdout: int = 1, notify: NotifySocket | None = None
    ) -> None:
        os.set_blocking(master, False)
        self.master = master
        self.pidfd = pidfd
        self.stdin = stdin
        self.stdout = stdout
        self._notify = notify
        self._to_master = b""
        self._to_stdout = b""
        self._stdin_open = True
        self._stdout_open = True
        self._master_open = True

    def run(self) -> None:
        """Copy until the process has ended and nothing more comes from its terminal."""
        deadline: float | None = None
        while self._master_open or self._to_stdout:
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            events = self._wait(timeout, watch_process=deadline is None)
            if deadline is not None and not events:
                return
            if self._notify is not None and self._notify.fileno() in events:
                self._notify.take(os.getpid())
            if events.get(self.pidfd, 0):
                # Grandchildren may keep the terminal open, so the hang-up of the pty is not waited for without end.
                deadline = time.monotonic() + _DRAIN_SECONDS
            if events.get(self.master, 0) & (select.POLLIN | _GONE):
                self._from_master()
            if events.get(self.master, 0) & select.POLLOUT:
                self._flush_to_master()
            if self.stdin in events and self._stdin_open:
                self._from_stdin()
            if self.stdout in events and self._to_stdout:
                self._flush_to_stdout()

    def _wait(self, timeout: float | None, *, watch_process: bool) -> dict[int, int]:
        poll = select.poll()
        if self._master_open:
            wanted = 0 if self._to_stdout else select.POLLIN
            poll.register(self.master, wanted | (select.POLLOUT if self._to_master else 0))
        if self._stdin_open and len(self._to_master) < _PENDING_LIMIT:
            poll.register(self.stdin, select.POLLIN)
        if self._to_stdout:
            poll.register(self.stdout, select.POLLOUT)
        if self._notify is not None and self._notify.fileno() >= 0:
            poll.register(self._notify.fileno(), select.POLLIN)
        if watch_process:
            poll.register(self.pidfd, select.POLLIN)
        return dict(poll.poll(timeout))

    def _from_master(self) -> None:
        if self._to_stdout:
            return
        try:
            data = os.read(self.master, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # EIO: nobody has the slave open any more (pty(7))
        if data:
            self._to_stdout = data if self._stdout_open else b""
        else:
            self._master_open = False

    def _flush_to_stdout(self) -> None:
        # POLLOUT promises room for PIPE_BUF bytes only; more could block with the caller's stdin unread.
        try:
            self._to_stdout = self._to_stdout[os.write(self.stdout, self._to_stdout[: select.PIPE_BUF]) :]
        except BlockingIOError:
            return
        except OSError:
            # The reader is gone. The container goes on, and its output is thrown away, as with a closed terminal.
            self._stdout_open = False
            self._to_stdout = b""

    def _from_stdin(self) -> None:
        try:
            data = os.read(self.stdin, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._stdin_open = False
            data = _END_OF_FILE
        self._to_master += data
        self._flush_to_master()

    def _flush_to_master(self) -> None:
        try:
            self._to_master = self._to_master[os.write(self.master, self._to_master) :]
        except BlockingIOError:
            return
        except OSError:
            self._to_master = b""
