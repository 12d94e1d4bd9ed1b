"""Properties of a unit when it is made: ours, and those that annotations ask for (``org.systemd.property.NAME``)."""

from __future__ import annotations

from corelaunch.api import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .systemd import Property

PREFIX = "org.systemd.property."

#: What makes the unit this container's: an annotation, which may come from an image, has no say in it.
_OURS = ("PIDs", "PIDFDs", "Slice", "Delegate", "Controller")

#: First versions with a property (NEWS of systemd).
_COLLECT_MODE, _OOM_POLICY_OF_SCOPES = 236, 253

_SECONDS = {"y", "n", "q", "i", "u", "x", "t", "d"}


def of_unit(unit: str, slice_name: str, description: str, pid: int, version: int) -> list[Property]:
    """Our own properties of a unit, which are runc's with those that newer systemds need.

    Args:
        unit: a scope, or a slice (which takes no processes and is in its parent by its name).
        slice_name: what it is in.
        description: what people read in lists of units.
        pid: the process that a scope is made around.
        version: of systemd.
    """
    properties: list[Property] = [("Description", ("s", description))]
    if unit.endswith(".slice"):
        properties.append(("Wants", ("as", [slice_name])))
    else:
        # Delegate: what is below is the container's, and systemd makes all its controllers for it.
        properties += [("Slice", ("s", slice_name)), ("Delegate", ("b", True)), ("PIDs", ("au", [pid]))]
        if version >= _OOM_POLICY_OF_SCOPES:
            # Else one OOM kill ends the whole container; whether it does is the workload's own affair.
            properties.append(("OOMPolicy", ("s", "continue")))
    accounting = ("CPUAccounting", "MemoryAccounting", "TasksAccounting", "IOAccounting")
    properties += [(name, ("b", True)) for name in accounting]
    # A container is there before or after whatever its engine is, not before shutdown.target stops it.
    properties.append(("DefaultDependencies", ("b", False)))
    if version >= _COLLECT_MODE:
        properties.append(("CollectMode", ("s", "inactive-or-failed")))
    return properties


def asked_for(annotations: Mapping[str, str]) -> list[Property]:
    """The properties that annotations ask for, in their order.

    Raises:
        ConfigError: the name of one is none, or may not be set; or its value is not in the text format of GVariant.
    """
    found = []
    for key, text in annotations.items():
        name = key.removeprefix(PREFIX)
        if name != key:
            from .variant import parse

            where = f"annotations.{key}"
            if len(name) < 3 or not (name.isascii() and name.isalpha()):
                raise ConfigError("not the name of a property", where=where, hint="see systemd.directives(7)")
            if name in _OURS:
                raise ConfigError("property may not be set", where=where, why="it ties the unit to its container")
            try:
                signature, value = parse(text)
            except ValueError as error:
                hint = "write it as a GVariant: uint64 5, true, 'text', ['a', 'b']"
                raise ConfigError("not a value", where=where, why=f"{text!r}: {error}", hint=hint) from None
            found.append(_in_microseconds(name, signature, value, where))
    return found


def _in_microseconds(name: str, signature: str, value: object, where: str) -> Property:
    """``TimeoutStopSec`` is the name in unit files; on D-Bus it is ``TimeoutStopUSec``, an uint64."""
    stem = name.removesuffix("Sec")
    if stem == name or not stem[-1:].islower():
        return name, (signature, value)
    if signature not in _SECONDS or not isinstance(value, (int, float)) or value < 0:
        raise ConfigError("not a number of seconds", where=where, why=repr(value))
    microseconds = int(value * 1_000_000)
    if microseconds >= 1 << 64:
        raise ConfigError("too many seconds", where=where, why=repr(value))
    return f"{stem}USec", ("t", microseconds)
