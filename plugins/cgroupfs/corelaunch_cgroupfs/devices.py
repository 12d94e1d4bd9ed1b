"""Device rules: what a list of them comes to, and the v1 controller ``devices`` that enforces it.

The kernel keeps one default (deny or allow everything) with exceptions, and matches an exception only against one of
exactly the same numbers: a rule that takes away a part of what a wider one gave would do nothing. Such a list is
refused instead. (Kernel: Documentation/admin-guide/cgroup-v1/devices.rst, security/device_cgroup.c.)
"""

from __future__ import annotations

from corelaunch.api import ConfigError, Unsupported

from .files import Controls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    #: Type ("b", "c"), major, minor ("*" for all).
    Device = tuple[str, str, str]

_WHERE = "linux.resources.devices"

#: What every container may use, after the rules of its config (the runtime-spec's default devices, mknod of any
#: node without using it, terminals, and tun): runc's list, which engines rely on.
ALWAYS_ALLOWED = (
    ("c", "*", "*", "m"),
    ("b", "*", "*", "m"),
    ("c", "1", "3", "rwm"),
    ("c", "1", "5", "rwm"),
    ("c", "1", "7", "rwm"),
    ("c", "1", "8", "rwm"),
    ("c", "1", "9", "rwm"),
    ("c", "5", "0", "rwm"),
    ("c", "5", "2", "rwm"),
    ("c", "136", "*", "rwm"),
    ("c", "10", "200", "rwm"),
)


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

    def lines(self) -> set[str]:
        """The exceptions as ``devices.list`` shows them."""
        return {
            f"{kind} {major}:{minor} {''.join(letter for letter in 'rwm' if letter in accesses)}"
            for (kind, major, minor), accesses in self.exceptions.items()
        }


def evaluate(rules: Sequence[Mapping[str, Any]]) -> DeviceRules:
    """What the rules of a config come to, without :data:`ALWAYS_ALLOWED`.

    Raises:
        ConfigError: a rule is malformed; ``where`` is its JSON path.
        Unsupported: the kernel cannot express them.
    """
    result = DeviceRules()
    for index, rule in enumerate(rules):
        where = f"{_WHERE}[{index}]"
        kind, numbers, access = _parse(rule, where)
        allow = bool(rule.get("allow", False))
        if kind == "a":
            result.apply_all(allow)
        else:
            result.apply(allow, (kind, *numbers), access, where)
    return result


def allows_everything(rules: Sequence[Mapping[str, Any]]) -> bool:
    """Whether nothing is left to enforce."""
    result = evaluate(rules)
    return result.allow_all and not result.exceptions


def write_devices(directory: str, rules: Sequence[Mapping[str, Any]]) -> None:
    """Write the rules and :data:`ALWAYS_ALLOWED` to the v1 controller; nothing if they are in force already.

    Raises:
        KernelError: EPERM, the cgroup above does not allow it; EINVAL, there are cgroups below and the default changes.
    """
    target = evaluate(rules)
    for kind, major, minor, access in ALWAYS_ALLOWED:
        target.apply(True, (kind, major, minor), access, _WHERE)
    controls = Controls(directory, _WHERE)
    present = set(controls.read("devices.list").split("\n")) - {""}
    if present == (target.lines() if not target.allow_all else {"a *:* rwm"}) and not (
        target.allow_all and target.exceptions
    ):
        return
    controls.set("devices.allow" if target.allow_all else "devices.deny", "a")
    controls.set_each("devices.deny" if target.allow_all else "devices.allow", sorted(target.lines()))


def _parse(rule: Mapping[str, Any], where: str) -> tuple[str, tuple[str, str], str]:
    if not isinstance(rule, dict):
        raise ConfigError("not an object", where=where)
    kind = {"": "a", "a": "a", "b": "b", "c": "c", "u": "c"}.get(rule.get("type") or "", "")
    access = rule.get("access") or "rwm"
    if not kind:
        raise ConfigError("unknown device type", where=f"{where}.type", why=repr(rule.get("type")))
    if not isinstance(access, str) or set(access) - set("rwm"):
        raise ConfigError("unknown device access", where=f"{where}.access", why=repr(access))
    numbers = tuple(_number(rule.get(key), f"{where}.{key}") for key in ("major", "minor"))
    if kind == "a" and (numbers != ("*", "*") or set(access) != set("rwm")):
        # The kernel would take it for all devices and all access.
        raise ConfigError("a rule for all types covers all devices and rwm", where=where, hint="give it a type, b or c")
    return kind, (numbers[0], numbers[1]), access


def _number(value: Any, where: str) -> str:
    if value is None or value == -1:
        return "*"
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError("not a device number", where=where, why=repr(value))
    return str(value)


def _overlap(one: Device, other: Device) -> bool:
    return one[0] == other[0] and all(a == b or "*" in (a, b) for a, b in zip(one[1:], other[1:]))


def _covers(wide: Device, narrow: Device) -> bool:
    return wide[0] == narrow[0] and all(w in ("*", n) for w, n in zip(wide[1:], narrow[1:]))
