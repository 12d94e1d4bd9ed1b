"""Checks of linux.netDevices (runtime-spec, config-linux.md): devices of the host's that move into the container."""

from __future__ import annotations

from .fields import mapping, string, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .findings import Findings, Where

#: IFNAMSIZ of <linux/if.h> without the terminating NUL.
_LONGEST_NAME = 15


def name_inside(device: str, entry: Any) -> str:
    """The name that a device is to have in the container; one that ends in ``%d`` is a template for the kernel's."""
    return ((entry or {}).get("name") or device) if entry is None or type(entry) is dict else ""


def _device(key: Any, where: Where, findings: Findings) -> None:
    if key == "lo":
        findings.refuse(where, "every network namespace has a loopback of its own", "leave it out")
    else:
        _name(key, where, findings)


def _name_in_container(value: Any, where: Where, findings: Findings) -> None:
    string(value, where, findings)
    if type(value) is str and value:
        template = value.removesuffix("%d")
        _name(f"{template}00" if template != value else value, where, findings)


def _name(name: str, where: Where, findings: Findings) -> None:
    """dev_valid_name() of net/core/dev.c, whose isspace() takes the byte 0xA0 for a blank; and no "%", by which the
    kernel numbers, nor what are directories of net.ipv4.conf (sysctl_dev_name_is_allowed() of include/net/ip.h)."""
    valid = name.isprintable() and not any(character.isspace() or character in "/:%" for character in name)
    if not valid or 0xA0 in name.encode("utf-8") or name in ("", ".", "..", "all", "default"):
        findings.refuse(where, f"{name!r} is not the name of an interface")
    elif len(name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME:
        findings.refuse(where, f"{name!r} is longer than the kernel's {_LONGEST_NAME} bytes")


_DEVICES = mapping(table({"name": _name_in_container}), _device)


def check(value: Any, where: Where, findings: Findings) -> None:
    """Check the object."""
    _DEVICES(value, where, findings)
    if type(value) is not dict:
        return
    seen: dict[str, str] = {}
    for device, entry in value.items():
        name = name_inside(device, entry)
        first = seen.setdefault(name, device)
        if name and first != device and not name.endswith("%d"):
            findings.refuse((where, device), f"{first!r} has the same name {name!r} in the container")
