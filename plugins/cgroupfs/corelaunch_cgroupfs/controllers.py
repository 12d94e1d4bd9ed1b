"""Controllers of cgroup v2: giving them to a cgroup, and saying why it has not got one.

A cgroup has a controller if it is enabled in ``cgroup.subtree_control`` of every cgroup above. Where a cgroup holds
processes, or is threaded, the kernel refuses that (cgroups(7), "no internal processes" and "Thread mode").
"""

from __future__ import annotations

import errno
import os

from corelaunch.api import KernelError, Unsupported

from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

#: EBUSY: the parent holds processes; EOPNOTSUPP: it is threaded; the others: it is not ours to change.
_NOT_TO_ENABLE = (errno.EBUSY, errno.EACCES, errno.EPERM, errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP, errno.EROFS)

#: Threaded cgroups have these; the others count memory or I/O of whole processes.
_THREADED = ("cpu", "cpuset", "perf_event", "pids")


def enable(directory: str, wanted: Collection[str] | None) -> None:
    """Give a cgroup these controllers, None: all there are.

    Best effort: a control that is then missing is an error of ``set_resources``, if it is asked for. In a cgroup with
    processes nothing is enabled: those controllers that the kernel would take make a threaded domain of it, and no
    process could enter what is below.

    Raises:
        KernelError: a refusal that has no known reason, or a cgroup is gone.
    """
    for ancestor in _ancestors(directory):
        available = set(files.read_checked(f"{ancestor}/cgroup.controllers").split())
        enabled = set(files.read_checked(f"{ancestor}/cgroup.subtree_control").split())
        missing = (available if wanted is None else available & set(wanted)) - enabled
        if missing and _holds_processes(ancestor):
            continue
        for controller in sorted(missing):
            try:
                files.write(f"{ancestor}/cgroup.subtree_control", f"+{controller}")
            except OSError as error:
                if error.errno not in _NOT_TO_ENABLE:
                    raise KernelError.of(f"cannot enable {controller}", error, where=ancestor) from error


def check_type(directory: str) -> None:
    """Refuse a new cgroup that takes no process because one above it is threaded.

    Raises:
        Unsupported: with the rule.
    """
    if _type(directory) == "domain invalid":
        raise Unsupported(
            "cannot use this cgroup",
            where=directory,
            why="the one above it is threaded, so the kernel lets no process into it (cgroups(7), thread mode)",
            hint="choose a linux.cgroupsPath that is not below a threaded cgroup",
        )


def why_missing(directory: str, control: str) -> str:
    """Why there is no such control file in a cgroup."""
    controller = control.partition(".")[0]
    if not os.access(f"{directory}/cgroup.controllers", os.F_OK):
        return f"not in {directory}: this kernel has none, or it is off"  # cgroup v1
    if controller in files.read(f"{directory}/cgroup.controllers").split() or controller == "cgroup":
        return f"not in {directory}: this kernel has none"
    for ancestor in _ancestors(directory):
        available = files.read(f"{ancestor}/cgroup.controllers").split()
        if controller not in available:
            return f"{ancestor} has no controller {controller} (it has {' '.join(available) or 'none'})"
        if controller not in files.read(f"{ancestor}/cgroup.subtree_control").split():
            where = f"{ancestor}/cgroup.subtree_control"
            return f"the controller {controller} is not enabled in {where}: {_obstacle(ancestor, controller)}"
    return f"not in {directory}: the controller {controller} was switched off just now"


def _obstacle(directory: str, controller: str) -> str:
    """What keeps a controller from being enabled for the cgroups below."""
    if not os.access(f"{directory}/cgroup.subtree_control", os.W_OK):
        return f"user {os.geteuid()} may not write there"
    kind = _type(directory)
    if kind in ("threaded", "domain threaded") and controller not in _THREADED:
        return f"this cgroup is {kind}, and threads share what {controller} counts (cgroups(7), thread mode)"
    if _holds_processes(directory):
        return "it holds processes, and only the cgroups at the ends may (cgroups(7), no internal processes)"
    return "the kernel refused it, or somebody has switched it off since"


def _holds_processes(directory: str) -> bool:
    """Whether it has processes of its own, which keep it from giving controllers on; the root's do not."""
    try:
        return bool(_type(directory) and files.read(f"{directory}/cgroup.procs"))
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # threaded: its processes are in the domain above
            return False
        raise KernelError.of("cannot read cgroup", error, where=directory) from error


def _type(directory: str) -> str:
    """Contents of cgroup.type; "" of the root of the hierarchy, which has none."""
    try:
        return files.read(f"{directory}/cgroup.type")
    except FileNotFoundError:
        return ""


def _ancestors(directory: str) -> list[str]:
    """The cgroups above, from the top of what is mounted down."""
    found = []
    parent = os.path.dirname(directory)
    while os.access(f"{parent}/cgroup.controllers", os.F_OK):
        found.append(parent)
        parent = os.path.dirname(parent)
    return found[::-1]
