"""One measurement: start a command, wait for it, take wall time and the CPU time of it and all that it reaped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Sample:
    """Milliseconds. ``cpu`` is user + system time of the command and of the children it waited for."""

    wall: float
    cpu: float


class CommandFailed(Exception):
    """A measured command ended with an error: the series would measure something else."""


_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def measure(command: Sequence[str], *, code: int = 0, timeout: float = 20.0) -> Sample:
    """Run a command with /dev/null on its standard streams and measure it.

    Raises:
        CommandFailed: another exit code than ``code``.
    """
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    redirect = [(os.POSIX_SPAWN_DUP2, null, target) for target in (0, 1, 2)]
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        started = time.perf_counter()
        pid = os.posix_spawn(command[0], list(command), _ENVIRONMENT, file_actions=redirect)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - started
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.close(null)
    if os.waitstatus_to_exitcode(status) != code:
        raise CommandFailed(f"{' '.join(command)}: exit code {os.waitstatus_to_exitcode(status)}")
    return Sample(wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


@dataclass(frozen=True)
class Summary:
    """Quartiles of a series, in its unit."""

    count: int
    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Sum up at least one value."""
        if len(values) < 2:
            return cls(len(values), values[0], values[0], values[0])
        low, _, high = quantiles(values, n=4, method="inclusive")
        return cls(len(values), low, median(values), high)
