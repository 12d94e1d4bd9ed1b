"""What to do about what the kernel refuses a user namespace, or a cgroup: the errno alone does not tell the rule."""

from __future__ import annotations

import os
from errno import EACCES, EBUSY, ENOSPC, EOPNOTSUPP, EPERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..errors import ChildError

_SYSFS = "a new sysfs needs a network namespace of the container's own: add one, or bind /sys with rbind and ro"
_PROC = "a new procfs needs a pid namespace of the container's own, and a /proc here of which no part is covered"
_OTHER = "the kernel does not mount it in a user namespace: mount it as root and bind it"
_REACH = "it is opened as the user who runs corelaunch: he needs the right to every directory on the way"
_SWITCHED_OFF = (
    "user namespaces are switched off for users here (sysctl kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns), or we are in a chroot"
)
#: cgroups(7): "no internal processes", "Thread mode".
_CGROUP_RULES = {
    EBUSY: "has controllers enabled for cgroups below it, so it takes no process itself",
    EOPNOTSUPP: "is threaded, or below a threaded cgroup, so it takes no process",
}


def hint(error: ChildError) -> str:
    """What to do, "" if there is nothing to add. For children in a user namespace, or on their way into one."""
    number, text, operation = error.errno, error.what, error.operation
    if operation == "bootstrap" and error.where == "user":
        return {ENOSPC: "the sysctl user.max_user_namespaces is 0 or reached", EPERM: _SWITCHED_OFF}.get(number, "")
    if error.where == "/proc/self/oom_score_adj" and number == EACCES:
        return "lowering it needs CAP_SYS_RESOURCE: leave process.oomScoreAdj out"
    if "mount target" in text and number == EACCES:
        return "the container's root may not write to its root filesystem: make it there, or chown the filesystem"
    if operation in ("rootfs", "bind") and number == EACCES:
        return _REACH
    if operation == "mount" and number == EPERM:
        kind = text.rpartition(" ")[2]
        return {"sysfs": _SYSFS, "proc": _PROC}.get(kind, _OTHER)
    return ""


def cgroup_rule(error: OSError, cgroup: int) -> str:
    """The rule by which the cgroup of a directory descriptor (-1: none) takes no process, "" if it is not that."""
    if cgroup < 0 or error.errno not in _CGROUP_RULES:
        return ""
    return f"{os.readlink(f'/proc/self/fd/{cgroup}')} {_CGROUP_RULES[error.errno]}"
