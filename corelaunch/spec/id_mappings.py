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
