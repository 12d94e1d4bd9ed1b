"""Words of process.scheduler, process.ioPriority, linux.personality and linux.memoryPolicy, and their numbers."""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: sched(7). SCHED_ISO is in the runtime-spec, no kernel has it.
POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
#: linux/sched.h
SCHEDULER_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
#: ioprio_set(2)
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
#: personality(2)
DOMAINS = {"LINUX": 0x0, "LINUX32": 0x8}
#: set_mempolicy(2), linux/mempolicy.h
MEMORY_MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
MEMORY_FLAGS = {
    "MPOL_F_NUMA_BALANCING": 1 << 13,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_STATIC_NODES": 1 << 15,
}
#: Modes that take no nodes.
WITHOUT_NODES = ("MPOL_DEFAULT", "MPOL_LOCAL")
#: The kernel's largest CONFIG_NODES_SHIFT is 10.
_NODES = 1024

#: struct sched_attr, first published version (sched_setattr(2)): size, policy, flags, nice, priority, then runtime,
#: deadline and period in nanoseconds.
_SCHED_ATTR = Struct("=IIQiIQQQ")


def sched_attr(scheduler: Mapping[str, Any]) -> bytes:
    """struct sched_attr of a checked ``process.scheduler``."""
    flags = 0
    for flag in scheduler.get("flags") or ():
        flags |= SCHEDULER_FLAGS[flag]
    return _SCHED_ATTR.pack(
        _SCHED_ATTR.size,
        POLICIES[scheduler["policy"]],
        flags,
        scheduler.get("nice") or 0,
        scheduler.get("priority") or 0,
        scheduler.get("runtime") or 0,
        scheduler.get("deadline") or 0,
        scheduler.get("period") or 0,
    )


def io_priority(io: Mapping[str, Any]) -> int:
    """What ioprio_set(2) takes: class and priority of a checked ``process.ioPriority``."""
    return int(IO_CLASSES[io["class"]] << 13 | (io.get("priority") or 0))


def memory_policy(policy: Mapping[str, Any]) -> tuple[int, int, bytes]:
    """mode, maxnode and node mask for set_mempolicy(2) of a checked ``linux.memoryPolicy``."""
    mode = MEMORY_MODES[policy["mode"]]
    for flag in policy.get("flags") or ():
        mode |= MEMORY_FLAGS[flag]
    if not policy.get("nodes"):
        return mode, 0, b""
    bits = 0
    for node in node_list(policy["nodes"]):
        bits |= 1 << node
    # maxnode counts one more than it says: the kernel looks at maxnode - 1 bits, in whole words.
    return mode, _NODES + 1, bits.to_bytes(_NODES // 8 + 8, "little")


def node_list(text: str) -> list[int]:
    """The numbers of a list such as "0-3,7".

    Raises:
        ValueError: it is not of that form, or a number is beyond the kernel's largest.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and first.isascii() and (not dash or (last.isdecimal() and last.isascii()))):
            raise ValueError(f"{part!r} is not a number or a range of numbers")
        low, high = int(first), int(last) if dash else int(first)
        if low > high or high >= _NODES:
            raise ValueError(f"{part!r} is not a range of numbers below {_NODES}")
        numbers.extend(range(low, high + 1))
    return numbers
