"""Whose systemd it is, and the part of a placement that the manager of the files knows."""

from __future__ import annotations

import os

from corelaunch.api import CgroupPlacement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: The system's manager, and a user's.
SYSTEM, USER = "system", "user"

#: There if systemd is the init of this host (sd_booted(3)).
BOOTED = "/run/systemd/system"


def which_manager() -> str:
    """The system's manager for root, and the user's own for everybody else, be it the root of a user namespace."""
    if os.geteuid() != 0:
        return USER
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return SYSTEM if file.read().split() == ["0", "0", "4294967295"] else USER


def of_files(placement: CgroupPlacement, paths: Mapping[str, str] | None = None) -> CgroupPlacement:
    """The placement as the manager of the files knows it; ``paths``: only this part of it."""
    return CgroupPlacement(placement.paths if paths is None else paths, placement.extra.get("files") or {})
