"""Checks of the cgroup hierarchies: which there are, whether we may write there, what they can limit."""

from __future__ import annotations

import os

from ..errors import CorelaunchError
from ..kernel import mountinfo
from . import FAIL, OK, WARN, Check
from .host import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

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
        if os.access(hierarchy.mountpoint, os.W_OK):
            yield Check("cgroups", name, OK, hierarchy.mountpoint)
        else:
            yield _not_writable(name, hierarchy.mountpoint)
    for what, controllers in _LIMITS:
        there = sorted(available.intersection(controllers))
        if there:
            yield Check("cgroups", f"limit of {what}", OK, there[0])
        else:
            text = f"no controller {' or '.join(controllers)}: a config that limits it is refused"
            yield Check("cgroups", f"limit of {what}", WARN, text)
    if "freezer" not in available and 2 not in {hierarchy.version for hierarchy in found}:
        yield Check("cgroups", "freezer", WARN, "no freezer: pause is refused", "mount the freezer hierarchy")


def _not_writable(name: str, mountpoint: str) -> Check:
    if os.geteuid() == 0:
        hint = "mount it read-write, or use --rootless true"
        return Check("cgroups", name, FAIL, f"{mountpoint} cannot be written", hint)
    hint = "systemctl edit user@.service: Delegate=cpu cpuset io memory pids, for limits of rootless containers"
    return Check("cgroups", name, WARN, f"{mountpoint} cannot be written by this user", hint)


def other_managers(runtime: Runtime) -> Iterator[Check]:
    """Whether systemd manages cgroups here, and whether there is a plugin that can ask it to."""
    running = os.path.isdir("/run/systemd/system")
    try:
        claims = runtime.registry.load("cgroup_manager", "systemd").features
    except CorelaunchError:
        claims = frozenset()
    if not running:
        yield Check("cgroups", "systemd", OK, "not the init of this host: --systemd-cgroup is of no use here")
    elif not (os.path.exists(_SYSTEMD_BUS) or os.path.exists(_SYSTEM_BUS)):
        yield Check("cgroups", "systemd", WARN, "runs, but no bus leads to it", f"start D-Bus ({_SYSTEM_BUS})")
    elif "systemd" not in claims:
        text = "runs, but no installed cgroup manager makes its units: --systemd-cgroup is refused"
        yield Check("cgroups", "systemd", WARN, text, "use cgroupfs (podman: --cgroup-manager cgroupfs)")
    else:
        yield Check("cgroups", "systemd", OK, "reachable")
