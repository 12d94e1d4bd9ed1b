"""Figures of a cgroup v1, one controller at a time; what a missing controller would tell is -1."""

from __future__ import annotations

import errno
import os

from corelaunch.api import CgroupStats, KernelError

from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: "No limit" of the memory controller: the greatest number of whole pages (PAGE_COUNTER_MAX).
_NO_MEMORY_LIMIT = (1 << 63) - 4096


def read_v1(paths: Mapping[str, str]) -> CgroupStats:
    """The figures now.

    Raises:
        KernelError: ENOENT, the cgroup is gone.
    """
    for directory in dict.fromkeys(paths.values()):
        if not os.path.isdir(directory):
            raise KernelError("cannot read figures of cgroup", where=directory, errno=errno.ENOENT)
    figures: dict[str, Any] = {}
    if "cpuacct" in paths:
        figures |= _cpuacct(paths["cpuacct"])
    if "cpu" in paths:
        figures |= _cpu(paths["cpu"])
    if "memory" in paths:
        figures |= _memory(paths["memory"])
    if "pids" in paths:
        figures["pids_current"] = files.number(f"{paths['pids']}/pids.current")
        figures["pids_limit"] = files.number(f"{paths['pids']}/pids.max")
    if "blkio" in paths:
        figures["io_bytes"] = _block_io(f"{paths['blkio']}/blkio.throttle.io_service_bytes_recursive")
        figures["io_operations"] = _block_io(f"{paths['blkio']}/blkio.throttle.io_serviced_recursive")
    return CgroupStats(**figures)


def _cpuacct(directory: str) -> dict[str, int]:
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    split = files.keys(f"{directory}/cpuacct.stat")
    return {
        "cpu_usage_ns": files.number(f"{directory}/cpuacct.usage"),
        "cpu_user_ns": split["user"] * tick_ns if "user" in split else -1,
        "cpu_system_ns": split["system"] * tick_ns if "system" in split else -1,
    }


def _cpu(directory: str) -> dict[str, int]:
    stat = files.keys(f"{directory}/cpu.stat")
    return {
        "cpu_periods": stat.get("nr_periods", -1),
        "cpu_throttled_periods": stat.get("nr_throttled", -1),
        "cpu_throttled_ns": stat.get("throttled_time", -1),
    }


def _memory(directory: str) -> dict[str, Any]:
    stat = files.keys(f"{directory}/memory.stat")
    limit = files.number(f"{directory}/memory.limit_in_bytes")
    return {
        "memory_usage_bytes": files.number(f"{directory}/memory.usage_in_bytes"),
        "memory_limit_bytes": -1 if limit >= _NO_MEMORY_LIMIT else limit,
        "memory_max_usage_bytes": files.number(f"{directory}/memory.max_usage_in_bytes"),
        "memory_swap_usage_bytes": stat.get("total_swap", -1),
        "memory_stat": stat,
        "oom_kills": files.keys(f"{directory}/memory.oom_control").get("oom_kill", -1),
    }


def _block_io(path: str) -> tuple[tuple[int, int, str, int], ...]:
    try:
        lines = files.read(path).split("\n")
    except OSError:
        return ()
    found = []
    for line in lines:
        words = line.split()
        if len(words) == 3:  # the sum over all devices has two
            major, _, minor = words[0].partition(":")
            found.append((int(major), int(minor), words[1].lower(), int(words[2])))
    return tuple(found)
