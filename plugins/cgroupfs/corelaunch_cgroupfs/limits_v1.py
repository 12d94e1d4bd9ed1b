"""Limits on cgroup v1 (kernel, Documentation/admin-guide/cgroup-v1/), in the order that the kernel's rules ask for."""

from __future__ import annotations

import errno

from corelaunch.api import ConfigError, KernelError, Unsupported

from . import files
from .controls import Controls
from .devices_v1 import write_devices
from .values import Section, maximum, page_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .rollback import Writes

_UNLIMITED = 1 << 63

#: The kernel silently moves shares into this range (kernel/sched/fair.c); a silent change is none that we make.
_SHARES = (2, 262144)

_THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
)


def write_v1(paths: Mapping[str, str], resources: Mapping[str, Any], writes: Writes | None = None) -> None:
    """Write every property that is set; the controllers are known to be there (``needs.check``).

    Raises:
        ConfigError, Unsupported, KernelError: of the first property that cannot be set.
    """
    if "cpuset" in paths:
        _cpuset(paths["cpuset"], Section(resources, "cpu"), writes)
    if "memory" in paths:
        _memory(paths["memory"], Section(resources, "memory"), writes)
    if "cpu" in paths:
        _cpu(paths["cpu"], Section(resources, "cpu"), writes)
    if "pids" in paths:
        _pids(paths["pids"], Section(resources, "pids"), writes)
    if "blkio" in paths:
        _block_io(paths["blkio"], Section(resources, "blockIO"), writes)
    if resources.get("hugepageLimits"):
        write_huge_pages(paths, resources["hugepageLimits"], writes)
    if "net_cls" in paths:
        _network(paths, Section(resources, "network"), resources.get("network") or {}, writes)
    if "rdma" in paths:
        write_rdma(paths["rdma"], resources.get("rdma") or {}, writes)
    if "devices" in paths and resources.get("devices"):
        write_devices(paths["devices"], resources["devices"])  # last: it sets itself back, and nothing follows it


def _memory(directory: str, memory: Section, writes: Writes | None) -> None:
    controls = Controls(directory, memory.where, writes)
    if memory.number("kernel") not in (None, -1):
        raise Unsupported(
            "cannot limit this", where=f"{memory.where}.kernel", why="the kernel ignores it since Linux 5.16"
        )
    if memory.flag("useHierarchy") is False:
        raise Unsupported(
            "cannot do this", where=f"{memory.where}.useHierarchy", why="memory is always accounted with what is below"
        )
    limit, swap = memory.number("limit"), memory.number("swap")
    if limit and swap and limit > 0 and 0 < swap < limit:
        raise ConfigError(
            "less than memory.limit", where=f"{memory.where}.swap", why="swap counts memory and swap together"
        )
    if limit and limit > 0 and memory.flag("checkBeforeUpdate"):
        usage = files.number(controls.path("memory.usage_in_bytes"))
        if usage > limit:
            raise KernelError(
                "memory limit is below what is used now",
                where=controls.path("memory.limit_in_bytes"),
                why=f"{limit} < {usage} bytes (checkBeforeUpdate)",
                errno=errno.EBUSY,
            )
    if limit == -1 and swap is None and controls.has("memory.memsw.limit_in_bytes"):
        swap = -1  # else the old limit of both together would stay in force, and refuse the new one
    if swap == -1 and not controls.has("memory.memsw.limit_in_bytes"):
        swap = None  # without swap accounting there is no such limit to lift
    _memory_and_swap(controls, limit, swap)
    for key, name in (
        ("reservation", "memory.soft_limit_in_bytes"),
        ("kernelTCP", "memory.kmem.tcp.limit_in_bytes"),
    ):
        value = memory.number(key)
        if value is not None:
            controls.set(name, str(value))
    swappiness = memory.number("swappiness", zero_is_unset=False)
    if swappiness is not None:
        controls.set("memory.swappiness", str(swappiness))
    disable = memory.flag("disableOOMKiller")
    if disable or (disable is False and files.keys(controls.path("memory.oom_control")).get("oom_kill_disable")):
        controls.set("memory.oom_control", str(int(disable)))


def _memory_and_swap(controls: Controls, limit: int | None, swap: int | None) -> None:
    """The kernel holds memory <= memory+swap at every moment: what is raised is raised from the outer one inwards."""
    writes = []
    if limit is not None:
        writes.append(("memory.limit_in_bytes", limit))
    if swap is not None:
        writes.append(("memory.memsw.limit_in_bytes", swap))
    if limit is not None and swap is not None:
        outer = files.number(controls.path("memory.memsw.limit_in_bytes"))
        if outer >= 0 and (limit if limit >= 0 else _UNLIMITED) > outer:
            writes.reverse()
    for name, value in writes:
        try:
            controls.set(name, str(value))
        except KernelError as error:
            if error.errno == errno.EBUSY:
                usage = files.number(controls.path("memory.usage_in_bytes"))
                peak = files.number(controls.path("memory.max_usage_in_bytes"))
                error.hint = f"{usage} bytes are in use (peak {peak}) and cannot be reclaimed"
            elif error.errno == errno.EINVAL and swap is None:
                error.hint = "set linux.resources.memory.swap as well: memory must not exceed memory and swap together"
            raise


def _cpu(directory: str, cpu: Section, writes: Writes | None) -> None:
    controls = Controls(directory, cpu.where, writes)
    shares = cpu.number("shares")
    if shares is not None:
        if not _SHARES[0] <= shares <= _SHARES[1]:
            raise ConfigError(
                "out of range",
                where=f"{cpu.where}.shares",
                why=f"{shares}: the kernel takes {_SHARES[0]} to {_SHARES[1]}",
            )
        controls.set("cpu.shares", str(shares))
    idle = cpu.number("idle", zero_is_unset=False)
    if idle is not None:
        if writes is not None and controls.has("cpu.idle") and controls.read("cpu.idle") == "0":
            # Taking back cpu.idle makes the kernel forget the shares, so setting back must write them too.
            writes.note(controls.path("cpu.shares"), "")
        controls.set("cpu.idle", str(idle))
    _bandwidth(controls, cpu.number("period"), cpu.number("quota"), cpu.number("burst", zero_is_unset=False))
    _in_either_order(
        controls,
        ("cpu.rt_period_us", cpu.number("realtimePeriod")),
        ("cpu.rt_runtime_us", cpu.number("realtimeRuntime", zero_is_unset=False)),
    )


def _bandwidth(controls: Controls, period: int | None, quota: int | None, burst: int | None) -> None:
    """burst <= quota, and quota/period within that of the cgroup above: a smaller burst goes first, a greater last."""
    if burst is not None and burst < files.number(controls.path("cpu.cfs_burst_us")):
        controls.set("cpu.cfs_burst_us", str(burst))
        burst = None
    _in_either_order(controls, ("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", quota))
    if burst is not None:
        controls.set("cpu.cfs_burst_us", str(burst))


def _in_either_order(controls: Controls, first: tuple[str, int | None], second: tuple[str, int | None]) -> None:
    """Set two values of which the kernel checks the ratio: the second first, if the old second forbids the first."""
    try:
        _set_if(controls, *first)
    except KernelError as error:
        if error.errno != errno.EINVAL or second[1] is None:
            raise
        _set_if(controls, *second)
        _set_if(controls, *first)
    else:
        _set_if(controls, *second)


def _set_if(controls: Controls, name: str, value: int | None) -> None:
    if value is not None:
        controls.set(name, str(value))


def _cpuset(directory: str, cpu: Section, writes: Writes | None) -> None:
    controls = Controls(directory, cpu.where, writes)
    for key in ("cpus", "mems"):
        value = cpu.text(key)
        if value:
            controls.set(f"cpuset.{key}", value, hint=f"{cpu.where}.{key}: is there such a {key[:-1]}?")


def _pids(directory: str, pids: Section, writes: Writes | None) -> None:
    limit = pids.number("limit", zero_is_unset=False)
    if limit is not None:
        Controls(directory, pids.where, writes).set("pids.max", maximum(limit))


def _block_io(directory: str, block_io: Section, writes: Writes | None) -> None:
    controls = Controls(directory, block_io.where, writes)
    if block_io.number("leafWeight") is not None:
        controls.set("blkio.leaf_weight", str(block_io.number("leafWeight")))
    weight = block_io.number("weight")
    if weight is not None:
        controls.set_first(("blkio.weight", "blkio.bfq.weight"), str(weight))
    for device, value in block_io.devices("weightDevice", "weight"):
        controls.set_first(("blkio.weight_device", "blkio.bfq.weight_device"), f"{device} {value}")
    for device, value in block_io.devices("weightDevice", "leafWeight"):
        controls.set("blkio.leaf_weight_device", f"{device} {value}")
    for key, name in _THROTTLES:
        for device, value in block_io.devices(key, "rate"):
            controls.set(
                name, f"{device} {value}", hint=f"{block_io.where}.{key}: is {device} a whole disk of this host?"
            )


def write_huge_pages(paths: Mapping[str, str], limits: Any, writes: Writes | None) -> None:
    """``hugepageLimits``: in the v1 hierarchy, or in the unified one, which has it on some hybrid hosts and on v2."""
    where = "linux.resources.hugepageLimits"
    v1 = "hugetlb" in paths
    controls = Controls(paths["hugetlb"] if v1 else paths.get("", ""), where, writes)
    for index, entry in enumerate(limits):
        size = page_size(entry.get("pageSize"), f"{where}[{index}].pageSize")
        limit = entry.get("limit")
        if isinstance(limit, bool) or not isinstance(limit, int):
            raise ConfigError("not an integer", where=f"{where}[{index}].limit", why=repr(limit))
        value = str(limit) if v1 else maximum(limit)
        for reserved in ("", ".rsvd"):
            name = f"hugetlb.{size}{reserved}.{'limit_in_bytes' if v1 else 'max'}"
            # Reservations count since Linux 5.7; without them a page that is reserved is not yet counted.
            if not reserved or controls.has(name):
                controls.set(name, value)


def _network(
    paths: Mapping[str, str], network: Section, content: Mapping[str, Any], writes: Writes | None
) -> None:
    class_id = network.number("classID")
    if class_id is not None:
        Controls(paths["net_cls"], network.where, writes).set("net_cls.classid", str(class_id))
    for index, entry in enumerate(content.get("priorities") or ()):
        name = files.component(str(entry.get("name")), f"{network.where}.priorities[{index}].name")
        value = f"{name} {int(entry.get('priority', 0))}"
        Controls(paths["net_prio"], network.where, writes).set("net_prio.ifpriomap", value)


def write_rdma(directory: str, rdma: Mapping[str, Any], writes: Writes | None) -> None:
    """``rdma``: the same file in both versions of cgroups."""
    for device, limits in rdma.items():
        where = f"linux.resources.rdma.{device}"
        section = Section({"rdma": limits}, "rdma")
        words = [files.component(device, where)]
        for key, word in (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object")):
            value = section.number(key, zero_is_unset=False)
            if value is not None:
                words.append(f"{word}={value}")
        Controls(directory, where, writes).set("rdma.max", " ".join(words))
