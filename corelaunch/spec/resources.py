"""Checks of ``linux.resources`` and of the file that ``update`` reads (runtime-spec, config-linux.md).

What the values mean to this kernel, and what it lacks, is the cgroup manager's to say.
"""

from __future__ import annotations

import os

from ..errors import ConfigError, KernelError
from ..jsontext import SIZE_LIMIT
from .fields import U64, array, boolean, i64, integer, mapping, string, table, u16, u32, u64
from .findings import Findings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .findings import Where

#: What is wrong with a resources object is said of the document of this name.
DOCUMENT = "resources"

#: The first version of the runtime-spec in which a ``pids.limit`` of 0 is a limit.
_ZERO_IS_A_LIMIT = (1, 3)

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_RULE_TYPES = ("a", "b", "c", "")


def check_resources(resources: Mapping[str, Any]) -> list[str]:
    """Check a resources object by itself; returns warnings.

    Raises:
        ConfigError: the first thing that is wrong, with its path in the object.
    """
    findings = Findings(DOCUMENT)
    check(resources, (), findings)
    return findings.warnings


def updatable(resources: Mapping[str, Any]) -> dict[str, Any]:
    """What of a resources object may be changed later: everything but the device rules, and nothing that is null."""
    return {key: value for key, value in resources.items() if key != "devices" and value is not None}


def as_meant(resources: Mapping[str, Any], oci_version: str) -> Mapping[str, Any]:
    """What a resources object of a config of this version asks for, in the words of the newest.

    Until runtime-spec 1.2 a ``pids.limit`` of 0 was one that is not set (a Go integer without ``omitempty``: podman
    writes it for "unlimited"); since 1.3, where it is a pointer, it is a limit. ``resources`` itself stays as it is.
    """
    pids = resources.get("pids") or {}
    major, minor = (int(number) for number in oci_version.split(".")[:2])
    if pids.get("limit") != 0 or (major, minor) >= _ZERO_IS_A_LIMIT:
        return resources
    return {**resources, "pids": {key: value for key, value in pids.items() if key != "limit"}}


def load_resources(path: str) -> dict[str, Any]:
    """The resources object in a file, or on stdin if it is called ``-``; not yet checked.

    Raises:
        ConfigError: there is no such file, or it is not a JSON object.
        KernelError: it cannot be read.
    """
    from .bundle import parse_object, read_object

    if path != "-":
        try:
            return read_object(path, path)
        except FileNotFoundError:
            raise ConfigError("cannot read resources", where=path, why="no such file or directory") from None
    data = b""
    try:
        # One more than is allowed, so that parse_object sees that it is too large.
        while len(data) <= SIZE_LIMIT and (chunk := os.read(0, 1 << 20)):
            data += chunk
    except OSError as error:
        raise KernelError.of("cannot read resources", error, where="stdin") from error
    return parse_object(data, "stdin")


def _rule(rule: Any, where: Where, findings: Findings) -> None:
    kind, access = rule.get("type"), rule["access"]
    if kind is not None and kind not in _RULE_TYPES:
        findings.refuse((where, "type"), f'unknown device type "{kind}"', "known: a, b, c")
    if not access or not set("rwm").issuperset(access):
        findings.refuse((where, "access"), f'"{access}" is not made of r, w and m')


def _unified_key(key: Any, where: Where, findings: Findings) -> None:
    # It becomes a file name in the cgroup (GHSA-5g49-rx9x-qfc6).
    controller, dot, rest = key.partition(".")
    if not (dot and controller and rest and _LOWER.issuperset(controller) and (_LOWER | {"."}).issuperset(rest)):
        findings.refuse(where, "not the name of a cgroup v2 file", 'write it as in "memory.high"')


def _page_size(value: Any, where: Where, findings: Findings) -> None:
    string(value, where, findings)
    if type(value) is str and not (value[-2:] in ("KB", "MB", "GB") and value[:-2].isdecimal() and value.isascii()):
        findings.refuse(where, f'"{value}" is not a page size', 'write it as in "2MB"')


_number = integer(-1, 2**32 - 1)
_RATES = array(table({"major": _number, "minor": _number, "rate": u64}, ("major", "minor", "rate")))

#: Checks a resources object.
check = table(
    {
        "devices": array(
            table(
                {"allow": boolean, "type": string, "major": _number, "minor": _number, "access": string},
                ("access",),
                _rule,
            )
        ),
        "memory": table(
            {
                "limit": i64,
                "reservation": i64,
                "swap": i64,
                "kernel": i64,
                "kernelTCP": i64,
                "swappiness": integer(0, U64),
                "disableOOMKiller": boolean,
                "useHierarchy": boolean,
                "checkBeforeUpdate": boolean,
            }
        ),
        "cpu": table(
            {
                "shares": u64,
                "quota": i64,
                "burst": u64,
                "period": u64,
                "realtimeRuntime": i64,
                "realtimePeriod": u64,
                "cpus": string,
                "mems": string,
                "idle": i64,
            }
        ),
        "pids": table({"limit": i64}),
        "blockIO": table(
            {
                "weight": u16,
                "leafWeight": u16,
                "weightDevice": array(
                    table({"major": _number, "minor": _number, "weight": u16, "leafWeight": u16}, ("major", "minor"))
                ),
                "throttleReadBpsDevice": _RATES,
                "throttleWriteBpsDevice": _RATES,
                "throttleReadIOPSDevice": _RATES,
                "throttleWriteIOPSDevice": _RATES,
            }
        ),
        "hugepageLimits": array(table({"pageSize": _page_size, "limit": u64}, ("pageSize", "limit"))),
        "network": table(
            {
                "classID": u32,
                "priorities": array(table({"name": string, "priority": u32}, ("name", "priority"))),
            }
        ),
        "rdma": mapping(table({"hcaHandles": u32, "hcaObjects": u32})),
        "unified": mapping(string, _unified_key),
    }
)
