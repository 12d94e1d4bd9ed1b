"""Figures of a cgroup v2; what a controller that is not enabled would tell is -1."""

from __future__ import annotations

import errno
import os

from corelaunch.api import CgroupStats, KernelError

from . import files
from .stats_v1 import huge_pages_v2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BYTES = {"rbytes": "read", "wbytes": "write", "dbytes": "discard"}
_OPERATIONS = {"rios": "read", "wios": "write", "dios": "discard"}


def read_v2(directory: str) -> CgroupStats:
    """The figures now.

    Raises:
        KernelError: ENOENT, the cgroup is gone.
    """
    if not os.path.isdir(directory):
        raise KernelError("cannot read figures of cgroup", where=directory, errno=errno.ENOENT)
    cpu = files.keys(f"{directory}/cpu.stat")
    io = _io(f"{directory}/io.stat")
    both: dict[str, Any] = _memory_and_swap(directory)
    return CgroupStats(
        cpu_usage_ns=_ns(cpu, "usage_usec"),
        cpu_user_ns=_ns(cpu, "user_usec"),
        cpu_system_ns=_ns(cpu, "system_usec"),
        cpu_periods=cpu.get("nr_periods", -1),
        cpu_throttled_periods=cpu.get("nr_throttled", -1),
        cpu_throttled_ns=_ns(cpu, "throttled_usec"),
        memory_usage_bytes=files.number(f"{directory}/memory.current"),
        memory_limit_bytes=files.number(f"{directory}/memory.max"),
        memory_max_usage_bytes=files.number(f"{directory}/memory.peak"),
        memory_failures=files.keys(f"{directory}/memory.events").get("max", -1),
        **both,
        memory_stat=files.keys(f"{directory}/memory.stat"),
        oom_kills=files.keys(f"{directory}/memory.events").get("oom_kill", -1),
        pids_current=files.number(f"{directory}/pids.current"),
        pids_limit=files.number(f"{directory}/pids.max"),
        io_bytes=[(*device, _BYTES[key], value) for device, key, value in io if key in _BYTES],
        io_operations=[(*device, _OPERATIONS[key], value) for device, key, value in io if key in _OPERATIONS],
        huge_pages=huge_pages_v2(directory),
        cpu_pressure=_pressure(f"{directory}/cpu.pressure"),
        memory_pressure=_pressure(f"{directory}/memory.pressure"),
        io_pressure=_pressure(f"{directory}/io.pressure"),
    )


def _memory_and_swap(directory: str) -> dict[str, int]:
    """Swap alone, and its sum with memory, which v1 counts; the peak of a sum is not known."""
    memory, swap = files.number(f"{directory}/memory.current"), files.number(f"{directory}/memory.swap.current")
    limit, swap_limit = files.number(f"{directory}/memory.max"), files.number(f"{directory}/memory.swap.max")
    return {
        "memory_swap_usage_bytes": swap,
        "memory_and_swap_usage_bytes": memory + swap if min(memory, swap) >= 0 else -1,
        "memory_and_swap_limit_bytes": limit + swap_limit if min(limit, swap_limit) >= 0 else -1,
        "memory_and_swap_failures": files.keys(f"{directory}/memory.swap.events").get("max", -1),
    }


def _pressure(path: str) -> dict[str, dict[str, float]]:
    """Lines like ``some avg10=0.00 avg60=0.00 avg300=0.00 total=0``; {} where the kernel keeps no such figures."""
    try:
        lines = files.read(path).split("\n")
    except OSError:
        return {}
    found = {}
    for line in filter(None, lines):
        kind, *pairs = line.split()
        figures: dict[str, float] = {}
        for pair in pairs:
            name, _, value = pair.partition("=")
            if name == "total":
                figures["total_us"] = int(value)
            else:
                figures[f"{name}_percent"] = float(value)
        found[kind] = figures
    return found


def _ns(stat: dict[str, int], key: str) -> int:
    return stat[key] * 1000 if key in stat else -1


def _io(path: str) -> list[tuple[tuple[int, int], str, int]]:
    """Lines like ``8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0``."""
    try:
        lines = files.read(path).split("\n")
    except OSError:
        return []
    found = []
    for line in filter(None, lines):
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        for pair in pairs:
            key, _, value = pair.partition("=")
            found.append(((int(major), int(minor)), key, int(value)))
    return found
