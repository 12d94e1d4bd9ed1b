"""Where a container's cgroup will be: one directory in every mounted hierarchy.

An absolute ``cgroupsPath`` is the same below the root of each. A relative one, or none, is below our own cgroup, as
with runc: what limits whoever calls the runtime (a service, a build in a limited session) limits the container, too.
Engines that give no path (buildah, podman build) rest on it.
"""

from __future__ import annotations

import os

from corelaunch.api import CgroupPlacement, ConfigError, Unsupported, cgroup_hierarchies, cgroups_of

from .files import component

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from corelaunch.api import CgroupRequest

_WHERE = "linux.cgroupsPath"


def place(request: CgroupRequest) -> CgroupPlacement:
    """Derive the directories from the config and the mount table; changes nothing.

    Raises:
        ConfigError: the path has ``..`` in it, or names a root cgroup.
        Unsupported: no cgroup hierarchy is mounted, or none can be written to.
    """
    inner = inner_path(request.path, request.container_id)
    if request.mode == "off":
        return CgroupPlacement({}, {"inner": inner})
    if request.mode == "best-effort":
        from .delegated import place_delegated

        return place_delegated(request, inner)
    hierarchies = cgroup_hierarchies()
    own = {} if request.path.startswith("/") else own_cgroups()
    if [hierarchy.version for hierarchy in hierarchies] == [2]:
        # A cgroup of v2 that holds processes, ours, gives its children no controllers (cgroups(7), "no internal
        # processes"): the one above it does.
        own = {name: os.path.dirname(path) for name, path in own.items()}
    paths: dict[str, str] = {}
    shown: dict[str, str] = {}
    for hierarchy in hierarchies:
        below = own_path(own, hierarchy.controllers, hierarchy.root) + inner
        for controller in hierarchy.controllers or ("",):
            paths[controller] = hierarchy.mountpoint.rstrip("/") + below
            shown[controller] = below
    if not paths:
        raise Unsupported("cannot make a cgroup", where="/proc/self/mountinfo", why="no cgroup hierarchy is mounted")
    if any(hierarchy.root != "/" for hierarchy in hierarchies):
        return CgroupPlacement(paths)
    # What /proc/PID/cgroup shows, if what is mounted is the root of the hierarchy: nearly always one path in all.
    return CgroupPlacement(paths, {"inner": inner if set(shown.values()) == {inner} else shown})


def own_cgroups() -> dict[str, str]:
    """Sorted controllers ("" for v2) -> path of our own cgroup, as /proc/self/cgroup shows it."""
    return {",".join(sorted(filter(None, names.split(",")))): path for names, path in cgroups_of("self").items()}


def own_path(own: Mapping[str, str], controllers: Sequence[str], root: str) -> str:
    """Our own cgroup in a hierarchy, of which ``root`` is mounted, as a path below its mount point; "" for its top.

    It is the top, too, where our cgroup is not below what is mounted (in a container without a cgroup namespace).
    """
    path = own.get(",".join(sorted(controllers)), "/")
    root = root.rstrip("/")
    # "/..": above the root of our cgroup namespace.
    return path[len(root) :].rstrip("/") if f"{path}/".startswith(f"{root}/") and not path.startswith("/..") else ""


def inner_path(path: str, container_id: str) -> str:
    """``cgroupsPath``, by default ``/CONTAINER``: below the root of each hierarchy or, if it is relative, our own."""
    parts = [component(part, _WHERE) for part in (path or container_id).split("/") if part not in ("", ".")]
    if not parts:
        raise ConfigError("invalid cgroup path", where=_WHERE, why=f"{path!r} is the root cgroup")
    return "/" + "/".join(parts)


def existing_parent(directory: str) -> str:
    """The nearest directory above that exists."""
    parent = os.path.dirname(directory)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    return parent


def is_v2(paths: Mapping[str, str]) -> bool:
    """Whether a placement is on a host with cgroup v2 alone."""
    return set(paths) == {""}
