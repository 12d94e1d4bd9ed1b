"""Where a container's cgroup will be: one directory in every mounted hierarchy, of the same path in each."""

from __future__ import annotations

import os

from corelaunch.api import CgroupPlacement, ConfigError, Unsupported, cgroup_hierarchies

from .files import component

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

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
    paths: dict[str, str] = {}
    rooted = True
    for hierarchy in cgroup_hierarchies():
        directory = hierarchy.mountpoint.rstrip("/") + inner
        rooted = rooted and hierarchy.root == "/"
        for controller in hierarchy.controllers or ("",):
            paths[controller] = directory
    if not paths:
        raise Unsupported("cannot make a cgroup", where="/proc/self/mountinfo", why="no cgroup hierarchy is mounted")
    # The inner path is what /proc/PID/cgroup shows, if what is mounted is the root of the hierarchy.
    return CgroupPlacement(paths, {"inner": inner} if rooted else {})


def inner_path(path: str, container_id: str) -> str:
    """The path below the root of each hierarchy: ``cgroupsPath``, by default ``/CONTAINER``.

    A relative path counts from the root of the hierarchy, too (runtime-spec, config-linux.md, leaves it to us), so
    that a container's cgroup does not depend on who called the runtime.
    """
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
