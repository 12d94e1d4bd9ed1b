"""The configuration to start from, which ``spec`` writes: what a program needs, and what is kept from it.

It means the same as what ``runc spec`` writes (a test compares them), so that a habit is not a surprise.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

OCI_VERSION = "1.0.2"
HOSTNAME = "corelaunch"

_CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
_CAPABILITY_SETS = ("bounding", "effective", "permitted", "ambient")
_ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm")

_HARDENED = "nosuid noexec nodev"

#: destination, type, source, options
_MOUNTS = (
    ("/proc", "proc", "proc", ""),
    ("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
    ("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
    ("/dev/shm", "tmpfs", "shm", f"{_HARDENED} mode=1777 size=65536k"),
    ("/dev/mqueue", "mqueue", "mqueue", _HARDENED),
    ("/sys", "sysfs", "sysfs", f"{_HARDENED} ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", f"{_HARDENED} relatime ro"),
)
#: Without a network namespace of its own the kernel refuses a new sysfs to a user namespace: the host's is bound.
_ROOTLESS_SYS = ("/sys", "none", "/sys", f"rbind {_HARDENED} ro")
#: Gid 5 (tty) is not mapped for an ordinary user.
_ROOTLESS_PTS = ("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620")

#: Of a host with cgroup v2 alone: there a cgroup mount shows the whole host without a cgroup namespace.
_PURE_V2 = "/sys/fs/cgroup/cgroup.controllers"
_NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
_ROOTLESS_NAMESPACES = ("pid", "ipc", "uts", "mount", "user")

#: Files that tell of the host or control it.
_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
)
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def default_config(
    args: Sequence[str] = ("sh",),
    rootfs: str = "rootfs",
    *,
    terminal: bool = False,
    rootless: bool = False,
    uid: int = 0,
    gid: int = 0,
) -> dict[str, Any]:
    """The configuration, as an object of its own that the caller may change.

    Args:
        args: the program and its arguments.
        rootfs: directory of the root filesystem, absolute or relative to the bundle; a config without a bundle needs
            an absolute one.
        rootless: for a container that an ordinary user runs, in a user namespace.
        uid, gid: who becomes root of a rootless container.
    """
    return {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": terminal,
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": list(_ENVIRONMENT),
            "cwd": "/",
            "capabilities": {one: list(_CAPABILITIES) for one in _CAPABILITY_SETS},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": rootfs, "readonly": True},
        "hostname": HOSTNAME,
        "mounts": _mounts(rootless),
        "linux": _linux(rootless, uid, gid),
    }


def _mounts(rootless: bool) -> list[dict[str, Any]]:
    replaced = {mount[0]: mount for mount in (_ROOTLESS_SYS, _ROOTLESS_PTS)} if rootless else {}
    entries = []
    for mount in _MOUNTS:
        destination, kind, source, options = replaced.get(mount[0], mount)
        entry: dict[str, Any] = {"destination": destination, "type": kind, "source": source}
        if options:
            entry["options"] = options.split()
        entries.append(entry)
    return entries


def _linux(rootless: bool, uid: int, gid: int) -> dict[str, Any]:
    linux: dict[str, Any] = {}
    if rootless:
        linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
    else:
        linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    kinds = _ROOTLESS_NAMESPACES if rootless else _NAMESPACES
    linux["namespaces"] = [{"type": kind} for kind in (*kinds, *(("cgroup",) if os.path.exists(_PURE_V2) else ()))]
    linux["maskedPaths"] = list(_MASKED)
    linux["readonlyPaths"] = list(_READONLY)
    return linux
