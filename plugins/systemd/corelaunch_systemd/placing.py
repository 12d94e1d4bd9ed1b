"""Where a container's unit will be: its name from the config, its directories from systemd and the mount table."""

from __future__ import annotations

import os

from corelaunch.api import CgroupPlacement, Unsupported, cgroups_of

from . import names
from .parts import BOOTED, SYSTEM, USER, which_manager
from .properties import asked_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from corelaunch.api import CgroupManager, CgroupRequest

#: What a user's systemd is given on a host with v1 hierarchies: no controller can be delegated there (cgroups(7)).
_OF_USERS = ("", "name=systemd")

#: Where PID 1 is in the cgroup that it manages.
_OF_INIT = ("/init.scope", "/system.slice", "/system")

#: What every runtime takes for "not asked for": engines write it out.
_UNSET: tuple[Any, ...] = (None, 0, "", False, [], {})


def place(request: CgroupRequest, files: CgroupManager) -> CgroupPlacement:
    """Derive unit and directories; changes nothing.

    Raises:
        ConfigError: cgroupsPath has a wrong form, or a property in the annotations cannot be one.
        Unsupported: systemd is not the init of this host, or the user has none; or what is asked cannot be limited.
    """
    if request.mode == "off":
        return CgroupPlacement({})
    manager = which_manager()
    default = names.SYSTEM_SLICE if manager == SYSTEM else names.USER_SLICE
    slice_name, unit = names.unit_of(request.path, request.container_id, default)
    asked_for(request.annotations)
    if manager == SYSTEM and not os.path.isdir(BOOTED):
        raise Unsupported(
            "cannot make a unit",
            where="cgroup manager 'systemd'",
            why=f"systemd is not the init of this host (there is no {BOOTED})",
            hint="use --cgroup-manager cgroupfs",
        )
    inner = (_root_of_system() if manager == SYSTEM else _root_of_user()) + names.unit_path(slice_name, unit)
    if manager == SYSTEM:
        placed = files.place(request.replace(path=inner, mode="required"))
        paths = placed.paths
    else:
        paths, placed = _place_for_user(request, inner, files)
    extra = {"manager": manager, "slice": slice_name, "unit": unit, "files": placed.extra}
    return CgroupPlacement(paths, extra)


def _root_of_system() -> str:
    """The cgroup that PID 1 manages, as it finds it itself (src/basic/cgroup-util.c, cg_get_root_path).

    It is not asked: a connection costs it more than all else that place does. What is wrong with it ``create`` says,
    before it makes anything.
    """
    own = cgroups_of(1)
    path = own.get("name=systemd") or own.get("") or ""
    for name in _OF_INIT:
        path = path.removesuffix(name)
    return path.rstrip("/")


def _root_of_user() -> str:
    """The cgroup that the user's systemd manages.

    Raises:
        Unsupported: there is none, or it is too old.
    """
    from .systemd import Systemd

    with Systemd(USER) as systemd:
        return systemd.about()[1]


def _place_for_user(
    request: CgroupRequest, inner: str, files: CgroupManager
) -> tuple[Mapping[str, str], CgroupPlacement]:
    placed = files.place(request.replace(path=inner, mode="required", resources={}))
    if set(placed.paths) == {""}:
        # Checked for v2; a controller that is not delegated is found missing when its limit is set.
        return placed.paths, files.place(request.replace(path=inner, mode="required"))
    refuse_limits(request.resources)
    return {name: path for name, path in placed.paths.items() if name in _OF_USERS}, placed


def refuse_limits(resources: Mapping[str, Any]) -> None:
    """Refuse all that is asked of a user's unit on a host with v1 hierarchies.

    Raises:
        Unsupported: something is asked.
    """
    for section, content in resources.items():
        if isinstance(content, dict):
            content = [key for key, value in content.items() if value not in _UNSET]
        if content not in _UNSET:
            raise Unsupported(
                "cannot limit this",
                where=f"linux.resources.{section}",
                why="a user's systemd is given no controllers of cgroup v1",
                hint="boot with systemd.unified_cgroup_hierarchy=1, or run it as root",
            )
