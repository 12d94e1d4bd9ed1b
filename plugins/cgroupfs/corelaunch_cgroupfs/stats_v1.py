"""Figures of a cgroup v1, one controller at a time; what a missing controller would tell is -1 or empty."""

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

#: Files of the memory controller -> the figures that they give.
_MEMORY = (
    ("memory", "memory"),
    ("memory.memsw", "memory_and_swap"),
    ("memory.kmem", "kernel_memory"),
    ("memory.kmem.tcp", "kernel_tcp"),
)

#: Figures of block devices: the scheduler's own (bfq, or cfq before Linux 5.0), else those of the throttling layer.
_BLOCK_IO = {
    "io_bytes": ("bfq.io_service_bytes", "io_service_bytes", "throttle.io_service_bytes"),
    "io_operations": ("bfq.io_serviced", "io_serviced", "throttle.io_serviced"),
    "io_queued": ("bfq.io_queued", "io_queued"),
    "io_merged": ("bfq.io_merged", "io_merged"),
    "io_service_time_ns": ("bfq.io_service_time", "io_service_time"),
    "io_wait_time_ns": ("bfq.io_wait_time", "io_wait_time"),
    "io_time_ms": ("bfq.time", "time"),
    "io_sectors": ("bfq.sectors", "sectors"),
}

_CPUSET_FLAGS = (
    "cpu_exclusive mem_hardwall mem_exclusive memory_migrate memory_spread_page memory_spread_slab memory_pressure "
    "sched_load_balance sched_relax_domain_level"
).split()


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
        figures |= {name: _block_io(paths["blkio"], choices) for name, choices in _BLOCK_IO.items()}
    if "cpuset" in paths:
        figures |= _cpuset(paths["cpuset"])
    if "hugetlb" in paths:
        figures["huge_pages"] = huge_pages(paths["hugetlb"], "usage_in_bytes", "max_usage_in_bytes", "failcnt")
    elif "" in paths:
        figures["huge_pages"] = huge_pages_v2(paths[""])  # a hybrid host may have it there
    return CgroupStats(**figures)


def _cpuacct(directory: str) -> dict[str, Any]:
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    split = files.keys(f"{directory}/cpuacct.stat")
    # By CPU before the sum: a process that runs meanwhile must not make the parts more than the whole.
    by_cpu = {
        f"cpu_{name}_per_cpu_ns": _numbers(f"{directory}/cpuacct.usage_percpu{suffix}")
        for name, suffix in (("usage", ""), ("user", "_user"), ("system", "_sys"))
    }
    return {
        **by_cpu,
        "cpu_usage_ns": files.number(f"{directory}/cpuacct.usage"),
        "cpu_user_ns": split["user"] * tick_ns if "user" in split else -1,
        "cpu_system_ns": split["system"] * tick_ns if "system" in split else -1,
    }


def _numbers(path: str) -> tuple[int, ...]:
    """The numbers in a file of one line; () if there is no such file."""
    try:
        return tuple(map(int, files.read(path).split()))
    except OSError:
        return ()


def _cpu(directory: str) -> dict[str, int]:
    stat = files.keys(f"{directory}/cpu.stat")
    return {
        "cpu_periods": stat.get("nr_periods", -1),
        "cpu_throttled_periods": stat.get("nr_throttled", -1),
        "cpu_throttled_ns": stat.get("throttled_time", -1),
    }


def _memory(directory: str) -> dict[str, Any]:
    stat = files.keys(f"{directory}/memory.stat")
    figures: dict[str, Any] = {
        "memory_stat": stat,
        "memory_swap_usage_bytes": stat.get("total_swap", -1),
        "oom_kills": files.keys(f"{directory}/memory.oom_control").get("oom_kill", -1),
    }
    for prefix, name in _MEMORY:
        limit = files.number(f"{directory}/{prefix}.limit_in_bytes")
        figures |= {
            f"{name}_usage_bytes": files.number(f"{directory}/{prefix}.usage_in_bytes"),
            f"{name}_limit_bytes": -1 if limit >= _NO_MEMORY_LIMIT else limit,
            f"{name}_max_usage_bytes": files.number(f"{directory}/{prefix}.max_usage_in_bytes"),
            f"{name}_failures": files.number(f"{directory}/{prefix}.failcnt"),
        }
    return figures


def _block_io(directory: str, choices: tuple[str, ...]) -> tuple[tuple[int, int, str, int], ...]:
    """The first of the files that has anything to say."""
    for name in choices:
        try:
            lines = files.read(f"{directory}/blkio.{name}_recursive").split("\n")
        except OSError:
            continue
        found = [row for row in map(_device, lines) if row is not None]
        if found:
            return tuple(found)
    return ()


def _device(line: str) -> tuple[int, int, str, int] | None:
    """A line "8:0 Read 42" or "8:0 42"; None for the sum over all devices, which begins with a word."""
    device, _, rest = line.partition(" ")
    major, colon, minor = device.partition(":")
    words = rest.split()
    if not colon or not words:
        return None
    return int(major), int(minor), words[0].lower() if len(words) == 2 else "", int(words[-1])


def _cpuset(directory: str) -> dict[str, Any]:
    flags = {}
    for name in _CPUSET_FLAGS:
        try:
            flags[name] = int(files.read(f"{directory}/cpuset.{name}"))
        except OSError:
            continue
    return {
        "cpuset_cpus": number_list(f"{directory}/cpuset.cpus"),
        "cpuset_mems": number_list(f"{directory}/cpuset.mems"),
        "cpuset_flags": flags,
    }


def number_list(path: str) -> tuple[int, ...]:
    """A list like "0-2,7"; () if there is no such file."""
    try:
        text = files.read(path)
    except OSError:
        return ()
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def huge_pages(directory: str, usage: str, most: str, failures: str) -> dict[str, dict[str, int]]:
    """Figures of every huge page size that this kernel has."""
    found = {}
    try:
        names = os.listdir(directory)
    except OSError:
        return {}
    for name in sorted(names):
        if name.startswith("hugetlb.") and name.endswith(f".{usage}") and ".rsvd." not in name:
            size = name[len("hugetlb.") : -len(usage) - 1]
            path = f"{directory}/hugetlb.{size}"
            found[size] = {
                "usage_bytes": files.number(f"{path}.{usage}"),
                "max_usage_bytes": files.number(f"{path}.{most}") if most else -1,
                "failures": files.number(f"{path}.{failures}") if failures else -1,
            }
    return found


def huge_pages_v2(directory: str) -> dict[str, dict[str, int]]:
    """The same of a cgroup v2, which counts no peak and tells failures as events."""
    found = huge_pages(directory, "current", "", "")
    for size, figures in found.items():
        figures["failures"] = files.keys(f"{directory}/hugetlb.{size}.events").get("max", -1)
    return found
