"""Checks of ``linux`` (runtime-spec, config-linux.md): one table, and what one object's members say of each other."""

from __future__ import annotations

from . import id_mappings, resources
from .fields import absolute, array, boolean, integer, mapping, optional, string, strings, table, word
from .findings import listed
from .mount_options import PROPAGATION
from .mounts import cleaned
from .namespaces import CLONE_BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .fields import Check
    from .findings import Findings, Where

_DEVICE_TYPES = ("c", "b", "u", "p")
#: dev_t of the kernel: 12 bits and 20 bits.
_MAJOR = integer(0, 2**12 - 1)
_MINOR = integer(0, 2**20 - 1)
_ID = integer(0, 2**32 - 2)
_CLOCKS = ("monotonic", "boottime")


def _namespace(entry: Any, where: Where, findings: Findings) -> None:
    kind, path = entry["type"], entry.get("path")
    if kind not in CLONE_BITS:
        findings.refuse((where, "type"), f'unknown namespace "{kind}"', listed(CLONE_BITS))
    elif path and path[:1] != "/":
        findings.refuse((where, "path"), f"{path!r} is not an absolute path")


def _namespaces(entries: Any, where: Where, findings: Findings) -> None:
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries):
        first = seen.setdefault(entry["type"], index)
        if first != index:
            why = f'duplicate namespace "{entry["type"]}": namespaces[{first}] is the same'
            findings.refuse(((where, index), "type"), why)


def _device(device: Any, where: Where, findings: Findings) -> None:
    kind = device["type"]
    if cleaned(device["path"]) in ("/", "/dev"):
        findings.refuse((where, "path"), f"{device['path']!r} is a directory of the container")
    if kind not in _DEVICE_TYPES:
        findings.refuse((where, "type"), f'unknown device type "{kind}"', listed(_DEVICE_TYPES))
    elif kind != "p":
        for member in ("major", "minor"):
            if device.get(member) is None:
                findings.refuse((where, member), f'must be set for type "{kind}"')


def _cgroups_path(value: Any, where: Where, findings: Findings) -> None:
    string(value, where, findings)
    if type(value) is not str:
        return
    if ".." in value.split("/"):
        findings.refuse(where, f"{value!r} leads upwards", 'write it without ".."')
    elif any(character < " " for character in value):
        findings.refuse(where, "contains a control character")


def _net_devices(value: Any, where: Where, findings: Findings) -> None:
    from .net_devices import check

    check(value, where, findings)


def _mount_label(value: Any, where: Where, findings: Findings) -> None:
    string(value, where, findings)
    if value:
        findings.unsupported(where, "labels of mounts come with a later release", "leave it out")


def _clos(value: Any, where: Where, findings: Findings) -> None:
    string(value, where, findings)
    # It becomes a directory of the resctrl filesystem; "/" is the root group.
    if type(value) is str and value != "/" and (value in (".", "..") or "/" in value or "\n" in value):
        findings.refuse(where, f"{value!r} is not the name of a group")


def _intel_rdt(rdt: Any, where: Where, findings: Findings) -> None:
    l3, bandwidth = rdt.get("l3CacheSchema") or "", rdt.get("memBwSchema") or ""
    if bandwidth and not bandwidth.startswith("MB:"):
        findings.refuse((where, "memBwSchema"), f'{bandwidth!r} does not start with "MB:"')
    if "\n" in bandwidth:
        findings.refuse((where, "memBwSchema"), "contains a line break", "put other lines into schemata")
    for index, line in enumerate(rdt.get("schemata") or ()):
        if "\n" in line:
            findings.refuse(((where, "schemata"), index), "contains a line break", "give each line an item of its own")
    if l3 and ("\n" in l3 or not l3.startswith("L3")):
        findings.warn((where, "l3CacheSchema"), 'should be one line that starts with "L3:"; schemata takes any')


def _clock(key: Any, where: Where, findings: Findings) -> None:
    if key not in _CLOCKS:
        findings.refuse(where, f'unknown clock "{key}"', listed(_CLOCKS))


def _later(name: str) -> Check:
    """A check in a module that few configs need: imported when one does."""

    def check(value: Any, where: Where, findings: Findings) -> None:
        from . import scheduling_check

        checks: dict[str, Check] = {
            "personality": scheduling_check.personality,
            "memoryPolicy": scheduling_check.memory_policy,
            "timeOffset": scheduling_check.time_offset,
        }
        checks[name](value, where, findings)

    return check


def _seccomp(value: Any, where: Where, findings: Findings) -> None:
    from .seccomp import check

    check(value, where, findings)


#: Checks the linux object.
check = table(
    {
        "namespaces": array(table({"type": string, "path": string}, ("type",), _namespace), _namespaces),
        "uidMappings": id_mappings.check,
        "gidMappings": id_mappings.check,
        "timeOffsets": mapping(_later("timeOffset"), _clock),
        "devices": array(
            table(
                {
                    "path": absolute,
                    "type": string,
                    "major": _MAJOR,
                    "minor": _MINOR,
                    "fileMode": integer(0, 0o177777),
                    "uid": _ID,
                    "gid": _ID,
                },
                ("path", "type"),
                _device,
            )
        ),
        "netDevices": _net_devices,
        "cgroupsPath": _cgroups_path,
        "resources": resources.check,
        "rootfsPropagation": optional(word("propagation", PROPAGATION)),
        "maskedPaths": array(absolute),
        "readonlyPaths": array(absolute),
        "mountLabel": _mount_label,
        "seccomp": _seccomp,
        "sysctl": mapping(string),
        "intelRdt": table(
            {
                "closID": _clos,
                "schemata": strings,
                "l3CacheSchema": string,
                "memBwSchema": string,
                "enableMonitoring": boolean,
                "enableCMT": boolean,
                "enableMBM": boolean,
            },
            extra=_intel_rdt,
        ),
        "memoryPolicy": _later("memoryPolicy"),
        "personality": _later("personality"),
    }
)
