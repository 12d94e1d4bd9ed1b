"""What containers use at the moment: rates between two looks at the counters of their cgroups and interfaces.

The figures are those of :meth:`corelaunch.container.Container.stats`, so they come from the plugins that a container
was made with. Nothing that is wrong with one container keeps anybody from seeing the others.
"""

from __future__ import annotations

import os
import time

from .errors import ContainerNotFound, CorelaunchError
from .records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .api import CgroupStats
    from .container import Container
    from .runtime import Runtime
    from .statistics import Statistics

#: Of a container that was there at the last look.
GONE = "gone"

_ALIVE = ("creating", "created", "running", "paused")


class Usage(Record):
    """What one container uses. None: not known (yet), or there is no limit."""

    id: str
    #: As :attr:`Container.status`; "gone" if there is no such container (any more), "" if its state cannot be read.
    status: str
    #: RFC 3339, "" if it is not known.
    created: str = ""
    #: Why figures are missing, in one line; "" if none are, or if the status says it.
    reason: str = ""
    #: Of one CPU: 200 is two whole CPUs.
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    pids: int | None = None
    pids_limit: int | None = None
    read_bytes_per_s: float | None = None
    written_bytes_per_s: float | None = None
    received_bytes_per_s: float | None = None
    sent_bytes_per_s: float | None = None
    #: Since its cgroup was made.
    oom_kills: int | None = None
    #: Share of the last ten seconds in which some of it had to wait (PSI, "some").
    cpu_pressure_percent: float | None = None
    memory_pressure_percent: float | None = None
    io_pressure_percent: float | None = None


class Counters(Record):
    """What only grows, as it was at one moment. -1: not known."""

    #: CLOCK_MONOTONIC.
    time_ns: int
    cpu_ns: int = -1
    read_bytes: int = -1
    written_bytes: int = -1
    received_bytes: int = -1
    sent_bytes: int = -1


class _Known:
    """A container that was looked at before."""

    def __init__(self, container: Container, identity: tuple[int, int]) -> None:
        self.container = container
        self.identity = identity
        self.counters: Counters | None = None


class Sampler:
    """Looks at containers again and again.

    Args:
        runtime: whose containers.
        ids: which ones; () for all that have a process, and those that had one at the last look.
    """

    def __init__(self, runtime: Runtime, ids: Sequence[str] = ()) -> None:
        self._runtime = runtime
        self._ids = tuple(dict.fromkeys(ids))
        self._known: dict[str, _Known] = {}
        self._shown: set[str] = set()

    def sample(self) -> list[Usage]:
        """What they use now; rates need an earlier look.

        Raises:
            CorelaunchError: the state root itself cannot be read.
        """
        present = self._runtime.root.ids()
        wanted = self._ids or sorted({*present, *self._shown})
        rows = [self._look(container_id) for container_id in wanted]
        if not self._ids:
            before = self._shown
            rows = [row for row in rows if row.status in ("", *_ALIVE) or row.id in before]
            self._shown = {row.id for row in rows if row.status in _ALIVE}
        for container_id in self._known.keys() - set(present):
            del self._known[container_id]
        return rows

    def _look(self, container_id: str) -> Usage:
        try:
            known = self._find(container_id)
        except ContainerNotFound:
            return Usage(container_id, GONE)
        except CorelaunchError as error:
            return Usage(container_id, "", reason=str(error))
        container = known.container
        status, created = "", container.created
        try:
            status = container.status
            if status not in _ALIVE or status == "creating":
                known.counters = None
                return Usage(container_id, status, created)
            figures = container.stats()
        except CorelaunchError as error:
            known.counters = None
            return self._failed(container, status, error)
        before, known.counters = known.counters, counters_of(figures, time.monotonic_ns())
        return usage(Usage(container_id, status, created), figures, before, known.counters)

    def _failed(self, container: Container, status: str, error: CorelaunchError) -> Usage:
        """It may have ended between the look at its status and that at its figures: no failure then."""
        try:
            if not os.path.isdir(self._runtime.root.directory(container.id)):
                return Usage(container.id, GONE, container.created)
            status = container.status
        except CorelaunchError:
            pass  # then the first error is as good as this one
        reason = str(error) if status in ("", *_ALIVE) else ""
        return Usage(container.id, status, container.created, reason)

    def _find(self, container_id: str) -> _Known:
        """The container; read anew only if another one may have its id now.

        A journal is only ever appended to, and :attr:`Container.status` reads on where it was; a directory that was
        made anew has another inode, or, where that number was free again, a later time.
        """
        try:
            status = os.stat(self._runtime.root.existing(container_id))
        except FileNotFoundError:
            raise ContainerNotFound(container_id) from None
        identity = status.st_ino, status.st_mtime_ns
        known = self._known.get(container_id)
        if known is None or known.identity != identity:
            fresh = _Known(self._runtime.load(container_id), identity)
            if known is not None and known.container.created == fresh.container.created:
                fresh.counters = known.counters
            known = self._known[container_id] = fresh
        return known


def counters_of(figures: Statistics, time_ns: int) -> Counters:
    """The counters among the figures."""
    stats = figures.cgroup
    networks = [counters for _, counters in figures.networks]
    return Counters(
        time_ns,
        stats.cpu_usage_ns if stats is not None else -1,
        _moved(stats, "read"),
        _moved(stats, "write"),
        _sum(networks, "rx_bytes"),
        _sum(networks, "tx_bytes"),
    )


def usage(row: Usage, figures: Statistics, before: Counters | None, now: Counters) -> Usage:
    """``row`` with all figures in it; without ``before`` there are no rates."""
    stats = figures.cgroup
    answer: Usage = row
    if before is not None and now.time_ns > before.time_ns:
        seconds = (now.time_ns - before.time_ns) / 1e9
        cpu = _rate(before.cpu_ns, now.cpu_ns, seconds)
        answer = answer.replace(
            cpu_percent=None if cpu is None else cpu / 1e7,
            # No line for a device before the first request to it: what is counted now was counted since.
            read_bytes_per_s=_rate(max(0, before.read_bytes), now.read_bytes, seconds),
            written_bytes_per_s=_rate(max(0, before.written_bytes), now.written_bytes, seconds),
            received_bytes_per_s=_rate(before.received_bytes, now.received_bytes, seconds),
            sent_bytes_per_s=_rate(before.sent_bytes, now.sent_bytes, seconds),
        )
    if stats is None:
        answer = answer.replace(reason="no cgroup, or its manager gives no figures")
        return answer
    answer = answer.replace(
        memory_bytes=_known(stats.memory_usage_bytes),
        memory_limit_bytes=_known(stats.memory_limit_bytes),
        pids=_known(stats.pids_current),
        pids_limit=_known(stats.pids_limit),
        oom_kills=_known(stats.oom_kills),
        cpu_pressure_percent=_waited(stats.cpu_pressure),
        memory_pressure_percent=_waited(stats.memory_pressure),
        io_pressure_percent=_waited(stats.io_pressure),
    )
    return answer


def _rate(before: int, now: int, seconds: float) -> float | None:
    """Per second; None if it is not known. A counter that went back was begun anew: nobody knows what it missed."""
    return (now - before) / seconds if 0 <= before <= now else None


def _known(value: int) -> int | None:
    return value if value >= 0 else None


def _moved(stats: CgroupStats | None, operation: str) -> int:
    """Bytes read or written on all devices, -1 without a line about any."""
    if stats is None or not stats.io_bytes:
        return -1
    return sum(value for _, _, name, value in stats.io_bytes if name == operation)


def _sum(networks: Iterable[Mapping[str, int]], counter: str) -> int:
    values = [counters[counter] for counters in networks if counter in counters]
    return sum(values) if values else -1


def _waited(pressure: Mapping[str, Mapping[str, float]]) -> float | None:
    return pressure["some"].get("avg10_percent") if "some" in pressure else None
