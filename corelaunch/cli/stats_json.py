"""Statistics in the schema of runc's ``events``: its names, and what it leaves out when it is 0."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..api import CgroupStats
    from ..statistics import Statistics

    Json = dict[str, Any]

#: "No limit" as the kernel's v1 files say it, and as v2's "max" is told.
_UNLIMITED_V1 = (1 << 63) - 4096
_UNLIMITED_V2 = (1 << 64) - 1

_CPUSET_FLAGS = (
    "cpu_exclusive mem_hardwall mem_exclusive memory_migrate memory_spread_page memory_spread_slab memory_pressure "
    "sched_load_balance sched_relax_domain_level"
).split()

#: "ioQueueRecursive" is runc's own spelling.
_BLOCK_IO = {
    "ioServiceBytesRecursive": "io_bytes",
    "ioServicedRecursive": "io_operations",
    "ioQueueRecursive": "io_queued",
    "ioServiceTimeRecursive": "io_service_time_ns",
    "ioWaitTimeRecursive": "io_wait_time_ns",
    "ioMergedRecursive": "io_merged",
    "ioTimeRecursive": "io_time_ms",
    "sectorsRecursive": "io_sectors",
}

_MEMORY = {
    "usage": "memory",
    "swap": "memory_and_swap",
    "kernel": "kernel_memory",
    "kernelTCP": "kernel_tcp",
}

_INTERFACE = {
    f"{way}{what}": f"{way.lower()}_{what.lower()}"
    for way in ("Rx", "Tx")
    for what in ("Bytes", "Packets", "Errors", "Dropped")
}


def data_of(statistics: Statistics) -> Json:
    """The member ``data`` of an event of type "stats"."""
    from ..api import CgroupStats

    stats = statistics.cgroup or CgroupStats()
    return {
        "cpu": _cpu(stats),
        "cpuset": _cpuset(stats),
        "memory": _memory(stats),
        "pids": _without_zeros({"current": _known(stats.pids_current), "limit": _known(stats.pids_limit)}),
        "blkio": _block_io(stats),
        "hugetlb": {size: _huge_pages(figures) for size, figures in stats.huge_pages.items()},
        "intel_rdt": dict(statistics.rdt),
        "network_interfaces": [_interface(name, counters) for name, counters in statistics.networks] or None,
    }


def _cpu(stats: CgroupStats) -> Json:
    usage = _without_zeros(
        {
            "total": _known(stats.cpu_usage_ns),
            "percpu": list(stats.cpu_usage_per_cpu_ns),
            "percpu_kernel": list(stats.cpu_system_per_cpu_ns),
            "percpu_user": list(stats.cpu_user_per_cpu_ns),
        }
    )
    throttling = {
        "periods": _known(stats.cpu_periods),
        "throttledPeriods": _known(stats.cpu_throttled_periods),
        "throttledTime": _known(stats.cpu_throttled_ns),
    }
    both = {"kernel": _known(stats.cpu_system_ns), "user": _known(stats.cpu_user_ns)}
    return {"usage": {**usage, **both}, "throttling": _without_zeros(throttling), **_pressure(stats.cpu_pressure)}


def _cpuset(stats: CgroupStats) -> Json:
    flags = {name: stats.cpuset_flags.get(name, 0) for name in _CPUSET_FLAGS}
    lists = _without_zeros({"cpus": list(stats.cpuset_cpus), "mems": list(stats.cpuset_mems)})
    return {**lists, **flags}


def _memory(stats: CgroupStats) -> Json:
    raw = stats.memory_stat
    unlimited = _UNLIMITED_V1 if "hierarchical_memory_limit" in raw else _UNLIMITED_V2
    figures = stats.as_dict()
    answer = _without_zeros({"cache": raw.get("cache", raw.get("file", 0))})
    for name, prefix in _MEMORY.items():
        # A controller that does not count this at all has no limit of it either.
        known = figures[f"{prefix}_usage_bytes"] >= 0
        limit = figures[f"{prefix}_limit_bytes"]
        answer[name] = {
            "limit": (limit if limit >= 0 else unlimited) if known else 0,
            **_without_zeros(
                {
                    "usage": _known(figures[f"{prefix}_usage_bytes"]),
                    "max": _known(figures[f"{prefix}_max_usage_bytes"]),
                }
            ),
            "failcnt": _known(figures[f"{prefix}_failures"]),
        }
    return {**answer, **({"raw": dict(sorted(raw.items()))} if raw else {}), **_pressure(stats.memory_pressure)}


def _block_io(stats: CgroupStats) -> Json:
    figures = stats.as_dict()
    rows = {name: [_device(*row) for row in figures[member]] for name, member in _BLOCK_IO.items()}
    return {**_without_zeros(rows), **_pressure(stats.io_pressure)}


def _device(major: int, minor: int, operation: str, value: int) -> Json:
    return _without_zeros({"major": major, "minor": minor, "op": operation.capitalize(), "value": value})


def _huge_pages(figures: Mapping[str, int]) -> Json:
    shown = {"usage": _known(figures["usage_bytes"]), "max": _known(figures["max_usage_bytes"])}
    return {**_without_zeros(shown), "failcnt": _known(figures["failures"])}


def _interface(name: str, counters: Mapping[str, int]) -> Json:
    return {"Name": name, **{shown: counters.get(counter, 0) for shown, counter in _INTERFACE.items()}}


def _pressure(figures: Mapping[str, Mapping[str, float]]) -> Json:
    if not figures:
        return {}
    rename = {"avg10": "avg10_percent", "avg60": "avg60_percent", "avg300": "avg300_percent", "total": "total_us"}
    return {
        "psi": {
            kind: {shown: figures[kind].get(name, 0) for shown, name in rename.items()}
            for kind in ("some", "full")
            if kind in figures
        }
    }


def _known(value: int) -> int:
    return max(0, value)


def _without_zeros(members: Mapping[str, int | str | Sequence[Any]]) -> Json:
    return {name: value for name, value in members.items() if value}
