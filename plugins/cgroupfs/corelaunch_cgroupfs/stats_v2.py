"""Figures of a cgroup v2; what a controller that is not enabled would tell is -1."""

from __future__ import annotations

import errno
import os

from corelaunch.api import CgroupStats, KernelError

from . import files

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
        memory_swap_usage_bytes=files.number(f"{directory}/memory.swap.current"),
        memory_stat=files.keys(f"{directory}/memory.stat"),
        oom_kills=files.keys(f"{directory}/memory.events").get("oom_kill", -1),
        pids_current=files.number(f"{directory}/pids.current"),
        pids_limit=files.number(f"{directory}/pids.max"),
        io_bytes=[(*device, _BYTES[key], value) for device, key, value in io if key in _BYTES],
        io_operations=[(*device, _OPERATIONS[key], value) for device, key, value in io if key in _OPERATIONS],
    )


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
