"""Where the resctrl filesystem is mounted, what it shows, and what to say if it is not there."""

from __future__ import annotations

import os

from corelaunch.api import Record, Unsupported, mounts_of_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where everybody expects it (Documentation/filesystems/resctrl.rst); the kernel makes the directory.
USUAL = "/sys/fs/resctrl"

_WHERE = "Intel RDT manager 'resctrl'"


class Mounted(Record):
    """The resctrl filesystem as this mount namespace sees it. The kernel has one; it may be bound to several places."""

    root: str
    #: Those of the mount and of the filesystem ("ro", "cdp", "mba_MBps" …).
    options: frozenset[str] = frozenset()

    @property
    def read_only(self) -> bool:
        """Whether nothing can be made or written here."""
        return "ro" in self.options


def find() -> Mounted | None:
    """The mount to use: of the whole filesystem, not hidden under another mount, and writable if there is one."""
    found = sorted(_candidates(), key=lambda mounted: mounted.read_only)
    return found[0] if found else None


def _candidates() -> Iterator[Mounted]:
    for mount in mounts_of_type("resctrl"):
        if mount.root != "/":
            continue  # one group alone, bound into a container
        try:
            device = os.stat(mount.mountpoint).st_dev
        except OSError:
            continue  # out of reach
        if mount.device == f"{os.major(device)}:{os.minor(device)}":  # otherwise something else is mounted over it
            yield Mounted(mount.mountpoint, frozenset((*mount.options, *mount.super_options)))


def missing() -> Unsupported:
    """The error for a host on which it is not mounted, with what to do there."""
    what = "Intel RDT is not available"
    if not _kernel_has_it():
        why = "this kernel or CPU has no resctrl filesystem"
        hint = (
            "it needs a CPU with cache or bandwidth control (cat_l3, cat_l2, mba or cqm in /proc/cpuinfo), a kernel "
            "with CONFIG_X86_CPU_RESCTRL, and no rdt=! on its command line; or leave linux.intelRdt out"
        )
    elif active_elsewhere():
        why = "the resctrl filesystem is mounted, but not as a whole in this mount namespace"
        hint = "run it where the host's mounts can be seen, or bind the whole filesystem into this mount namespace"
    else:
        why = "no resctrl filesystem is mounted"
        hint = f"mount -t resctrl resctrl {USUAL}; with which options is a decision for the whole machine"
    return Unsupported(what, where=_WHERE, why=why, hint=hint)


def active_elsewhere() -> bool:
    """Whether the filesystem is mounted anywhere at all.

    /proc/PID/cpu_resctrl_groups names the groups of a process only as long as it is (proc_resctrl_show in the kernel).
    """
    try:
        with open("/proc/self/cpu_resctrl_groups", encoding="utf-8", errors="replace") as file:
            return file.readline().strip() != "res:"
    except OSError:
        return False


def moved(path: str, before: str, now: str) -> str:
    """A path below one mount of the filesystem, as it is below another."""
    return now + path[len(before) :] if path == before or path.startswith(f"{before}/") else path


def features(root: str) -> frozenset[str]:
    """What the kernel shows below a mount point."""
    shown = {"stats"}
    if resources(root):
        shown.add("schemata")
    if os.path.isdir(f"{root}/mon_groups"):
        shown.add("monitoring")
    return frozenset(shown)


def resources(root: str) -> list[str]:
    """Names of what can be allocated, as the schemata file has them: ``L3``, ``L2CODE``, ``MB`` …"""
    try:
        names = os.listdir(f"{root}/info")
    except OSError:
        return []
    return sorted(name for name in names if os.path.exists(f"{root}/info/{name}/num_closids"))


def _kernel_has_it() -> bool:
    try:
        with open("/proc/filesystems", encoding="ascii", errors="replace") as file:
            return any(line.split()[-1:] == ["resctrl"] for line in file)
    except OSError:
        return False
