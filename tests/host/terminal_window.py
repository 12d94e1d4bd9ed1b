"""Terminal windows for tests: a pty with a command in it."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time


def default_signals() -> None:
    """In a new process: who runs the tests in the background has these ignored (POSIX, 2.9.3.1), and so would we."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


class Window:
    """A terminal window in which a command runs, as its session's leader, and what has appeared in it."""

    def __init__(self, words: list[str], rows: int = 24, columns: int = 80, env: dict[str, str] | None = None) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            words, stdin=self.slave, stdout=self.slave, stderr=self.slave, preexec_fn=self._lead, env=env
        )
        self.text = ""
        self._is_open = True
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def _lead(self) -> None:
        default_signals()
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, pattern: str, seconds: float = 15) -> str:
        """Read until ``pattern`` has appeared after what was expected before; the match's text."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text, re.DOTALL)):
            assert time.monotonic() < end, f"{pattern!r} did not appear: {self.text[-2000:]!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += self._decoder.decode(os.read(self.master, 65536))
            elif self.process.poll() is not None:
                raise AssertionError(f"ended without {pattern!r}: {self.text[-2000:]!r}")
        self.text = self.text[found.end() :]
        return found.group()

    def rest(self, seconds: float = 15) -> str:
        """Everything that the command writes until it ends and closes its terminal, after what was expected."""
        end = time.monotonic() + seconds
        while self.process.poll() is None or select.select([self.master], [], [], 0)[0]:
            assert time.monotonic() < end, f"it does not end: {self.text[-2000:]!r}"
            if select.select([self.master], [], [], 0.02)[0]:
                self.text += self._decoder.decode(os.read(self.master, 65536))
        text, self.text = self.text, ""
        return text

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Wait for the command; its exit code."""
        code = self.process.wait(timeout=15)
        return code

    def hang_up(self) -> None:
        """Close the window; the command's terminal is gone then."""
        os.close(self.slave)
        os.close(self.master)
        self._is_open = False

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._is_open:
            self.hang_up()
