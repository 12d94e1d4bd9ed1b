"""What to say when CLOSIDs or RMIDs are used up: who has them, so that somebody can decide who may go."""

from __future__ import annotations

import errno
import os

from corelaunch.api import cgroups_of

from . import files, groups, mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corelaunch.api import KernelError

#: How many groups and processes of a group are named.
_GROUPS = 16
_PROCESSES = 3
_FIXED = frozenset(("info", "mon_groups", "mon_data"))


def hint(root: str, kind: str, error: KernelError) -> str:
    """What to do about a group that could not be made, "" if there is nothing more to say than the error has."""
    if error.errno == errno.EBUSY:
        return (
            "the RMIDs of removed groups are in limbo until their cache lines are gone: try again in some seconds, or "
            "raise info/L3_MON/max_threshold_occupancy"
        )
    if error.errno == errno.EPERM and kind == "clos" and not mount.resources(root):
        return 'this CPU can monitor and not allocate: give "/" as closID'
    if error.errno != errno.ENOSPC:
        return ""
    if "RMID" in error.why or kind != "clos":
        return f"all {_monitors(root)} RMIDs are in use: remove monitoring groups that nobody reads"
    names = sorted(name for name in os.listdir(root) if name not in _FIXED and os.path.isdir(f"{root}/{name}"))
    described = "; ".join(describe(root, name) for name in names[:_GROUPS])
    rest = f"; and {len(names) - _GROUPS} more" if len(names) > _GROUPS else ""
    return f"all {_closids(root)} CLOSIDs are in use, one by the root group: {described}{rest}; rmdir one, or share it"


def describe(root: str, name: str) -> str:
    """One group, its processes, and the container that made it, in a few words."""
    path = f"{root}/{name}"
    parts = []
    try:
        maker = groups.mark_of(path).partition(" ")[2]
    except OSError:
        maker = ""
    if maker and maker != name:
        parts.append(f"made for container {maker}")
    pids = files.value(f"{path}/tasks").split()
    if not pids:
        parts.append("no process")
    else:
        more = f" and {len(pids) - _PROCESSES} more" if len(pids) > _PROCESSES else ""
        parts.append("pid " + ", ".join(map(_process, pids[:_PROCESSES])) + more)
    return f"{name} ({', '.join(parts)})"


def _process(pid: str) -> str:
    """A process by pid, command and the last part of its cgroup, which mostly is the container's id."""
    command = files.value(f"/proc/{pid}/comm")
    paths = [path for path in cgroups_of(int(pid)).values() if path != "/"] if pid.isdigit() else []
    cgroup = os.path.basename(max(paths, key=len)) if paths else ""
    return " ".join(filter(None, (pid, command, cgroup and f"of {cgroup}")))


def _closids(root: str) -> str:
    """The least number of any resource: with more than one, the smallest counts."""
    counts = [files.value(f"{root}/info/{name}/num_closids") for name in mount.resources(root)]
    return str(min((int(count) for count in counts if count.isdigit()), default=0))


def _monitors(root: str) -> str:
    try:
        names = sorted(os.listdir(f"{root}/info"))
    except OSError:
        return ""
    return next((count for name in names if (count := files.value(f"{root}/info/{name}/num_rmids"))), "")
