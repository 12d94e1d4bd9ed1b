"""The terminal while a program has all of it; as it was before, whatever ends the program short of SIGKILL.

The alternate screen, no cursor, keys at once and without echo, and signals as bytes of a pipe, so that none is missed
between a look and a wait. References: termios(3), signal(7), xterm's ctlseqs.
"""

from __future__ import annotations

import _signal
import os
import select
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Any

_ENTER = b"\x1b[?1049h\x1b[?25l"
_LEAVE = b"\x1b[?25h\x1b[?1049l"
#: How long the last bytes may wait for a terminal that takes none (^S).
_LEAVE_MS = 500

SIGNALS = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGTSTP, _signal.SIGWINCH)


class FullScreen:
    """Context manager: the terminal of these descriptors is ours.

    Args:
        keyboard: where keys come from, -1 if from nowhere.
        out: the terminal that is drawn on.

    Attributes:
        signals: readable when signals have come; see :meth:`taken`.
    """

    def __init__(self, keyboard: int, out: int) -> None:
        self.keyboard = keyboard
        self.out = out
        self._modes: Any = None
        self._entered = False
        self._handlers: dict[int, Any] = {}
        self.signals, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._old_wake = -1

    def __enter__(self) -> FullScreen:
        # Handlers first: from the first change on there is somebody who takes it back.
        self._old_wake = _signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in SIGNALS:
            if _signal.getsignal(number) != _signal.SIG_IGN:  # nohup, a job in the background: it stays so
                self._handlers[number] = _signal.signal(number, _nothing)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.leave()
        for number, handler in self._handlers.items():
            _signal.signal(number, handler if handler is not None else _signal.SIG_DFL)
        _signal.set_wakeup_fd(self._old_wake)
        os.close(self.signals)
        os.close(self._wake)

    def enter(self) -> None:
        """Take the terminal; more than once does no harm. ^C, ^\\ and ^Z stay what they are."""
        if self._entered:
            return  # its modes are ours by now, and not those that it gets back
        if self.keyboard >= 0:
            self._modes = termios.tcgetattr(self.keyboard)
            modes = termios.tcgetattr(self.keyboard)
            modes[3] &= ~(termios.ICANON | termios.ECHO)
            modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        self._entered = True
        if self.keyboard >= 0:
            termios.tcsetattr(self.keyboard, termios.TCSANOW, modes)
        self._write(_ENTER, -1)

    def leave(self) -> None:
        """Give it back as it was; more than once does no harm."""
        if not self._entered:
            return
        self._entered = False
        try:
            if self._modes is not None:
                # Not TCSAFLUSH or TCSADRAIN: they wait for output that a stopped terminal does not take.
                termios.tcsetattr(self.keyboard, termios.TCSANOW, self._modes)
        except termios.error:
            pass  # it is hung up
        self._write(_LEAVE, _LEAVE_MS)

    def draw(self, lines: Sequence[str]) -> bool:
        """Show these lines and nothing else; False if the terminal is gone."""
        text = "\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J"
        return self._write(text.encode("utf-8", "backslashreplace"), -1)

    def taken(self) -> bytes:
        """Numbers of the signals that have come since the last call."""
        try:
            return os.read(self.signals, 4096)
        except BlockingIOError:
            return b""

    def keys(self) -> str | None:
        """Keys that were pressed; None if the terminal is gone. Only after it was found readable."""
        try:
            data = os.read(self.keyboard, 1024)
        except OSError:
            return None  # EIO: hung up
        return _without_named_keys(data.decode("ascii", "ignore")) if data else None

    def suspend(self) -> None:
        """^Z: the terminal is the shell's until we are continued, and then ours if it was before."""
        was_entered = self._entered
        self.leave()
        os.kill(os.getpid(), _signal.SIGSTOP)
        if was_entered:
            self.enter()

    def _write(self, data: bytes, patience_ms: int) -> bool:
        """Write as the terminal takes it; what is left is dropped when a signal comes, or after ``patience_ms``."""
        poll = select.poll()
        poll.register(self.out, select.POLLOUT)
        if patience_ms < 0:
            poll.register(self.signals, select.POLLIN)
        try:
            while data:
                ready = dict(poll.poll(patience_ms))
                if not ready.get(self.out, 0) & select.POLLOUT:
                    return not ready.get(self.out)
                # POLLOUT is no promise of room for more than this.
                data = data[os.write(self.out, data[: select.PIPE_BUF]) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def _without_named_keys(text: str) -> str:
    """Text without arrows and the like, of which we know none: ESC, then "[" or "O" and all up to a letter or "~"."""
    first, *others = text.split("\x1b")
    for other in others:
        rest = other[1:].lstrip("0123456789;") if other[:1] in ("[", "O") else other
        first += rest[1:]
    return first


def _nothing(_number: int, _frame: object) -> None:
    """What a signal does here is write its number into the pipe."""
