"""The one module that a plugin imports: interfaces, requests, placements, effects, errors and ``hookimpl``.

Every backend works in two steps. ``place`` is pure: it answers *where* a thing will be (names and paths), core
writes the answer into the journal and ``corelaunch plan`` prints it. ``create`` makes it, and announces each
further resource to ``ctx`` before it is made, so that a kill -9 at any moment can be undone by another process,
months later, from the journal alone. A manager therefore keeps no state per container.
"""

from __future__ import annotations

from .errors import (
    AlreadyExists,
    ConfigError,
    CorelaunchError,
    DeadlineExceeded,
    KernelError,
    PluginError,
    Unsupported,
    is_gone,
)
from .records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, TypeVar

    from .companion import start_companion as start_companion
    from .config_edits import AddDevice as AddDevice
    from .config_edits import AddGroup as AddGroup
    from .config_edits import AddHook as AddHook
    from .config_edits import AddMount as AddMount
    from .config_edits import AddNetwork as AddNetwork
    from .config_edits import ConfigEdit as ConfigEdit
    from .config_edits import DropCapability as DropCapability
    from .config_edits import MaskPath as MaskPath
    from .config_edits import RemoveMount as RemoveMount
    from .config_edits import SetAnnotation as SetAnnotation
    from .config_edits import SetEnv as SetEnv
    from .config_edits import SetIntelRdt as SetIntelRdt
    from .config_edits import SetResource as SetResource
    from .config_edits import SetRlimit as SetRlimit
    from .config_edits import SetSysctl as SetSysctl
    from .config_edits import UnsetEnv as UnsetEnv
    from .delegating import DelegatingCgroupManager as DelegatingCgroupManager
    from .delegating import DelegatingRdtManager as DelegatingRdtManager
    from .edits import MakeDirectory as MakeDirectory
    from .edits import MakeFile as MakeFile
    from .edits import MakeSymlink as MakeSymlink
    from .edits import PlanEdit as PlanEdit
    from .jsontext import dumps as dumps
    from .jsontext import loads as loads
    from .kernel.bpf import attach_device_program as attach_device_program
    from .kernel.bpf import attached_device_program as attached_device_program
    from .kernel.bpf import detach_device_program as detach_device_program
    from .kernel.bpf import load_device_program as load_device_program
    from .kernel.mountinfo import cgroup_hierarchies as cgroup_hierarchies
    from .kernel.mountinfo import mounts_of_type as mounts_of_type
    from .kernel.procfs import boot_id as boot_id
    from .kernel.procfs import cgroups_of as cgroups_of
    from .kernel.procfs import in_user_namespace as in_user_namespace
    from .kernel.procfs import start_time as start_time

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "API_VERSION",
    "AddDevice",
    "AddGroup",
    "AddHook",
    "AddMount",
    "AddNetwork",
    "AlreadyExists",
    "CgroupManager",
    "CgroupPlacement",
    "CgroupRequest",
    "CgroupStats",
    "ConfigEdit",
    "ConfigError",
    "CorelaunchError",
    "DeadlineExceeded",
    "DelegatingCgroupManager",
    "DelegatingRdtManager",
    "DoctorCheck",
    "DropCapability",
    "Effect",
    "KernelError",
    "LaunchContext",
    "LaunchStep",
    "MakeDirectory",
    "MakeFile",
    "MakeSymlink",
    "MaskPath",
    "Moment",
    "NetworkPlacement",
    "NetworkRequest",
    "NetworkStrategy",
    "PlanEdit",
    "PluginCommand",
    "PluginError",
    "ProcessHandle",
    "RdtManager",
    "RdtPlacement",
    "RdtRequest",
    "Record",
    "RemoveMount",
    "SetAnnotation",
    "SetEnv",
    "SetIntelRdt",
    "SetResource",
    "SetRlimit",
    "SetSysctl",
    "UnsetEnv",
    "Unsupported",
    "attach_device_program",
    "attached_device_program",
    "boot_id",
    "cgroup_hierarchies",
    "cgroups_of",
    "detach_device_program",
    "dumps",
    "hookimpl",
    "in_user_namespace",
    "is_gone",
    "load_device_program",
    "load_manager",
    "loads",
    "mounts_of_type",
    "start_time",
]

#: A plugin module says ``corelaunch_api = 1``; another major number is refused when the plugin is loaded.
API_VERSION = 1

#: Names that go with the next API, and work until then: old name -> (new name, release that deprecated it).
#: docs/stability.md has the policy.
DEPRECATED: Mapping[str, tuple[str, str]] = {}

#: Kernel doors and edits that plugins may use, imported on first use: name -> module below corelaunch.
_DOORS = {
    **dict.fromkeys(
        (
            "AddDevice",
            "AddGroup",
            "AddHook",
            "AddMount",
            "AddNetwork",
            "ConfigEdit",
            "DropCapability",
            "MaskPath",
            "RemoveMount",
            "SetAnnotation",
            "SetEnv",
            "SetIntelRdt",
            "SetResource",
            "SetRlimit",
            "SetSysctl",
            "UnsetEnv",
        ),
        "config_edits",
    ),
    **dict.fromkeys(("MakeDirectory", "MakeFile", "MakeSymlink", "PlanEdit"), "edits"),
    **dict.fromkeys(
        ("attach_device_program", "attached_device_program", "detach_device_program", "load_device_program"),
        "kernel.bpf",
    ),
    **dict.fromkeys(("DelegatingCgroupManager", "DelegatingRdtManager"), "delegating"),
    "boot_id": "kernel.procfs",
    "start_companion": "companion",
    "cgroup_hierarchies": "kernel.mountinfo",
    "mounts_of_type": "kernel.mountinfo",
    "cgroups_of": "kernel.procfs",
    "in_user_namespace": "kernel.procfs",
    "start_time": "kernel.procfs",
    "dumps": "jsontext",
    "loads": "jsontext",
}

#: Attribute that pluggy's HookimplMarker("corelaunch") sets; ours sets the same without importing pluggy.
HOOKIMPL_ATTRIBUTE = "corelaunch_impl"


def __getattr__(name: str) -> Any:
    if name in DEPRECATED:
        from .deprecation import use

        return use(name, *DEPRECATED[name])
    if name not in _DOORS:
        raise AttributeError(f"corelaunch.api has no {name!r}")
    door = getattr(__import__(f"corelaunch.{_DOORS[name]}", fromlist=[name]), name)
    globals()[name] = door
    return door


def hookimpl(
    function: F | None = None,
    *,
    hookwrapper: bool = False,
    optionalhook: bool = False,
    tryfirst: bool = False,
    trylast: bool = False,
    specname: str | None = None,
    wrapper: bool = False,
) -> Any:
    """Mark a function as the implementation of a hook of ``corelaunch.hookspecs``, as ``pluggy.HookimplMarker``."""

    def mark(target: F) -> F:
        options = {
            "wrapper": wrapper,
            "hookwrapper": hookwrapper,
            "optionalhook": optionalhook,
            "tryfirst": tryfirst,
            "trylast": trylast,
            "specname": specname,
        }
        setattr(target, HOOKIMPL_ATTRIBUTE, options)
        return target

    return mark if function is None else mark(function)


class ProcessHandle(Record):
    """A process that cannot be mistaken for another: a pid alone may be reused.

    Attributes:
        pid: number of the process in the pid namespace of corelaunch.
        start_time: when it began: field 22 of /proc/PID/stat, in clock ticks after boot (proc(5)); :func:`start_time`
            reads it.
        pidfd: descriptor of pidfd_open(2); -1 when the handle was read from the state of a container.
    """

    pid: int
    start_time: int
    pidfd: int = -1


class Effect(Record):
    """One thing outside corelaunch that a manager makes, as the journal knows it.

    Attributes:
        number: of the effect within its container's journal, from 1.
        kind: what it is, one word for people ("cgroup", "link", "companion").
        name: its path or name, for people ("/sys/fs/cgroup/pids/demo").
        args: all that undoing it needs, as given to :meth:`LaunchContext.intend`; JSON values.
        absent: whether nothing of that name existed when it was announced. False: it is not ours to undo.
        done: whether it was confirmed. False: killed in between, so it may have been made or not.
        facts: what came with the confirmation (``dev``, ``ino``, ``ifindex``, …) and tells our object from a later one
            of that name.
    """

    number: int
    kind: str
    name: str
    args: Mapping[str, Any] = {}
    absent: bool = True
    done: bool = False
    facts: Mapping[str, Any] = {}


class CgroupRequest(Record):
    """What a container asks of its cgroup.

    Attributes:
        container_id: id of the container.
        path: linux.cgroupsPath as it stands in config.json, "" if absent.
        resources: linux.resources as it stands in config.json (OCI runtime-spec, config-linux.md).
        annotations: those of config.json.
        mode: "required": in every hierarchy, or refuse. "best-effort" (users): where we may, and refuse only what is
            asked of ``path`` and ``resources`` and cannot be; a placement without paths then means that there is none.
            Or "off".
        owner_uid: host uid that a cgroup v2 is delegated to: of the container's first process, if it has a cgroup
            namespace and a cgroup mount that it may write to. -1: to nobody.
        owner_gid: host gid that it is delegated to, -1 if the gid stays as it is.
    """

    container_id: str
    path: str = ""
    resources: Mapping[str, Any] = {}
    annotations: Mapping[str, str] = {}
    mode: str = "required"
    owner_uid: int = -1
    owner_gid: int = -1


class CgroupPlacement(Record):
    """Where a container's cgroup is. Core binds these paths into the container and opens ``paths[""]``.

    Attributes:
        paths: absolute directory per controller of a v1 hierarchy ("memory", "pids", "name=systemd" …); "" is the
            unified one.
        extra: whatever else the manager needs later (a unit name, an invocation id); JSON values only. Core keeps it
            and does not look into it.
    """

    paths: Mapping[str, str]
    extra: Mapping[str, Any] = {}


class CgroupStats(Record):
    """Figures of a cgroup. A figure that the kernel does not give is -1, never 0.

    Units are in the names: ``_ns`` nanoseconds, ``_us`` microseconds, ``_bytes`` bytes, ``_percent`` of 100. Figures
    by CPU are in the order of the CPUs, () if they are not given. ``io_…`` are rows of (major, minor, operation, value)
    of the blkio/io accounting, the operation in the kernel's word, lower case ("" if there is none).

    Attributes:
        cpu_usage_ns: CPU time used, in nanoseconds.
        cpu_user_ns: of that in user mode.
        cpu_system_ns: of that in the kernel.
        cpu_usage_per_cpu_ns: CPU time used, by CPU.
        cpu_user_per_cpu_ns: of that in user mode.
        cpu_system_per_cpu_ns: of that in the kernel.
        cpu_periods: periods of the CPU quota that have passed (cpu.stat, nr_periods).
        cpu_throttled_periods: of these how many were throttled.
        cpu_throttled_ns: how long it was throttled in all, in nanoseconds.
        memory_usage_bytes: memory in use, with the page cache.
        memory_limit_bytes: its limit.
        memory_max_usage_bytes: most that was ever in use.
        memory_failures: how often the limit was hit.
        memory_swap_usage_bytes: swap in use.
        memory_and_swap_usage_bytes: memory and swap together, as cgroup v1 counts them.
        memory_and_swap_limit_bytes: their limit.
        memory_and_swap_max_usage_bytes: most that was ever in use.
        memory_and_swap_failures: how often that limit was hit.
        kernel_memory_usage_bytes: memory of the kernel in use (v1).
        kernel_memory_limit_bytes: its limit.
        kernel_memory_max_usage_bytes: most that was ever in use.
        kernel_memory_failures: how often that limit was hit.
        kernel_tcp_usage_bytes: buffers of TCP in use (v1).
        kernel_tcp_limit_bytes: their limit.
        kernel_tcp_max_usage_bytes: most that was ever in use.
        kernel_tcp_failures: how often that limit was hit.
        oom_kills: processes that the OOM killer has killed.
        pids_current: processes and threads in it.
        pids_limit: how many there may be.
        memory_stat: every "key value" pair of memory.stat, in the kernel's own units (bytes or events).
        io_bytes: bytes read and written, by device and operation.
        io_operations: requests, by device and operation.
        io_queued: requests that wait.
        io_merged: requests that were merged with others.
        io_service_time_ns: between dispatch and completion, in nanoseconds.
        io_wait_time_ns: in the scheduler's queues, in nanoseconds.
        io_time_ms: of the device, in milliseconds, without an operation ("").
        io_sectors: sectors of 512 bytes, without an operation ("").
        cpuset_cpus: numbers of the CPUs that processes may use.
        cpuset_mems: numbers of the memory nodes that they may use.
        cpuset_flags: the cpuset's other controls by name ("cpu_exclusive" …).
        huge_pages: huge page size ("2MB") -> usage_bytes, max_usage_bytes, failures.
        cpu_pressure: "some" and "full" -> avg10_percent, avg60_percent, avg300_percent, total_us
            (Documentation/accounting/psi.rst).
        memory_pressure: the same of memory.
        io_pressure: the same of io.
    """

    cpu_usage_ns: int = -1
    cpu_user_ns: int = -1
    cpu_system_ns: int = -1
    cpu_usage_per_cpu_ns: Sequence[int] = ()
    cpu_user_per_cpu_ns: Sequence[int] = ()
    cpu_system_per_cpu_ns: Sequence[int] = ()
    cpu_periods: int = -1
    cpu_throttled_periods: int = -1
    cpu_throttled_ns: int = -1
    memory_usage_bytes: int = -1
    memory_limit_bytes: int = -1
    memory_max_usage_bytes: int = -1
    memory_failures: int = -1
    memory_swap_usage_bytes: int = -1
    memory_and_swap_usage_bytes: int = -1
    memory_and_swap_limit_bytes: int = -1
    memory_and_swap_max_usage_bytes: int = -1
    memory_and_swap_failures: int = -1
    kernel_memory_usage_bytes: int = -1
    kernel_memory_limit_bytes: int = -1
    kernel_memory_max_usage_bytes: int = -1
    kernel_memory_failures: int = -1
    kernel_tcp_usage_bytes: int = -1
    kernel_tcp_limit_bytes: int = -1
    kernel_tcp_max_usage_bytes: int = -1
    kernel_tcp_failures: int = -1
    oom_kills: int = -1
    pids_current: int = -1
    pids_limit: int = -1
    memory_stat: Mapping[str, int] = {}
    io_bytes: Sequence[tuple[int, int, str, int]] = ()
    io_operations: Sequence[tuple[int, int, str, int]] = ()
    io_queued: Sequence[tuple[int, int, str, int]] = ()
    io_merged: Sequence[tuple[int, int, str, int]] = ()
    io_service_time_ns: Sequence[tuple[int, int, str, int]] = ()
    io_wait_time_ns: Sequence[tuple[int, int, str, int]] = ()
    io_time_ms: Sequence[tuple[int, int, str, int]] = ()
    io_sectors: Sequence[tuple[int, int, str, int]] = ()
    cpuset_cpus: Sequence[int] = ()
    cpuset_mems: Sequence[int] = ()
    cpuset_flags: Mapping[str, int] = {}
    huge_pages: Mapping[str, Mapping[str, int]] = {}
    cpu_pressure: Mapping[str, Mapping[str, float]] = {}
    memory_pressure: Mapping[str, Mapping[str, float]] = {}
    io_pressure: Mapping[str, Mapping[str, float]] = {}


class RdtRequest(Record):
    """linux.intelRdt of a container.

    Attributes:
        container_id: id of the container.
        clos_id: closID, "" if absent (the CLOS is then named after the container).
        schemata: lines for the schemata file, in writing order (l3CacheSchema, memBwSchema, schemata).
        monitoring: whether a monitoring group is asked for (enableMonitoring).
        schemata_paths: where each line of ``schemata`` stands in config.json ("linux.intelRdt.schemata[0]"), for the
            ``where`` of errors; () if they do not come from there.
    """

    container_id: str
    clos_id: str = ""
    schemata: Sequence[str] = ()
    monitoring: bool = False
    schemata_paths: Sequence[str] = ()


class RdtPlacement(Record):
    """Where a container's CLOS group and monitoring group are.

    Attributes:
        clos: absolute directory of the CLOS group, "" if it has none.
        monitoring: absolute directory of the monitoring group, "" if it has none.
        extra: whatever else the manager needs later; JSON values only. Core keeps it and does not look into it.
    """

    clos: str
    monitoring: str = ""
    extra: Mapping[str, Any] = {}


class NetworkRequest(Record):
    """One interface that a container asks for: ``--network TYPE:key=value,…`` or ``networks=[…]``.

    Attributes:
        container_id: id of the container.
        index: number of the request within its container, from 0: part of every generated name.
        type: name of the strategy.
        options: the strategy's own options, which it checks itself. A key that is written several times arrives once,
            its values joined by commas: ``address=A,address=B`` is ``{"address": "A,B"}``.
    """

    container_id: str
    index: int
    type: str
    options: Mapping[str, str] = {}


class NetworkPlacement(Record):
    """Which links a strategy will make and what it will do to them inside.

    Attributes:
        host_name: name of the link on the host's side, "" if there is none.
        container_name: name of the interface inside the container; "lo" if the strategy makes none.
        options: the strategy's options, checked and completed; JSON values only.
        shared_name: name of a link on the host that several containers share (a bridge), "" if there is none.
        addresses: addresses that the interface will have, as far as they are known: ``"10.0.0.2/24"``,
            ``"fd00::2/64"``.
        sysctl: parameters of the container's network namespace that core writes inside, name -> value as in
            linux.sysctl; all below ``net.``.
        nameservers: addresses that core writes into the container's /etc/resolv.conf (resolv.conf(5)).
        search: domains that it writes there.
        resolver_options: options that it writes there ("ndots:2").
        hosts: more lines of the container's /etc/hosts (hosts(5)): ``"ADDRESS NAME"``.
    """

    host_name: str = ""
    container_name: str = ""
    options: Mapping[str, Any] = {}
    shared_name: str = ""
    addresses: Sequence[str] = []
    sysctl: Mapping[str, str] = {}
    nameservers: Sequence[str] = []
    search: Sequence[str] = []
    resolver_options: Sequence[str] = []
    hosts: Sequence[str] = []


class LaunchContext:
    """What a manager may use while it works for one container. Core hands it in; nothing of it may be kept.

    Attributes:
        container_id: the container.
        deadline: ``time.monotonic()`` value by which the call must have returned.
    """

    __slots__ = ("container_id", "deadline")

    def __init__(self, container_id: str, deadline: float) -> None:
        self.container_id = container_id
        self.deadline = deadline

    def intend(self, kind: str, name: str, *, absent: bool, **args: Any) -> Effect:
        """Announce a resource that is about to be made; returns after the journal holds it.

        Args:
            kind: what it is, one word ("cgroup", "unit", "clos", "link").
            name: its path or name.
            absent: whether nothing of that name exists now. ``False`` means that it will never be undone.
            args: JSON values that ``destroy`` needs to undo it. ``path``, or ``paths`` if it comes with several
                directories (a unit of systemd), are those of the container's cgroup that are made by it.
        """
        raise NotImplementedError

    def done(self, effect: Effect, **facts: Any) -> Effect:
        """Confirm an announced resource, with the facts that identify it (dev, ino, ifindex, …).

        Of ``paths`` they are ``directories``: path -> [device, inode]. Nobody in them is killed once they are others.
        """
        raise NotImplementedError

    def withdraw(self, effect: Effect) -> None:
        """Take an announcement back: it was not made, and what has its name now, if anything, is not ours."""
        raise NotImplementedError

    def directory(self, kind: str, path: str, mode: int = 0o755) -> Effect:
        """Make one directory the exclusive way: announce, mkdir, confirm with its device and inode.

        Raises:
            AlreadyExists: something is there already; it stays untouched and is not undone.
            KernelError: mkdir failed for another reason.
        """
        raise NotImplementedError

    def log(self, level: str, message: str) -> None:
        """Write to the runtime's log; ``level`` is debug, info, warning or error."""
        raise NotImplementedError

    def step(self, name: str) -> AbstractContextManager[None]:
        """Time a part of the work under its own name in ``corelaunch trace``."""
        raise NotImplementedError


class Backend:
    """What all backends share.

    ``features`` is a claim: what is in it is tested by the contract suite, and an operation that belongs to a
    feature outside it must raise :class:`Unsupported`. Methods of features default to exactly that refusal.
    """

    features: frozenset[str] = frozenset()

    def unsupported(self, operation: str, feature: str) -> CorelaunchError:
        """The error for an operation whose feature is not claimed; ``raise self.unsupported(...)``.

        Claimed and not there, it is the plugin's own fault, and no lack of the host's: a :class:`PluginError`.
        """
        name = type(self).__name__
        if feature in self.features:
            why, hint = f"it claims {feature!r} and has no {operation}", self._misspelt(operation)
            return PluginError("plugin is broken", where=name, why=why, hint=hint or f"leave {feature!r} out")
        return Unsupported(f"{operation} is not supported", where=name, why=f"it does not claim {feature!r}")

    def missing(self, operation: str) -> NotImplementedError:
        """The error for a method that every backend of its kind must have; a registry refuses one without it."""
        hint = self._misspelt(operation)
        text = f"{type(self).__name__} has no {operation}, and must have one"
        return NotImplementedError(f"{text} ({hint})" if hint else text)

    def _misspelt(self, operation: str) -> str:
        from .spelling import misspelt_method

        return misspelt_method(self, operation)


class CgroupManager(Backend):
    """Makes, fills, limits and removes the cgroup of a container.

    Features: ``cgroup-v1`` and ``cgroup-v2`` (which kinds of hierarchies it can use), ``rdma`` (rdma in resources),
    ``systemd`` and ``systemd-user`` (cgroups are units of a systemd manager), ``oom-events`` (open_oom_events),
    ``limits`` (set_resources), ``freeze`` (freeze, thaw, frozen), ``stats`` (stats),
    ``oom`` (oom_kill_count), ``kill`` (kill: every process at once), ``devices`` (device rules in resources),
    ``update`` (update_resources: all limits of a running container, or none), ``self-join`` (open_join_files),
    ``adopt`` (adopt), and on cgroup v2 ``unified`` (unified in resources), ``pressure`` (pressure in stats) and
    ``delegate`` (owner_uid of a request),
    ``plain-directories`` (the directories that ``create`` has made by ``LaunchContext.directory`` are all that is to be
    removed once no process and no cgroup is in them: core may do that itself, and ``destroy`` is called for the rest).
    Contract suite: ``corelaunch.testing.CgroupManagerContract``.
    """

    #: True: ``create`` wants the blocked first process (a systemd scope); False: it runs before there is one.
    needs_process: bool = False

    #: If ``limits`` is claimed, but not for all: the members of linux.resources that are taken ("pids", "memory" …),
    #: others are refused, already by ``place``. None: whatever the host has. (devices, rdma, unified are features.)
    limits_of: frozenset[str] | None = None

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """Say where the cgroup will be. Pure: reads what it must of the host, changes nothing.

        Raises:
            ConfigError: the path cannot be used (``..``, wrong form).
            Unsupported: the host or this manager cannot give what ``resources`` asks.
        """
        raise self.missing("place")

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        """Make the cgroup, exclusively, without limits. ``process`` is given if and only if ``needs_process``.

        Raises:
            AlreadyExists: a cgroup of that name is there and is not ours; nothing was changed.
        """
        raise self.missing("create")

    def adopt(self, placement: CgroupPlacement, request: CgroupRequest) -> None:
        """Give a cgroup that another manager has made all that ``create`` gives its own, for managers that build on us.

        That is the controllers which are not switched on yet (v2), CPUs and memory nodes of a new cpuset (v1), and
        delegation to the owner. Nothing is announced or made, and nothing is to be undone.
        """
        raise self.unsupported("adopt", "adopt")

    def add_process(self, placement: CgroupPlacement, process: ProcessHandle) -> None:
        """Move a process into the cgroup, in every hierarchy of the placement. Already there is success."""
        raise self.missing("add_process")

    def open_join_files(self, placement: CgroupPlacement) -> list[int]:
        """Open the files through which a blocked single-threaded process joins by writing "0" itself; at most 16.

        On cgroup v1 that is ``tasks`` of each hierarchy, and it is worth it: the kernel waits an RCU grace period
        (5 ms and more) for a pid written to cgroup.procs, and not for a thread that moves itself. Core closes the
        descriptors. Where the process is born in the cgroup (v2, CLONE_INTO_CGROUP) nothing is to be opened.
        """
        raise self.unsupported("open_join_files", "self-join")

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """Write the limits of an OCI ``linux.resources`` object; an absent property is left as it is.

        Raises:
            KernelError: with path, value and errno of the first refusal.
            Unsupported: this kernel or manager has no such control; never dropped silently.
        """
        raise self.unsupported("set_resources", "limits")

    def update_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """As :meth:`set_resources`, for a container that runs: when it fails, the limits are what they were before.

        Raises:
            KernelError, Unsupported: as there; ``hint`` says so if something could not be set back.
        """
        raise self.unsupported("update_resources", "update")

    def freeze(self, placement: CgroupPlacement) -> None:
        """Stop every process; returns when all are stopped."""
        raise self.unsupported("freeze", "freeze")

    def thaw(self, placement: CgroupPlacement) -> None:
        """Let every process go on; a cgroup that is not frozen is left as it is."""
        raise self.unsupported("thaw", "freeze")

    def frozen(self, placement: CgroupPlacement) -> bool:
        """Whether the cgroup is frozen; a cgroup that is gone is not."""
        raise self.unsupported("frozen", "freeze")

    def processes(self, placement: CgroupPlacement) -> list[int]:
        """Pids (in the caller's pid namespace) of the cgroup and everything below; [] when it is gone."""
        raise self.missing("processes")

    def kill(self, placement: CgroupPlacement) -> None:
        """SIGKILL every process of the cgroup and below, frozen or not; returns when none is left.

        Raises:
            DeadlineExceeded: some survived ten seconds (uninterruptible sleep); the message names them.
        """
        raise self.unsupported("kill", "kill")

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        """Figures now. KernelError (ENOENT) when the cgroup is gone."""
        raise self.unsupported("stats", "stats")

    def oom_kill_count(self, placement: CgroupPlacement) -> int:
        """How many processes of this cgroup the kernel's OOM killer has killed; 0 when the cgroup is gone."""
        raise self.unsupported("oom_kill_count", "oom")

    def open_oom_events(self, placement: CgroupPlacement) -> tuple[int, int]:
        """A descriptor that wakes poll(2) when the cgroup runs out of memory, or is removed, and the events to poll.

        It is read from its start (lseek, read) before it is polled again; what is read means nothing, the count is
        :meth:`oom_kill_count`'s. The caller closes it.

        Raises:
            KernelError: the cgroup is gone (ENOENT), or has no memory controller.
        """
        raise self.unsupported("open_oom_events", "oom-events")

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        """Remove what we made and nothing else. Already gone is success; calling it twice is harmless.

        Args:
            effects: what the journal says is ours, newest first: announced with ``absent`` and made, or maybe
                made (``done`` False: killed in between). Children that the container itself made inside go too.

        Raises:
            KernelError: it could not be removed (busy); the record stays for the next try.
        """
        raise self.missing("destroy")


class RdtManager(Backend):
    """Makes and removes CLOS and monitoring groups of Intel RDT. Features: ``monitoring``, ``stats``, ``schemata``."""

    def place(self, request: RdtRequest) -> RdtPlacement:
        """Say which groups will be used. Unsupported when resctrl is not mounted."""
        raise self.missing("place")

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        """Make the groups that are ours to make; a closID that exists is joined, never owned."""
        raise self.missing("create")

    def add_process(self, placement: RdtPlacement, process: ProcessHandle) -> None:
        """Write the process to the tasks of the CLOS and of the monitoring group."""
        raise self.missing("add_process")

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        """Write the schemata; errors carry ``info/last_cmd_status``."""
        raise self.unsupported("set", "schemata")

    def stats(self, placement: RdtPlacement) -> Mapping[str, Any]:
        """Figures now, in the members of ``intel_rdt`` of ``events``: l3_cache_info, l3_cache_schema, cmt_stats …"""
        raise self.unsupported("stats", "stats")

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
        """Remove what we made and nothing else; already gone is success."""
        raise self.missing("destroy")


class NetworkStrategy(Backend):
    """Gives a container an interface of one type.

    Features: ``addresses``, ``routes``, ``mtu``, ``mac``, ``name``, ``accept-ra``, ``dns`` (options of the same words),
    ``bridge`` (the host's end is a port of a bridge that containers share), ``nat`` (of that bridge), ``move`` (a
    device of the host's is lent, and comes back), ``stats``, ``attach``, ``check``, ``gc``, ``companion`` (a program
    serves the interface, see :func:`start_companion`, and ends with the container: its effect is of the kind
    "companion" and has its ``pid`` and ``start_time`` in ``args``).

    Contract suite: ``corelaunch.testing.NetworkStrategyContract``.
    """

    #: False: it works for an ordinary user, too; all others are refused to him.
    needs_root: bool = True

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """Check the options and say which links there will be. Pure.

        Raises:
            ConfigError: an option is unknown, missing or malformed; ``where`` names it.
        """
        raise self.missing("place")

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """Host side: make the links and put the container's end into the network namespace of ``process``."""
        raise self.missing("create")

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        """Container side: addresses, routes, MTU, up, through a netlink socket that lives in the container.

        ``netlink_fd`` is a bound-less NETLINK_ROUTE SOCK_DGRAM socket, lent for this call; a strategy that closes it
        fails the launch, and none enters a namespace. pyroute2 closes what it is given:
        ``pyroute2.IPRoute(fileno=os.dup(netlink_fd))``.
        """
        raise self.missing("initialize")

    def stats(self, placement: NetworkPlacement) -> Mapping[str, int]:
        """Counters of the link as the container sees them: rx_bytes, rx_packets, rx_errors, rx_dropped, tx_…"""
        raise self.unsupported("stats", "stats")

    def attach(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """Put the interface into a running container (create for a later moment); ``initialize`` follows."""
        raise self.unsupported("attach", "attach")

    def detach(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """Take the interface out of a running container and leave nothing of it."""
        raise self.unsupported("detach", "attach")

    def check(self, placement: NetworkPlacement, effects: Sequence[Effect], process: ProcessHandle) -> None:
        """See whether the interface of a container that runs is as it was made; changes nothing.

        Args:
            effects: as ``destroy`` gets them, newest first.

        Raises:
            CorelaunchError: it is not, and what of it.
            Unsupported: this interface cannot be looked at, and why.
        """
        raise self.unsupported("check", "check")

    def collect(
        self, request: NetworkRequest, living: Callable[[], Sequence[tuple[NetworkPlacement, Sequence[Effect]]]]
    ) -> None:
        """Remove from a network all that belongs to none of these containers; the operator has asked for it.

        Args:
            request: which network; of no container.
            living: placements and effects (newest first) of this strategy in every container, asked while no other
                ``create`` can begin.

        Raises:
            Unsupported: this network cannot do it, and why.
        """
        raise self.unsupported("collect", "gc")

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """Remove what we made on the host and nothing else; already gone is success."""
        raise self.missing("destroy")


class LaunchStep(Record):
    """A step of a launch or exec, or a plugin's part in one, that has ended; times are of CLOCK_MONOTONIC.

    Attributes:
        name: "spawn", "cgroup create" …; of a plugin its method, or what it calls its own part of the work.
        plugin: kind and name of a backend ("cgroup_manager:cgroupfs"), "" for core.
        start_ns: when it began, in nanoseconds of CLOCK_MONOTONIC.
        duration_ns: how long it took, in nanoseconds.
    """

    name: str
    plugin: str = ""
    start_ns: int = 0
    duration_ns: int = 0


class Moment(Record):
    """A moment of a container's life, as lifecycle plugins see it.

    Attributes:
        name: one of ``corelaunch.hookspecs.MOMENTS``; a later release may have more.
        container_id: id of the container.
        bundle: absolute path of its bundle.
        step: the last launch step that was reached (``corelaunch.lifecycle.CREATE_STEPS``), "" before the first.
        status: the OCI status: creating, created, running, paused or stopped.
        pid: of the init, 0 when it has none; at "executed" of the process that was executed.
        annotations: those of the config.
        process: at "executing" and "executed" the OCI process object, else {}.
        error: at "failed" the first error, in one line, else "".
        exit_status: at "stopped" how its init ended: its exit status, 128 + N if signal N ended it. -1: it was no child
            of this process (``delete`` of what another ``create`` has made), or was killed by the delete.
        steps: at "created", "executed" and "failed" the steps that have led there, in order of their beginning; one
            that another contains comes after it.
    """

    name: str
    container_id: str
    bundle: str
    step: str
    status: str
    pid: int = 0
    annotations: Mapping[str, str] = {}
    process: Mapping[str, Any] = {}
    error: str = ""
    exit_status: int = -1
    steps: Sequence[LaunchStep] = ()


class DoctorCheck(Record):
    """What a lifecycle plugin's look at the host found, for ``corelaunch doctor``.

    Attributes:
        name: what was looked at, in a word or two.
        status: "ok", "warn" (something cannot be done here) or "fail" (containers that need the plugin cannot be
            launched).
        text: what was found, in one line.
        hint: what to do, "" if nothing.
    """

    name: str
    status: str
    text: str
    hint: str = ""


class PluginCommand(Record):
    """A command that a lifecycle plugin adds to ``corelaunch``; it reads its own options.

    Attributes:
        name: the word on the command line; none of core's own.
        summary: one line for ``corelaunch --help``.
        run: called with the words after the command and the :class:`corelaunch.runtime.Runtime` that the global options
            ask for; returns the exit code.
    """

    name: str
    summary: str
    run: Callable[[Sequence[str], Any], int]


def load_manager(kind: str, name: str) -> Any:
    """The backend that another plugin registered: ``load_manager("cgroup_manager", "cgroupfs")``.

    For plugins that build on others (corelaunch-systemd uses corelaunch-cgroupfs for the files).

    Raises:
        PluginError: it is not installed, broken, or of another API version.
    """
    from .plugins.registry import Registry

    return Registry().load(kind, name)
