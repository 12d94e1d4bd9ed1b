"""Best effort: the cgroup of whoever may not write everywhere (an ordinary user, the root of a user namespace).

It is made in those hierarchies where somebody with the right has delegated a directory to us (cgroups(7), "Cgroup
delegation"), and left out in the others. What is asked of a controller that is left out is refused by ``needs``.
"""

from __future__ import annotations

import os

from corelaunch.api import CgroupPlacement, Unsupported, cgroup_hierarchies

from .layout import existing_parent, own_cgroups, own_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from corelaunch.api import CgroupRequest

#: What to do about a cgroup that we may not make.
HINT = "have root delegate a cgroup (mkdir DIR; chown -R USER DIR) and name one below it in linux.cgroupsPath"


def place_delegated(request: CgroupRequest, inner: str) -> CgroupPlacement:
    """The directories that we may make. ``inner``: the asked path, or the default one, as an absolute path.

    Without an absolute ``cgroupsPath`` they are below our own cgroup in each hierarchy, as with runc: that is what a
    service manager delegates.

    Raises:
        Unsupported: a path is asked for, and we may make it nowhere.
    """
    own = own_cgroups()
    paths: dict[str, str] = {}
    refused: dict[str, str] = {}
    hierarchies = cgroup_hierarchies()
    for hierarchy in hierarchies:
        mount = hierarchy.mountpoint.rstrip("/")
        ours = mount + own_path(own, hierarchy.controllers, hierarchy.root)
        if request.path.startswith("/"):
            above = [mount]
        elif hierarchy.version == 2 and len(hierarchies) == 1 and ours != mount:
            # Ours holds processes, so its children get no controllers (cgroups(7)); better the one above, if we may.
            above = [os.path.dirname(ours), ours]
        else:
            above = [ours]
        for place in above:
            directory = place + inner
            obstacle = _obstacle(directory, ours, mount, v2=hierarchy.version == 2)
            if not obstacle:
                break
        for controller in hierarchy.controllers or ("",):
            (refused if obstacle else paths)[controller] = obstacle or directory
    if request.path and not paths:
        raise Unsupported(
            "cannot make the cgroup",
            where="linux.cgroupsPath",
            why=f"{request.path!r}: user {os.geteuid()} may not write to {_named(refused.values())}",
            hint=HINT,
        )
    # Each hierarchy has a path of its own, so none is told to /proc/PID/cgroup by one name ("inner").
    return CgroupPlacement(paths, {"refused": refused})


def _obstacle(directory: str, ours: str, mount: str, *, v2: bool) -> str:
    """The path that we may not write to and would have to, "" if there is none."""
    parent = existing_parent(directory)
    if not os.access(parent, os.W_OK | os.X_OK):
        return parent
    if v2:
        # Who moves a process needs write access to cgroup.procs of the nearest cgroup that has both ends below it.
        common = os.path.commonpath((parent, ours))
        procs = f"{common if common.startswith(mount) else mount}/cgroup.procs"
        if not os.access(procs, os.W_OK):
            return procs
    return ""


def _named(paths: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(paths))
    if not distinct:
        return "a cgroup hierarchy: none is mounted"
    return distinct[0] + (f" (nor to {len(distinct) - 1} others)" if len(distinct) > 1 else "")
