"""What a config asks of controllers, held against those that this host has, before anything is made.

Nothing that was asked for is dropped: what cannot be given is refused here with the JSON path.
"""

from __future__ import annotations

import os

from corelaunch.api import ConfigError, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from corelaunch.api import CgroupPlacement

_WHERE = "linux.resources"

#: Section, property (or "*": any) -> controller that has it.
_CONTROLLERS = (
    ("memory", "*", "memory"),
    ("cpu", "cpus", "cpuset"),
    ("cpu", "mems", "cpuset"),
    ("cpu", "*", "cpu"),
    ("pids", "limit", "pids"),
    ("blockIO", "*", "blkio"),
    ("network", "classID", "net_cls"),
    ("network", "priorities", "net_prio"),
    ("rdma", "*", "rdma"),
)

#: What every runtime takes for "not asked for": engines write it out.
UNSET: tuple[Any, ...] = (None, 0, "", False, [], {}, ())


def check(placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
    """Refuse what cannot be given here.

    Raises:
        ConfigError: a section is not an object, or a device rule is malformed.
        Unsupported: the controller is not there, or belongs to the other version of cgroups; or v1 cannot express the
            device rules.
    """
    paths = placement.paths
    if not resources:
        return
    refused: Mapping[str, str] = placement.extra.get("refused") or {}
    if not paths and not refused:
        if not all(value in UNSET for value in resources.values()):
            _refuse("", "the container has no cgroup")
        return
    v1 = set(paths) | set(refused) != {""}
    if v1:
        _check_v1(paths, refused, resources)
    else:
        _check_v2(resources)
        if refused and not all(value in UNSET for value in resources.values()):
            section = next(key for key, value in resources.items() if value not in UNSET)
            _missing(section, section, refused, "")


def _check_v1(paths: Mapping[str, str], refused: Mapping[str, str], resources: Mapping[str, Any]) -> None:
    if resources.get("unified"):
        _refuse("unified", "this host has cgroup v1 hierarchies, and the names of cgroup v2 mean nothing to them")
    for section, key, _ in asked(resources):
        for known, its_key, controller in _CONTROLLERS:
            if section == known and its_key in (key, "*"):
                if controller not in paths:
                    _missing(f"{section}.{key}", controller, refused, controller)
                break
    if resources.get("devices"):
        if "devices" not in paths:
            _missing("devices", "devices", refused, "devices")
        from .devices_v1 import wanted

        wanted(resources["devices"])
    if resources.get("hugepageLimits") and "hugetlb" not in paths and not _unified_has(paths, "hugetlb"):
        if "hugetlb" in refused:
            _missing("hugepageLimits", "hugetlb", refused, "hugetlb")
        _refuse("hugepageLimits", "this host has no controller hugetlb")


def _check_v2(resources: Mapping[str, Any]) -> None:
    for key in ("classID", "priorities"):
        if (resources.get("network") or {}).get(key) not in UNSET:
            _refuse(f"network.{key}", "cgroup v2 has no such controller")
    if resources.get("devices"):
        from .device_rules import parse

        parse(resources["devices"])


def asked(resources: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """(section, property, value) of every property that is set."""
    found = []
    for section in dict.fromkeys(known for known, _, _ in _CONTROLLERS):
        content = resources.get(section)
        if content is None:
            continue
        if not isinstance(content, dict):
            raise ConfigError("not an object", where=f"{_WHERE}.{section}")
        # A pids.limit of 0 is a limit here: where it is none (runtime-spec before 1.3) core has left it out.
        found += [
            (section, key, value)
            for key, value in content.items()
            if value not in UNSET or (value == 0 and (section, key) == ("pids", "limit"))
        ]
    return found


def _unified_has(paths: Mapping[str, str], controller: str) -> bool:
    """Whether the unified hierarchy of a hybrid host has a controller, at its root or wherever we can look."""
    directory = os.path.dirname(paths.get("", ""))
    while directory and not os.access(f"{directory}/cgroup.controllers", os.F_OK):
        if directory == "/":
            return False
        directory = os.path.dirname(directory)
    if not directory:
        return False
    with open(f"{directory}/cgroup.controllers", encoding="ascii") as file:
        return controller in file.read().split()


def _missing(key: str, controller: str, refused: Mapping[str, str], hierarchy: str) -> None:
    """Refuse a property whose controller has no place: its hierarchy is not mounted, or not delegated to us."""
    if hierarchy not in refused:
        _refuse(key, f"no cgroup hierarchy of the controller {controller} is mounted")
    from .delegated import HINT

    why = f"the controller {controller} is not delegated: user {os.geteuid()} may not write to {refused[hierarchy]}"
    _refuse(key, why, HINT)


def _refuse(key: str, why: str, hint: str = "") -> None:
    where = f"{_WHERE}.{key}" if key else _WHERE
    raise Unsupported("cannot limit this", where=where, why=why, hint=hint)
