"""``top`` on a terminal: one process looks at the containers, this one has the terminal and calls no plugin.

So a plugin that hangs does not hold up a key, one that takes the process with it (the watchdog's end, a fault in C)
leaves a terminal in order, and its last line can still be read.
"""

from __future__ import annotations

import _signal
import os
import select
import time

from ..jsontext import loads
from ..log import put
from .full_screen import FullScreen
from .screen import screen_of
from .top_table import ORDERS, frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

#: How much is kept of what the other process says on stderr.
_MESSAGES = 65536


class Source:
    """The process that looks at the containers: an object a line on its stdout.

    Args:
        work: prints the lines, and returns the exit code; called in the new process.
    """

    def __init__(self, work: Callable[[], int]) -> None:
        self.samples, out = os.pipe2(os.O_CLOEXEC)
        self.messages, err = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            self._work(work, out, err)
        os.close(out)
        os.close(err)
        self._rest = b""
        self._has_ended = False
        self.said = b""

    def _work(self, work: Callable[[], int], out: int, err: int) -> NoReturn:
        code = 1
        try:
            # The keys that mean signals are for the process with the terminal, which ends us.
            for number in (_signal.SIGINT, _signal.SIGQUIT, _signal.SIGTSTP):
                _signal.signal(number, _signal.SIG_IGN)
            for number, fd in enumerate((os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), out, err)):
                os.dup2(fd, number)
            code = work()
        finally:
            os._exit(code)

    def newest(self) -> Any:
        """The newest object that has arrived; None if there is no new one, False if there will be none."""
        data = os.read(self.samples, 1 << 20)
        if not data:
            self._has_ended = True
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        return loads(lines[-1], "sample") if lines else None

    def last_words(self) -> bytes:
        """All that it has said, after its end. Whoever else has its stderr by now is not waited for."""
        poll = select.poll()
        poll.register(self.messages, select.POLLIN)
        while poll.poll(0) and self.listen():
            pass
        return self.said

    def listen(self) -> bool:
        """Take what it says; False when it has ended."""
        data = os.read(self.messages, 65536)
        self.said = (self.said + data)[-_MESSAGES:]
        return bool(data)

    def end(self) -> int:
        """End it; its exit code, 0 if it was us who ended it."""
        # It closes its descriptors before it can be waited for.
        ended, status = os.waitpid(self.pid, 0 if self._has_ended else os.WNOHANG)
        if ended == 0:
            os.kill(self.pid, _signal.SIGKILL)  # it makes nothing that anybody would have to remove
            os.waitpid(self.pid, 0)
            return 0
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code


class View:
    """The screen, in an order that keys change."""

    def __init__(self, source: Source, screen: FullScreen, order: str, interval: float) -> None:
        self._source = source
        self._screen = screen
        self.order = order
        self._interval = interval
        self._sample: Any = None

    def run(self) -> int:
        """Show it until a key or a signal ends it; the signal that does, 0 if none."""
        poll = select.poll()
        fds = [self._source.samples, self._source.messages, self._screen.signals, self._screen.keyboard]
        for fd in fds:
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._screen.signals in ready:
                deadly = self._on_signals()
                if deadly:
                    return deadly
            if self._screen.keyboard in ready and not self._on_keys():
                return 0
            if self._source.messages in ready and not self._source.listen():
                poll.unregister(self._source.messages)
            if self._source.samples in ready:
                sample = self._source.newest()
                if sample is False:
                    return 0
                if sample is not None:
                    if self._sample is None:
                        self._screen.enter()
                    self._sample = sample
                    if not self._draw():
                        return 0

    def _draw(self) -> bool:
        if self._sample is None:
            return True
        lines = frame(self._sample, self.order, self._interval, time.time(), screen_of(self._screen.out))
        return self._screen.draw(lines)

    def _on_signals(self) -> int:
        """What was asked of us; the signal that ends us, 0 if none does."""
        numbers = self._screen.taken()
        for number in numbers:
            if number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT):
                return number
        if _signal.SIGTSTP in numbers:
            self._screen.suspend()
        self._draw()
        return 0

    def _on_keys(self) -> bool:
        """Do what keys say; False if they say to end, or the terminal is gone."""
        keys = self._screen.keys()
        if keys is None or "q" in keys or "\x04" in keys:
            return False
        chosen = [order for key in keys for order, (letter, _) in ORDERS.items() if key == letter]
        if chosen:
            self.order = chosen[-1]
            return self._draw()
        return True


def show(work: Callable[[], int], order: str, interval: float) -> int:
    """Show on this terminal what ``work`` prints, until somebody ends it.

    Args:
        work: prints objects of ``top --json``, one every ``interval`` seconds; called in a process of its own.
        order: one of :data:`corelaunch.cli.top_table.ORDERS`.
        interval: in seconds.

    Returns:
        the exit code. SIGTERM, SIGHUP and SIGQUIT end this process as they do where nobody catches them.
    """
    source = Source(work)
    with FullScreen(0 if os.isatty(0) else -1, 1) as screen:
        signal = View(source, screen, order, interval).run()
        screen.leave()
        code = source.end()
    if signal not in (0, _signal.SIGINT):
        os.kill(os.getpid(), signal)
    put(2, source.last_words().decode("utf-8", "backslashreplace"))
    return code
