"""Checks of linux.uidMappings and linux.gidMappings (user_namespaces(7))."""

from __future__ import annotations

from .fields import U32, array, integer, table, u32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .findings import Findings, Where

#: Most lines that the kernel takes in a map (UID_GID_MAP_MAX_EXTENTS).
_LINES = 340


def maps(mappings: Sequence[Mapping[str, int]], inside: int) -> bool:
    """Whether the id ``inside`` of the container has an id on the host."""
    return any(one["containerID"] <= inside < one["containerID"] + one["size"] for one in mappings)


def maps_own_id_alone(mappings: Sequence[Mapping[str, int]], own_id: int) -> bool:
    """Whether ``own_id`` of the host is all that is mapped: what an ordinary user may write without a helper."""
    return len(mappings) == 1 and mappings[0]["size"] == 1 and mappings[0]["hostID"] == own_id


def is_root(linux: Mapping[str, Any], uid: int, gid: int) -> bool:
    """Whether the container's root is that user and group of the host."""
    for member, own_id in (("uidMappings", uid), ("gidMappings", gid)):
        roots = [one["hostID"] for one in linux.get(member) or () if one["containerID"] == 0]
        if roots != [own_id]:
            return False
    return True


def text_of(mappings: Sequence[Mapping[str, int]] | None) -> str:
    """The mappings as the kernel reads them from uid_map and gid_map."""
    return "".join(f"{one['containerID']} {one['hostID']} {one['size']}\n" for one in mappings or ())


def check_user(process: Mapping[str, Any], linux: Mapping[str, Any], where: Where, findings: Findings) -> None:
    """Refuse ids of a process that its user namespace does not have. ``where`` is the process."""
    user: Mapping[str, Any] = process.get("user") or {}
    inside: Where = (where, "user")
    ids: list[tuple[Where, int, str]] = [
        ((inside, "uid"), user.get("uid") or 0, "uidMappings"),
        ((inside, "gid"), user.get("gid") or 0, "gidMappings"),
    ]
    groups: Where = (inside, "additionalGids")
    ids += [((groups, index), group, "gidMappings") for index, group in enumerate(user.get("additionalGids") or ())]
    for place, number, member in ids:
        if linux.get(member) and not maps(linux[member], number):
            findings.refuse(place, f"{number} is not in linux.{member}", "map it, or choose another")


def check_mount_ids(config: Mapping[str, Any], where: Where, findings: Findings) -> None:
    """Refuse ``uid=`` and ``gid=`` of mounts that the user namespace does not have: the kernel would say EINVAL."""
    linux = config.get("linux") or {}
    for index, mount in enumerate(config.get("mounts") or ()):
        words = [part for option in mount.get("options") or () for part in option.split(",")]
        if mount.get("type") == "overlay" or "bind" in words or "rbind" in words:
            continue
        for word in words:
            name, _, number = word.partition("=")
            member = {"uid": "uidMappings", "gid": "gidMappings"}.get(name)
            # A user namespace that is joined has maps of its own, which the config need not repeat.
            mappings = linux.get(member or "")
            if mappings and number.isdecimal() and not maps(mappings, int(number)):
                why = f'"{word}": {number} is not in linux.{member}'
                findings.refuse(((where, index), "options"), why, "map it, or leave the option out")


def _line(one: Any, where: Where, findings: Findings) -> None:
    for member in ("containerID", "hostID"):
        if one[member] + one["size"] > U32:
            findings.refuse(where, f"{member} {one[member]} and size {one['size']} go beyond the largest id")


def _map(mappings: Any, where: Where, findings: Findings) -> None:
    if len(mappings) > _LINES:
        findings.refuse(where, f"{len(mappings)} lines, the kernel takes {_LINES}")
    for member in ("containerID", "hostID"):
        ranges = sorted((one[member], one["size"], index) for index, one in enumerate(mappings))
        end, line = 0, -1
        for start, size, index in ranges:
            if start < end:
                findings.refuse((where, index), f"{member}s overlap with those of line {line}")
            end, line = start + size, index


#: Checks one of the two arrays.
check = array(
    table(
        {"containerID": u32, "hostID": u32, "size": integer(1, U32)},
        ("containerID", "hostID", "size"),
        _line,
    ),
    _map,
)
