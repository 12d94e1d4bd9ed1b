"""A container's whole life in one call, with bounds on its time and its output; how it ended and what it has used.

The bounds hold against a program that means ill: it may close its output or never stop to write, ignore signals, and
leave processes behind that keep the other ends of our pipes.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
import termios
import time
from _signal import SIGKILL

from .errors import CorelaunchError, WrongStatus
from .process_io import initialize_io, root_ids
from .records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .container import Container
    from .process_io import StandardPipes
    from .runtime import Runtime
    from .statistics import Statistics

_CHUNK = 65536
#: poll(2) takes milliseconds in an int: who waits for longer waits again.
_LONGEST_WAIT = 2**31 - 1


class Outcome(Record):
    """How a container's program ended, what it said, and what it has used."""

    #: Its exit status, 128 + N if signal N ended it.
    status: int
    #: From its start to its end.
    seconds: float
    #: All that it has used. The figures that the kernel does not give are -1, see ``corelaunch.api.CgroupStats``.
    statistics: Statistics
    #: Whether it was killed because its time was over.
    timed_out: bool = False
    stdout: bytes = b""
    stderr: bytes = b""
    #: Whether there was more on one of them than was kept.
    truncated: bool = False

    @property
    def oom_killed(self) -> bool:
        """Whether the kernel has killed a process of it because its memory was used up."""
        return self.statistics.cgroup is not None and self.statistics.cgroup.oom_kills > 0


def complete(
    runtime: Runtime,
    container_id: str,
    bundle: str | dict[str, Any],
    *,
    data: bytes,
    timeout: float | None,
    limit: int,
    **options: Any,
) -> Outcome:
    """Carry it out; see :meth:`corelaunch.runtime.Runtime.complete`."""
    if options.get("io") is not None:
        return _live(runtime, runtime.create(container_id, bundle, **options), None, timeout)
    with initialize_io(*root_ids(bundle)) as pipes:
        container = runtime.create(container_id, bundle, **{**options, "io": pipes.io})
        pipes.close_theirs()
        return _live(runtime, container, _Exchange(pipes, data, limit), timeout)


def _live(runtime: Runtime, container: Container, exchange: _Exchange | None, timeout: float | None) -> Outcome:
    """From created to deleted, whatever happens between them."""
    try:
        init = container.process
        began = time.monotonic()
        container.start()
        timed_out = not _follow(init.pidfd, exchange, None if timeout is None else began + timeout)
        if timed_out:
            try:
                container.signal(SIGKILL)
            except WrongStatus:
                pass  # it ended by itself, just now
            _follow(init.pidfd, exchange, None)
        status = init.wait()
        seconds = time.monotonic() - began
        container.end_shared_pid_namespace()
        if exchange is not None:
            exchange.take_the_rest()
        statistics = container.stats()
    except BaseException:
        try:
            container.delete(force=True)
        except CorelaunchError as second:
            runtime.log("warning", f"after a failed run: {second}")
        raise
    container.delete(force=True)
    if exchange is None:
        return Outcome(status, seconds, statistics, timed_out)
    out, err = bytes(exchange.stdout), bytes(exchange.stderr)
    return Outcome(status, seconds, statistics, timed_out, out, err, exchange.truncated)


def _follow(pidfd: int, exchange: _Exchange | None, deadline: float | None) -> bool:
    """Feed it and listen to it until its end (True) or the deadline (False)."""
    while True:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if exchange is not None:
            exchange.register(poller)
        left = _LONGEST_WAIT if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = {fd for fd, _ in poller.poll(min(left, _LONGEST_WAIT))}
        if pidfd in ready:
            return True
        # Asked even if there is something to read: who writes for ever does not live for ever.
        if deadline is not None and time.monotonic() >= deadline:
            return False
        if exchange is not None:
            exchange.go_on(ready)


class _Exchange:
    """What goes into a container and what comes out of it, over pipes of which we have one end."""

    def __init__(self, pipes: StandardPipes, data: bytes, limit: int) -> None:
        self._pipes = pipes
        self._pending = memoryview(data)
        self._limit = limit
        self.stdout, self.stderr = bytearray(), bytearray()
        self.truncated = False
        if data:
            os.set_blocking(pipes.stdin, False)
        else:
            pipes.close_stdin()

    def register(self, poller: select.poll) -> None:
        """Add the descriptors that are still open."""
        if self._pipes.stdin >= 0:
            poller.register(self._pipes.stdin, select.POLLOUT)
        for fd in (self._pipes.stdout, self._pipes.stderr):
            if fd >= 0:
                poller.register(fd, select.POLLIN)

    def go_on(self, ready: set[int]) -> None:
        """Write and read a piece where it is possible."""
        if self._pipes.stdin in ready:
            try:
                self._pending = self._pending[os.write(self._pipes.stdin, self._pending[:_CHUNK]) :]
            except BlockingIOError:
                pass
            except BrokenPipeError:
                self._pending = memoryview(b"")  # nobody reads it any more
            if not self._pending:
                self._pipes.close_stdin()
        for name, kept in (("stdout", self.stdout), ("stderr", self.stderr)):
            if getattr(self._pipes, name) in ready and not self._read(name, kept, _CHUNK):
                self._pipes.close_output(name)

    def take_the_rest(self) -> None:
        """Read what lies in the pipes now, without waiting for their end: somebody outside may hold them open."""
        for name, kept in (("stdout", self.stdout), ("stderr", self.stderr)):
            fd = getattr(self._pipes, name)
            if fd >= 0:
                left = int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)
                while left > 0 and (size := self._read(name, kept, min(left, _CHUNK))):
                    left -= size

    def _read(self, name: str, kept: bytearray, size: int) -> int:
        chunk = os.read(getattr(self._pipes, name), size)
        room = self._limit - len(kept)
        kept += chunk[:room]
        self.truncated = self.truncated or len(chunk) > room
        return len(chunk)
