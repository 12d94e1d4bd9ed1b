"""Checks of the kernel: its age, what it was built and booted with, user namespaces, Intel RDT."""

from __future__ import annotations

import os

from ..bootstrap.id_maps import HELPER_DIRECTORIES
from ..kernel import mountinfo, procfs, seccomp
from ..kernel.release import version
from . import FAIL, OK, WARN, Check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..runtime import Runtime

#: The oldest kernel that everything was written for (cgroup.kill came with it).
FLOOR = (5, 14)

#: What is younger than the floor: file or kernel version that has it, and what happens without it.
_FILES = (
    ("time namespaces", "/proc/self/ns/time", "a config with a time namespace is refused"),
    ("cgroup namespaces", "/proc/self/ns/cgroup", "a config with a cgroup namespace is refused"),
    ("user namespaces", "/proc/self/ns/user", "a config with a user namespace is refused"),
    ("pressure figures", "/proc/pressure", "events has no psi members"),
    ("seccomp", "/proc/sys/kernel/seccomp/actions_avail", "a config with seccomp is refused by the kernel"),
)
_VERSIONS = (
    ("peak of memory in cgroup v2", (5, 19), "events has no memory.usage.max on cgroup v2"),
    ("executable memfds by name", (6, 3), "the sealed init is made without MFD_EXEC, which older kernels do not need"),
    ("weighted interleave", (6, 9), "memory policy MPOL_WEIGHTED_INTERLEAVE is refused by the kernel"),
)

#: Sysctl, the value that forbids, and what it forbids.
_SYSCTLS = (
    ("/proc/sys/user/max_user_namespaces", "0", "no user namespace can be made", "raise user.max_user_namespaces"),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "ordinary users cannot make user namespaces",
        "sysctl kernel.unprivileged_userns_clone=1, for rootless containers",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor keeps ordinary users from user namespaces",
        "a profile that allows userns for corelaunch, for rootless containers",
    ),
    ("/proc/sys/user/max_net_namespaces", "0", "no network namespace can be made", "raise user.max_net_namespaces"),
)


def kernel(runtime: Runtime) -> Iterator[Check]:
    """Age, optional interfaces with what is done without them, memfd policy, seccomp."""
    release = os.uname().release
    floor = ".".join(map(str, FLOOR))
    if version(release) < FLOOR:
        yield Check("kernel", "version", FAIL, f"{release} is older than {floor}", f"boot Linux {floor} or newer")
    else:
        yield Check("kernel", "version", OK, f"{release} (needed: {floor})")
    for name, path, without in _FILES:
        there = os.path.exists(path)
        yield Check("kernel", name, OK if there else WARN, "there" if there else f"missing: {without}")
    for name, first, without in _VERSIONS:
        there = version(release) >= first
        since = ".".join(map(str, first))
        yield Check("kernel", name, OK if there else WARN, "there" if there else f"since Linux {since}: {without}")
    if read("/proc/sys/vm/memfd_noexec") == "2":
        yield Check(
            "kernel", "memfd", FAIL, "vm.memfd_noexec=2 forbids the sealed copy of the init", "sysctl vm.memfd_noexec=1"
        )
    if seccomp.available():
        yield Check("kernel", "libseccomp", OK, seccomp.library_version())
    else:
        hint = "install libseccomp-dev and install corelaunch again"
        yield Check("kernel", "libseccomp", WARN, "built without it: a config with seccomp is refused", hint)


def user_namespaces(runtime: Runtime) -> Iterator[Check]:
    """Sysctls that forbid namespaces, and the helpers that an ordinary user needs."""
    for path, forbids, text, hint in _SYSCTLS:
        value = read(path)
        name = path.rpartition("/")[2]
        if value == forbids:
            yield Check("user namespaces", name, WARN, f"{value}: {text}", hint)
        elif value:
            yield Check("user namespaces", name, OK, value)
    for program, file in (("newuidmap", "/etc/subuid"), ("newgidmap", "/etc/subgid")):
        found = next((d for d in HELPER_DIRECTORIES if os.access(f"{d}/{program}", os.X_OK)), "")
        if not found:
            text = "not installed: rootless containers have one user only"
            yield Check("user namespaces", program, WARN, text, "install the package uidmap (or shadow-utils)")
        elif not read(file):
            text = f"{found}/{program}, but {file} gives nobody any ids"
            yield Check("user namespaces", program, WARN, text, f"add a line NAME:100000:65536 to {file}")
        else:
            yield Check("user namespaces", program, OK, f"{found}/{program}")
    if procfs.in_user_namespace():
        text = "this is itself a user namespace: only ids that it maps can be used"
        yield Check("user namespaces", "this one", WARN, text)


def resctrl(runtime: Runtime) -> Iterator[Check]:
    """Whether the CPU has Intel RDT (or its like), the filesystem for it is mounted, and has CLOSIDs left."""
    if not any(line.strip().endswith("resctrl") for line in read("/proc/filesystems").split("\n")):
        yield Check("resctrl", "kernel", OK, "this CPU or kernel has no resctrl: a config with intelRdt is refused")
        return
    mounts = [mount for mount in mountinfo.mounts_of_type("resctrl") if mount.root == "/"]
    if not mounts:
        hint = "mount -t resctrl resctrl /sys/fs/resctrl"
        yield Check("resctrl", "mount", WARN, "not mounted: a config with intelRdt is refused", hint)
        return
    mount = min(mounts, key=lambda mount: "ro" in mount.options)
    root = mount.mountpoint
    if "ro" in mount.options:
        text = f"{root}, read-only: a config with intelRdt is refused"
        yield Check("resctrl", "mount", WARN, text, f"mount -o remount,rw {root}")
    else:
        yield Check("resctrl", "mount", OK, root)
    info = f"{root}/info"
    names = sorted(os.listdir(info)) if os.path.isdir(info) else []
    counts = {name: int(count) for name in names if (count := read(f"{info}/{name}/num_closids")).isdigit()}
    monitors = [name for name in names if read(f"{info}/{name}/num_rmids")]
    yield Check("resctrl", "resources", OK, ", ".join([*counts, *monitors]) or "none")
    if counts:
        fixed = ("info", "mon_groups", "mon_data")
        used = 1 + sum(name not in fixed and os.path.isdir(f"{root}/{name}") for name in os.listdir(root))
        total = min(counts.values())  # a group takes one of every resource
        text = f"{used} of {total} in use"
        status, hint = (OK, "") if used < total else (WARN, f"remove a group of {root} that nobody uses (rmdir)")
        yield Check("resctrl", "CLOSIDs", status, text, hint)


def read(path: str) -> str:
    """A small file without blanks around it, "" if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
