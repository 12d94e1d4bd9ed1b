"""Device rules on cgroup v1: what a list of them comes to, and the controller ``devices`` that enforces it.

The kernel keeps one default (deny or allow everything) with exceptions, and matches an exception only against one of
exactly the same numbers: a rule that takes away a part of what a wider one gave would do nothing. Such a list is
refused instead. (Kernel: Documentation/admin-guide/cgroup-v1/devices.rst, security/device_cgroup.c.)
"""

from __future__ import annotations

from corelaunch.api import KernelError, Unsupported

from .controls import Controls
from .device_rules import ALWAYS_ALLOWED, WHERE, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    #: Type ("b", "c"), major, minor ("*" for all).
    Device = tuple[str, str, str]


class DeviceRules:
    """Default and exceptions, as rules change them one after the other. Nothing is allowed at first.

    Attributes:
        allow_all: the default.
        exceptions: device -> accesses (letters of "rwm") that differ from the default.
    """

    def __init__(self) -> None:
        self.allow_all = False
        self.exceptions: dict[Device, set[str]] = {}

    def apply_all(self, allow: bool) -> None:
        """A rule for every device."""
        self.allow_all = allow
        self.exceptions = {}

    def apply(self, allow: bool, device: Device, access: str, where: str) -> None:
        """A rule for one device or a range.

        Raises:
            Unsupported: it takes back a part of a wider rule, which the kernel cannot express.
        """
        if allow != self.allow_all:
            self.exceptions.setdefault(device, set()).update(access)
            return
        for other in list(self.exceptions):
            if not self.exceptions[other] & set(access) or not _overlap(device, other):
                continue
            if not _covers(device, other):
                raise Unsupported(
                    "cannot take back a part of a wider device rule",
                    where=where,
                    why=f"{device[0]} {device[1]}:{device[2]} is a part of {other[0]} {other[1]}:{other[2]}",
                    hint="replace the wider rule by rules for what it should cover",
                )
            self.exceptions[other] -= set(access)
            if not self.exceptions[other]:
                del self.exceptions[other]


def evaluate(rules: Sequence[Mapping[str, Any]]) -> DeviceRules:
    """What the rules of a config come to, without :data:`ALWAYS_ALLOWED`.

    Raises:
        ConfigError: a rule is malformed; ``where`` is its JSON path.
        Unsupported: the kernel cannot express them.
    """
    result = DeviceRules()
    for index, (allow, kind, major, minor, access) in enumerate(parse(rules)):
        if kind == "a":
            result.apply_all(allow)
        else:
            result.apply(allow, (kind, major, minor), access, f"{WHERE}[{index}]")
    return result


def wanted(rules: Sequence[Mapping[str, Any]]) -> DeviceRules:
    """What the rules and :data:`ALWAYS_ALLOWED` after them come to. Raises as :func:`evaluate`."""
    result = evaluate(rules)
    for _, kind, major, minor, access in ALWAYS_ALLOWED:
        result.apply(True, (kind, major, minor), access, WHERE)
    return result


def write_devices(directory: str, rules: Sequence[Mapping[str, Any]]) -> None:
    """Write the rules and :data:`ALWAYS_ALLOWED` to the v1 controller; what is in force already is not touched.

    Raises:
        KernelError: EPERM, the cgroup above does not allow it; EINVAL, there are cgroups below and the default changes.
    """
    target = wanted(rules)
    controls = Controls(directory, WHERE)
    present = _present(controls)
    try:
        _change(controls, present, target)
    except KernelError as error:
        if present.allow_all and target.allow_all:
            error.hint = "not set back: devices.list does not tell what was denied"
            raise
        try:
            _change(controls, _present(controls), present)
        except KernelError:
            error.hint = f"not set back: {controls.path('devices.list')}"
        raise


def _present(controls: Controls) -> DeviceRules:
    """What is in force; of a controller that allows by default the kernel does not tell the exceptions."""
    found = DeviceRules()
    for line in filter(None, controls.read("devices.list").split("\n")):
        kind, numbers, access = line.split()
        if kind == "a":
            found.allow_all = True
        else:
            major, _, minor = numbers.partition(":")
            found.exceptions[kind, major, minor] = set(access)
    return found


def _change(controls: Controls, present: DeviceRules, target: DeviceRules) -> None:
    """Write what differs, permissions first: what stays allowed is allowed at every moment."""
    if target.allow_all:
        controls.set("devices.allow", "a")
        controls.set_each("devices.deny", lines(target.exceptions))
        return
    if present.allow_all:
        controls.set("devices.deny", "a")
        present = DeviceRules()
    more = {device: target.exceptions[device] - present.exceptions.get(device, set()) for device in target.exceptions}
    less = {device: present.exceptions[device] - target.exceptions.get(device, set()) for device in present.exceptions}
    controls.set_each("devices.allow", lines(more))
    controls.set_each("devices.deny", lines(less))


def lines(exceptions: Mapping[Device, set[str]]) -> list[str]:
    """Exceptions as the files of the controller have them, those without an access left out."""
    return sorted(
        f"{kind} {major}:{minor} {''.join(letter for letter in 'rwm' if letter in accesses)}"
        for (kind, major, minor), accesses in exceptions.items()
        if accesses
    )


def _overlap(one: Device, other: Device) -> bool:
    return one[0] == other[0] and all(a == b or "*" in (a, b) for a, b in zip(one[1:], other[1:]))


def _covers(wide: Device, narrow: Device) -> bool:
    return wide[0] == narrow[0] and all(w in ("*", n) for w, n in zip(wide[1:], narrow[1:]))
