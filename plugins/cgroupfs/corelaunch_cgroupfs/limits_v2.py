"""Limits on cgroup v2 (kernel, Documentation/admin-guide/cgroup-v2.rst); the config speaks v1, this translates."""

from __future__ import annotations

import errno
import math

from corelaunch.api import ConfigError, KernelError, Unsupported

from . import files
from .controls import Controls
from .limits_v1 import write_huge_pages, write_rdma
from .values import Section, maximum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .rollback import Writes

#: Files of every cgroup that are no limits: the first process is in it already, and it is to be neither frozen nor
#: killed nor made threaded behind the runtime's back.
_NOT_LIMITS = (
    "cgroup.procs",
    "cgroup.threads",
    "cgroup.type",
    "cgroup.subtree_control",
    "cgroup.freeze",
    "cgroup.kill",
)

_SHARES = (2, 262144)

_IO_MAX = (
    ("throttleReadBpsDevice", "rbps"),
    ("throttleWriteBpsDevice", "wbps"),
    ("throttleReadIOPSDevice", "riops"),
    ("throttleWriteIOPSDevice", "wiops"),
)


def write_v2(directory: str, resources: Mapping[str, Any], writes: Writes | None = None) -> None:
    """Write every property that is set, ``unified`` after those with names of their own.

    Raises:
        ConfigError, Unsupported, KernelError: of the first property that cannot be set.
    """
    _pids(directory, Section(resources, "pids"), writes)
    _memory(directory, Section(resources, "memory"), writes)
    _io(directory, Section(resources, "blockIO"), writes)
    _cpu(directory, Section(resources, "cpu"), writes)
    if resources.get("hugepageLimits"):
        write_huge_pages({"": directory}, resources["hugepageLimits"], writes)
    write_rdma(directory, resources.get("rdma") or {}, writes)
    _unified(directory, resources.get("unified") or {}, writes)
    if resources.get("devices"):
        from .devices_v2 import write_devices

        # Last: it is one atomic step, and nothing follows that could fail and ask for the old rules back.
        write_devices(directory, resources["devices"])


def _pids(directory: str, pids: Section, writes: Writes | None) -> None:
    limit = pids.number("limit", zero_is_unset=False)
    controls = Controls(directory, pids.where, writes)
    # Where the controller was not delegated nothing limits already.
    if limit is not None and (limit >= 0 or controls.has("pids.max")):
        controls.set("pids.max", maximum(limit))


def _memory(directory: str, memory: Section, writes: Writes | None) -> None:
    controls = Controls(directory, memory.where, writes)
    for key in ("kernel", "kernelTCP", "swappiness"):
        if memory.number(key, zero_is_unset=key != "swappiness") not in (None, -1):
            raise Unsupported("cannot set this", where=f"{memory.where}.{key}", why="cgroup v2 has no such control")
    if memory.flag("disableOOMKiller"):
        raise Unsupported(
            "cannot set this", where=f"{memory.where}.disableOOMKiller", why="cgroup v2 has no such control"
        )
    limit, swap = memory.number("limit"), memory.number("swap")
    if limit and limit > 0 and memory.flag("checkBeforeUpdate"):
        usage = files.number(controls.path("memory.current"))
        if usage > limit:
            raise ConfigError(
                "memory limit is below what is used now", where=f"{memory.where}.limit", why=f"{limit} < {usage} bytes"
            )
    if limit == -1 and swap is None:
        swap = -1  # v1 limits both together: whoever lifts the limit of memory lifts that of both
    # Swap first, as in the other order an update that lowers both could swap out what it may not keep there.
    if swap is not None:
        alone = swap_alone(swap, limit, f"{memory.where}.swap")
        # A kernel without swap accounting has nothing to lift, and nothing to be limited to none.
        if alone > 0 or controls.has("memory.swap.max"):
            controls.set("memory.swap.max", maximum(alone))
    if limit is not None:
        controls.set("memory.max", maximum(limit))
    reservation = memory.number("reservation")
    if reservation is not None:
        controls.set("memory.low", maximum(reservation))


def swap_alone(swap: int, limit: int | None, where: str) -> int:
    """v1 limits memory and swap together, v2 swap alone."""
    if swap < 0:
        return -1
    if limit is None or limit < 0:
        raise ConfigError("needs memory.limit as well", where=where, why="swap counts memory and swap together")
    if swap < limit:
        raise ConfigError("less than memory.limit", where=where, why="swap counts memory and swap together")
    return swap - limit


def cpu_weight(shares: int) -> int:
    """cpu.weight for the shares of v1: the least, the default and the greatest (2, 1024, 262144) are 1, 100 and 10000.

    A quadratic in the logarithm goes through these three points; it is the one that other runtimes use since 2025.
    """
    if shares <= _SHARES[0]:
        return 1
    if shares >= _SHARES[1]:
        return 10000
    log = math.log2(shares)
    return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


def _cpu(directory: str, cpu: Section, writes: Writes | None) -> None:
    controls = Controls(directory, cpu.where, writes)
    for key in ("realtimePeriod", "realtimeRuntime"):
        if cpu.number(key) is not None:
            raise Unsupported("cannot set this", where=f"{cpu.where}.{key}", why="cgroup v2 has no such control")
    shares = cpu.number("shares")
    if shares is not None:
        controls.set("cpu.weight", str(cpu_weight(shares)))
    idle = cpu.number("idle", zero_is_unset=False)
    if idle is not None:
        if writes is not None and controls.has("cpu.idle") and controls.read("cpu.idle") == "0":
            # Taking back cpu.idle makes the kernel forget the weight, so setting back must write it too.
            writes.note(controls.path("cpu.weight"), "")
        controls.set("cpu.idle", str(idle))
    quota, period = cpu.number("quota"), cpu.number("period")
    burst = cpu.number("burst", zero_is_unset=False)
    smaller = burst is not None and burst < files.number(controls.path("cpu.max.burst"))
    if smaller:
        controls.set("cpu.max.burst", str(burst))
    if quota is not None or period is not None:
        old_quota = "" if quota is not None or not controls.has("cpu.max") else controls.read("cpu.max").split()[0]
        first = maximum(quota) if quota is not None else old_quota or "max"
        controls.set("cpu.max", first if period is None else f"{first} {period}")  # one number leaves the period
    if burst is not None and not smaller:
        controls.set("cpu.max.burst", str(burst))
    for key in ("cpus", "mems"):
        value = cpu.text(key)
        if value:
            controls.set(f"cpuset.{key}", value)


def io_weight(weight: int) -> int:
    """io.weight goes from 1 to 10000, the config's weight (as bfq's) from 10 to 1000."""
    return 1 + (weight - 10) * 9999 // 990


def _io(directory: str, block_io: Section, writes: Writes | None) -> None:
    controls = Controls(directory, block_io.where, writes)
    if block_io.number("leafWeight") is not None or list(block_io.devices("weightDevice", "leafWeight")):
        raise Unsupported("cannot set this", where=f"{block_io.where}.leafWeight", why="cgroup v2 has no such control")
    weight = block_io.number("weight")
    bfq = controls.has("io.bfq.weight")
    if weight is not None:
        controls.set("io.bfq.weight" if bfq else "io.weight", str(weight if bfq else io_weight(weight)))
    for device, value in block_io.devices("weightDevice", "weight"):
        controls.set("io.bfq.weight" if bfq else "io.weight", f"{device} {value if bfq else io_weight(value)}")
    for key, word in _IO_MAX:
        for device, value in block_io.devices(key, "rate"):
            controls.set("io.max", f"{device} {word}={value or 'max'}")


def _unified(directory: str, unified: Mapping[str, Any], writes: Writes | None) -> None:
    """Whatever file it names is written, as the runtime-spec says, one line at a time."""
    where = "linux.resources.unified"
    for name, value in unified.items():
        path = f"{where}.{name}"
        if not isinstance(value, str):
            raise ConfigError("not a string", where=path, why=repr(value))
        files.component(name, where)
        if name in _NOT_LIMITS:
            # Who is in the cgroup, whether it runs and who is below are states of a container, and its runtime's.
            raise ConfigError("not a resource", where=path, why="this file is managed by the runtime")
        controls = Controls(directory, path, writes)
        for line in value.split("\n"):
            controls.set(name, line)
        if name == "cpuset.cpus.partition":
            _check_partition(controls, value)


def _check_partition(controls: Controls, value: str) -> None:
    """The kernel takes the word and says afterwards that it does not hold (cgroup-v2.rst, "cpuset.cpus.partition")."""
    now = controls.read("cpuset.cpus.partition")
    if "invalid" in now:
        raise KernelError(
            f"cannot set cpuset.cpus.partition to {value!r}",
            where=controls.path("cpuset.cpus.partition"),
            why=f"the kernel says {now!r}",
            errno=errno.EINVAL,
        )
