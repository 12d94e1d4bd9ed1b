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

from .deletion import after_failure
from .errors import ConfigError, WrongStatus
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
    #: Whether it was killed because whoever called for it has called it off.
    stopped: bool = False
    stdout: bytes = b""
    stderr: bytes = b""
    #: Whether there was more on one of them than was kept.
    truncated: bool = False

    @property
    def oom_killed(self) -> bool:
        """Whether the kernel has killed a process of it because its memory was used up."""
        return self._of_cgroup("oom_kills") > 0

    @property
    def cpu_seconds(self) -> float:
        """What all its processes have used; -1.0 if nobody has counted."""
        used = self._of_cgroup("cpu_usage_ns")
        return used / 1e9 if used >= 0 else -1.0

    @property
    def peak_memory_bytes(self) -> int:
        """The most that it had at a time; -1 if nobody has counted (cgroup v2 before Linux 5.19)."""
        return self._of_cgroup("memory_max_usage_bytes")

    def json(self) -> dict[str, Any]:
        """All of it as an object for JSON; of the statistics the properties here; bytes that are not UTF-8 replaced."""
        return {
            "status": self.status,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "oom_killed": self.oom_killed,
            "timed_out": self.timed_out,
            "stopped": self.stopped,
            "truncated": self.truncated,
            "stdout": self.stdout.decode(errors="replace"),
            "stderr": self.stderr.decode(errors="replace"),
        }

    def _of_cgroup(self, name: str) -> int:
        figures = self.statistics.cgroup
        found: int = getattr(figures, name) if figures is not None else -1
        return found


def complete(
    runtime: Runtime,
    container_id: str,
    bundle: str | dict[str, Any],
    *,
    data: bytes,
    timeout: float | None,
    limit: int,
    stop: int,
    **options: Any,
) -> Outcome:
    """Carry it out; see :meth:`corelaunch.runtime.Runtime.complete`."""
    # Before anything is made: what would be wrong in the middle must not leave half a container, or wait for ever.
    pending = memoryview(data).cast("B")
    if timeout is not None and timeout != timeout:
        raise ValueError("timeout: not a number of seconds")
    if limit < 0:
        raise ValueError(f"limit: {limit} is less than 0")
    if options.get("io") is not None:
        return _live(runtime, runtime.create(container_id, bundle, **options), None, timeout, stop)
    with initialize_io(*root_ids(bundle)) as pipes:
        container = runtime.create(container_id, bundle, **{**options, "io": pipes.io})
        pipes.close_theirs()
        return _live(runtime, container, _Exchange(pipes, pending, limit), timeout, stop)


def _live(
    runtime: Runtime, container: Container, exchange: _Exchange | None, timeout: float | None, stop: int
) -> Outcome:
    """From created to deleted, whatever happens between them."""
    try:
        init = container.process
        if init.master_fd >= 0:
            raise ConfigError(
                "cannot listen to a terminal",
                where="process.terminal",
                why="nobody would read what the container writes to it",
                hint="set it to false, or give a console socket",
            )
        began = time.monotonic()
        container.start()
        ended_by = _follow(init.pidfd, exchange, None if timeout is None else began + timeout, stop)
        if ended_by != "itself":
            try:
                container.signal(SIGKILL)
            except WrongStatus:
                pass  # it ended by itself, just now
            _follow(init.pidfd, exchange, None, -1)
        status = init.wait()
        seconds = time.monotonic() - began
        container.end_shared_pid_namespace()
        if exchange is not None:
            exchange.take_the_rest()
        statistics = container.stats()
        container.delete(force=True)
    except BaseException:
        after_failure(runtime, container)
        raise
    outcome = Outcome(status, seconds, statistics, ended_by == "timeout", ended_by == "stop")
    if exchange is None:
        return outcome
    stdout, stderr = bytes(exchange.stdout), bytes(exchange.stderr)
    heard: Outcome = outcome.replace(stdout=stdout, stderr=stderr, truncated=exchange.truncated)
    return heard


def _follow(pidfd: int, exchange: _Exchange | None, deadline: float | None, stop: int) -> str:
    """Feed it and listen to it until it ends by "itself", its "timeout", or the "stop" of whoever called for it."""
    while True:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if stop >= 0:
            poller.register(stop, select.POLLIN)
        if exchange is not None:
            exchange.register(poller)
        left = _LONGEST_WAIT if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = {fd for fd, _ in poller.poll(min(left, _LONGEST_WAIT))}
        if pidfd in ready:
            return "itself"
        if stop in ready:
            return "stop"
        # Asked even if there is something to read: who writes for ever does not live for ever.
        if deadline is not None and time.monotonic() >= deadline:
            return "timeout"
        if exchange is not None:
            exchange.go_on(ready)


class _Exchange:
    """What goes into a container and what comes out of it, over pipes of which we have one end."""

    def __init__(self, pipes: StandardPipes, data: memoryview, limit: int) -> None:
        self._pipes = pipes
        self._pending = pipes.begin(data)
        self._limit = limit
        self.stdout, self.stderr = bytearray(), bytearray()
        self.truncated = False

    def register(self, poller: select.poll) -> None:
        """Add the descriptors that are still open."""
        self._pipes.register(poller)

    def go_on(self, ready: set[int]) -> None:
        """Write and read a piece where it is possible."""
        if self._pipes.stdin in ready:
            self._pending = self._pipes.feed(self._pending)
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
