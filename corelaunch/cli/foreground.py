"""Waiting for a process in the foreground: signals are passed on, a terminal is proxied, orphans are reaped."""

from __future__ import annotations

import _signal
import os

from ..errors import CorelaunchError
from ..trace import PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any

    from ..notify import NotifySocket
    from ..process import Process
    from ..trace import Trace

#: Not passed on: they cannot be caught, concern our own children and pipes, or mean a fault of this very program.
_KEPT = frozenset(
    (
        _signal.SIGKILL,
        _signal.SIGSTOP,
        _signal.SIGCHLD,
        _signal.SIGPIPE,
        _signal.SIGSEGV,
        _signal.SIGBUS,
        _signal.SIGFPE,
        _signal.SIGILL,
        _signal.SIGTRAP,
        _signal.SIGSYS,
        _signal.SIGURG,
    )
)
#: The C library keeps the two signals below SIGRTMIN for itself.
_LAST = 64


def forwardable() -> Iterator[int]:
    """Numbers of all signals that are passed on."""
    for number in range(1, _LAST + 1):
        if number not in _KEPT and not 32 <= number < _signal.SIGRTMIN:
            yield number


class SignalForwarding:
    """Context manager: every forwardable signal that we get goes to the process; SIGWINCH resizes its terminal.

    Signals that come before there is a process wait for it: a caller that is told by the process's own output that it
    runs may send one before we have returned from launching it.
    """

    def __init__(self) -> None:
        self._process: Process | None = None
        self._terminal = -1
        self._waiting: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in forwardable():
            self._before[number] = _signal.signal(number, self._receive)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            _signal.signal(number, handler if handler is not None else _signal.SIG_DFL)

    def begin(self, process: Process, terminal: int = -1) -> None:
        """Pass on to ``process`` from now on, and what has come before; ``terminal`` is the caller's, -1 if none."""
        self._terminal = terminal
        self._process = process
        while self._waiting:
            self._forward(process, self._waiting.pop(0))

    def _receive(self, number: int, _frame: object) -> None:
        if self._process is None:
            self._waiting.append(number)
        else:
            self._forward(self._process, number)

    def _forward(self, process: Process, number: int) -> None:
        if number == _signal.SIGWINCH and process.master_fd >= 0:
            from ..terminal import copy_size

            if self._terminal >= 0:
                copy_size(self._terminal, process.master_fd)
            return
        try:
            process.signal(number)
        except (OSError, CorelaunchError):
            # It has just ended: the signal came too late, and the wait that is under way will say so.
            return


class OrphanReaping:
    """Context manager: reaps what the end of the container's processes leaves to us, but for its ``init`` (0: nothing).

    Only while we wait for the init: at any other time a child may be one that somebody waits for (a hook).
    """

    def __init__(self, init: int) -> None:
        self._init = init

    def __enter__(self) -> None:
        if self._init:
            _signal.signal(_signal.SIGCHLD, self._reap)
            self._reap()  # what has ended before

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._init:
            _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)

    def _reap(self, *_: object) -> None:
        try:
            while True:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None or ended.si_pid == self._init:
                    return
                os.waitid(os.P_PID, ended.si_pid, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return


def run_in_foreground(
    process: Process,
    start: Callable[[], None],
    trace: Trace,
    *,
    subreaper: bool = False,
    notify: NotifySocket | None = None,
) -> int:
    """Start a created container's init and wait for it; its terminal has its size from the first moment on.

    Args:
        trace: the time of the process is a step of its own there.
        subreaper: its orphans become our children, and are reaped (prctl(2), PR_SET_CHILD_SUBREAPER).
        notify: its notify socket; the service manager is told that we are the main process, as we stay.

    Returns:
        its exit code, 128+N if signal N ended it.
    """
    forwarding = SignalForwarding()
    if subreaper:
        from ..kernel.native import become_subreaper

        become_subreaper()
    with forwarding:
        return _attend(forwarding, process, start, trace, OrphanReaping(process.pid if subreaper else 0), notify)


def execute_in_foreground(execute: Callable[[], Process], trace: Trace) -> int:
    """Execute a process and wait for it; see :func:`run_in_foreground`."""
    forwarding = SignalForwarding()
    with forwarding:
        return _attend(forwarding, execute(), None, trace, OrphanReaping(0))


def _attend(
    forwarding: SignalForwarding,
    process: Process,
    start: Callable[[], None] | None,
    trace: Trace,
    reaping: OrphanReaping,
    notify: NotifySocket | None = None,
) -> int:
    if process.master_fd < 0:
        forwarding.begin(process)
        if start is not None:
            start()
        with trace.step(PROCESS), reaping:
            if notify is not None:
                notify.forward(os.getpid(), process.pidfd, stay=True)
            return process.wait()
    from ..terminal import Proxy, RawTerminal, copy_size, plain_newlines, terminal_of

    terminal = terminal_of(0, 1, 2)
    if terminal_of(1) < 0:
        plain_newlines(process.master_fd)
    forwarding.begin(process, terminal)
    if terminal >= 0:
        copy_size(terminal, process.master_fd)
    if start is not None:
        start()
    with trace.step(PROCESS), RawTerminal(0), reaping:
        Proxy(process.master_fd, process.pidfd, notify=notify).run()
        return process.wait()
