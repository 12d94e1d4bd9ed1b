"""Checks of the cgroup hierarchies: which there are, whether we may write there, what they can limit."""

from __future__ import annotations

import os
from errno import EPERM

from ..errors import CorelaunchError
from ..kernel import bpf, mountinfo, procfs
from . import FAIL, OK, WARN, Check
from .host import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from ..kernel.mountinfo import Hierarchy
    from ..runtime import Runtime

#: What engines ask to limit, and the controller of cgroup v1 or v2 that does it.
_LIMITS = (
    ("CPU time", ("cpu",)),
    ("CPUs and memory nodes", ("cpuset",)),
    ("memory", ("memory",)),
    ("processes", ("pids",)),
    ("block I/O", ("blkio", "io")),
    ("huge pages", ("hugetlb",)),
)

#: A device program that allows everything: answer 1, exit (struct bpf_insn).
_ALLOW = bytes((0xB4, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0))

#: There if systemd is the init of this host (sd_booted(3)).
_SYSTEMD = "/run/systemd/system"
_SYSTEMD_BUS = "/run/systemd/private"
_SYSTEM_BUS = "/run/dbus/system_bus_socket"


def hierarchies(runtime: Runtime) -> Iterator[Check]:
    """Version of cgroups, each hierarchy, each controller that engines ask for."""
    found = mountinfo.cgroup_hierarchies()
    if not found:
        hint = "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
        yield Check("cgroups", "version", FAIL, "no hierarchy is mounted: nothing can be limited or frozen", hint)
        return
    versions = {hierarchy.version for hierarchy in found}
    kind = {1: "v1", 2: "v2"}.get(versions.pop(), "") if len(versions) == 1 else "hybrid (v1 and v2)"
    yield Check("cgroups", "version", OK, kind)
    available: set[str] = set()
    for hierarchy in found:
        name = ",".join(hierarchy.controllers) or "unified"
        available.update(hierarchy.controllers or read(f"{hierarchy.mountpoint}/cgroup.controllers").split())
        place = _writable(hierarchy)
        if place:
            yield Check("cgroups", name, OK, place)
        else:
            yield _not_writable(name, hierarchy)
    for what, controllers in _LIMITS:
        there = sorted(available.intersection(controllers))
        if there:
            yield Check("cgroups", f"limit of {what}", OK, there[0])
        else:
            text = f"no controller {' or '.join(controllers)}: a config that limits it is refused"
            yield Check("cgroups", f"limit of {what}", WARN, text)
    yield _device_rules(available)
    if "freezer" not in available and 2 not in {hierarchy.version for hierarchy in found}:
        yield Check("cgroups", "freezer", WARN, "no freezer: pause is refused", "mount the freezer hierarchy")


def _device_rules(available: Container[str]) -> Check:
    """What enforces device rules: the controller of v1, or eBPF programs, of which we try to load one."""
    if "devices" in available:
        return Check("cgroups", "device rules", OK, "devices")
    try:
        os.close(bpf.load_device_program("cl_doctor", _ALLOW))
    except CorelaunchError as error:
        if error.errno == EPERM and (os.geteuid() != 0 or procfs.in_user_namespace()):
            text = "left out of an ordinary user's containers, which cannot make device nodes"
            return Check("cgroups", "device rules", WARN, text, "run as root those that need them")
        text = f"none can be in force, and a container of root is refused: {error.line()}"
        return Check("cgroups", "device rules", FAIL, text, "a kernel with CONFIG_CGROUP_BPF, and CAP_SYS_ADMIN")
    return Check("cgroups", "device rules", OK, "eBPF")


def _writable(hierarchy: Hierarchy) -> str:
    """Where we may make cgroups: anywhere, or beside or below our own, which was delegated to us then; "" nowhere."""
    if os.access(hierarchy.mountpoint, os.W_OK):
        return hierarchy.mountpoint
    name = ",".join(hierarchy.controllers)
    below = os.path.relpath(procfs.cgroups_of("self").get(name, "/"), hierarchy.root)
    if below == ".." or below.startswith("../"):
        return ""  # our cgroup is outside of what is mounted
    own = os.path.normpath(os.path.join(hierarchy.mountpoint, below))
    beside = os.path.dirname(own)
    return next((place for place in (beside, own) if os.access(place, os.W_OK)), "")


def _not_writable(name: str, hierarchy: Hierarchy) -> Check:
    if os.geteuid() == 0:
        hint = "mount it read-write, or use --rootless true"
        return Check("cgroups", name, FAIL, f"{hierarchy.mountpoint} cannot be written", hint)
    text = f"no cgroup below {hierarchy.mountpoint} is this user's: nothing of his containers is limited by it"
    hint = ""
    # Only cgroup v2 can be delegated safely, and systemd delegates nothing else.
    if hierarchy.version == 2 and os.path.isdir(_SYSTEMD):
        hint = "systemctl edit user@.service: Delegate=cpu cpuset io memory pids, for limits of rootless containers"
    elif hierarchy.version == 2:
        hint = "root can give the user a cgroup: chown its directory, cgroup.procs and cgroup.subtree_control to him"
    return Check("cgroups", name, WARN, text, hint)


def other_managers(runtime: Runtime) -> Iterator[Check]:
    """Whether systemd manages cgroups here, and whether there is a plugin that can ask it to."""
    running = os.path.isdir(_SYSTEMD)
    try:
        claims = runtime.registry.load("cgroup_manager", "systemd").features
    except CorelaunchError:
        claims = None
    if not running:
        yield Check("cgroups", "systemd", OK, "not the init of this host: --systemd-cgroup is of no use here")
    elif not (os.path.exists(_SYSTEMD_BUS) or os.path.exists(_SYSTEM_BUS)):
        yield Check("cgroups", "systemd", WARN, "runs, but no bus leads to it", f"start D-Bus ({_SYSTEM_BUS})")
    elif claims is None:
        text = "runs, but no installed cgroup manager makes its units: --systemd-cgroup is refused"
        yield Check("cgroups", "systemd", WARN, text, "pip install corelaunch-systemd")
    elif not {"systemd", "systemd-user"} & claims:
        text = "runs, but this user has none of his own: --systemd-cgroup is refused"
        hint = "loginctl enable-linger USER, and set XDG_RUNTIME_DIR=/run/user/UID"
        yield Check("cgroups", "systemd", WARN, text, hint)
    else:
        yield Check("cgroups", "systemd", OK, "reachable" if "systemd" in claims else "this user's own is reachable")
