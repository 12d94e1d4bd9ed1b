"""Device rules of a config, read and checked; they mean the same on cgroup v1 and v2.

They are read in their order, and the last one that covers a device and an access decides about it. Before the first,
nothing is allowed; after the last comes what every container may use.
"""

from __future__ import annotations

from corelaunch.api import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    #: (whether it allows, "a", "b" or "c", major, minor ("*" for all), letters of "rwm").
    Rule = tuple[bool, str, str, str, str]

WHERE = "linux.resources.devices"

#: What every container may use, after the rules of its config (the runtime-spec's default devices, mknod of any
#: node without using it, terminals, and tun): runc's list, which engines rely on.
ALWAYS_ALLOWED: Sequence[Rule] = (
    (True, "c", "*", "*", "m"),
    (True, "b", "*", "*", "m"),
    (True, "c", "1", "3", "rwm"),
    (True, "c", "1", "5", "rwm"),
    (True, "c", "1", "7", "rwm"),
    (True, "c", "1", "8", "rwm"),
    (True, "c", "1", "9", "rwm"),
    (True, "c", "5", "0", "rwm"),
    (True, "c", "5", "2", "rwm"),
    (True, "c", "136", "*", "rwm"),
    (True, "c", "10", "200", "rwm"),
)

#: Device numbers are of 32 bits in rules (the kernel's own have 12 and 20).
_NUMBERS = 1 << 32


def parse(rules: Sequence[Mapping[str, Any]]) -> list[Rule]:
    """The rules of a config, without :data:`ALWAYS_ALLOWED`, as their order is.

    Raises:
        ConfigError: a rule is malformed; ``where`` is its JSON path.
    """
    return [_parse(rule, f"{WHERE}[{index}]") for index, rule in enumerate(rules)]


def _parse(rule: Mapping[str, Any], where: str) -> Rule:
    if not isinstance(rule, dict):
        raise ConfigError("not an object", where=where)
    kind = {"": "a", "a": "a", "b": "b", "c": "c", "u": "c"}.get(rule.get("type") or "", "")
    access = rule.get("access") or "rwm"
    if not kind:
        raise ConfigError("unknown device type", where=f"{where}.type", why=repr(rule.get("type")))
    if not isinstance(access, str) or set(access) - set("rwm"):
        raise ConfigError("unknown device access", where=f"{where}.access", why=repr(access))
    major, minor = (_number(rule.get(key), f"{where}.{key}") for key in ("major", "minor"))
    if kind == "a" and ((major, minor) != ("*", "*") or set(access) != set("rwm")):
        # cgroup v1 would take it for all devices and all access.
        raise ConfigError("a rule for all types covers all devices and rwm", where=where, hint="give it a type, b or c")
    return bool(rule.get("allow", False)), kind, major, minor, access


def _number(value: Any, where: str) -> str:
    if value is None or value == -1:
        return "*"
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _NUMBERS:
        raise ConfigError("not a device number", where=where, why=repr(value))
    return str(value)
