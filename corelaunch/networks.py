"""How networks are asked for: ``--network TYPE:key=value,…``, ``networks=[…]`` and the annotation; all mean the same.

config.json has no place for them (OCI runtime-spec, config-linux.md knows namespaces and netDevices only). Each form
ends as a :class:`corelaunch.api.NetworkRequest`; what the options mean is the strategy's business.
"""

from __future__ import annotations

from .api import NetworkRequest
from .errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from .api import NetworkPlacement

#: The annotation that asks for networks: a JSON array of what ``networks=[…]`` takes.
ANNOTATION = "org.corelaunch.networks"


def parse_network(text: str) -> dict[str, Any]:
    """``{"type": …, "options": {…}}`` of the command line's form, ``TYPE[:key=value,…]``.

    A key that is repeated has all its values, joined by commas. The first ``:`` ends the type and the first ``=`` the
    key, so values may hold both (IPv6 addresses, MAC addresses).

    Raises:
        ConfigError: no type, a part without ``=``, or an empty key or value.
    """
    kind, colon, rest = text.partition(":")
    options: dict[str, str] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = part.partition("=")
        if not key or not equals or not value:
            why = f"{part!r} is not key=value"
            raise ConfigError("invalid network", where=repr(text), why=why, hint="write TYPE:key=value,key=value")
        options[key] = f"{options[key]},{value}" if key in options else value
    if not kind:
        raise ConfigError("invalid network", where=repr(text), why="no type", hint="write TYPE or TYPE:key=value,…")
    return {"type": kind, "options": options}


def from_annotation(json_text: str) -> list[dict[str, Any]]:
    """The networks of the annotation ``org.corelaunch.networks``, each as ``{"type": …, "options": {…}}``.

    Raises:
        ConfigError: it is not JSON, not an array, or an item of it is malformed.
    """
    from .jsontext import loads

    where = f"annotations[{ANNOTATION!r}]"
    try:
        items = loads(json_text)
    except ValueError as error:
        raise ConfigError("invalid annotation", where=where, why=str(error)) from None
    if not isinstance(items, list):
        raise ConfigError("invalid annotation", where=where, why="it is not an array")
    return [_normal(item, f"{where}[{index}]") for index, item in enumerate(items)]


def permitted(json_text: str, types: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """What of the annotation may be had: its networks of these types, and a warning for each other one.

    Raises:
        ConfigError: the annotation is malformed.
    """
    found = from_annotation(json_text)
    refused = sorted({network["type"] for network in found} - {*types})
    warnings = [f"annotation {ANNOTATION}: network type {kind!r} is not permitted to it" for kind in refused]
    return [network for network in found if network["type"] in types], warnings


def requests(container_id: str, items: Iterable[Mapping[str, Any] | str]) -> list[NetworkRequest]:
    """One request per item, numbered from 0; items are ``"TYPE:key=value"`` or ``{"type": …, "options": {…}}``.

    Raises:
        ConfigError: an item is malformed, or two ask for the same interface name.
    """
    found = []
    names: dict[str, int] = {}
    for index, item in enumerate(items):
        where = f"networks[{index}]"
        network = _normal(item, where)
        name = network["options"].get("name", "")
        if name and names.setdefault(name, index) != index:
            raise _same_name("interface", name, names[name], index)
        found.append(NetworkRequest(container_id, index, network["type"], network["options"]))
    return found


def device_requests(
    container_id: str, strategy: str, devices: Mapping[str, Any], first: int
) -> list[NetworkRequest]:
    """A request to a strategy for each of ``linux.netDevices``, numbered from ``first``.

    They keep their addresses, and do not come back by us: "The runtime MUST NOT attempt to move the interface out of
    the namespace before deletion" (config-linux.md).
    """
    from .spec.net_devices import name_inside

    options = {"keep-addresses": "true", "restore": "false"}
    return [
        NetworkRequest(container_id, index, strategy, {"device": device, "name": name_inside(device, entry), **options})
        for index, (device, entry) in enumerate(devices.items(), first)
    ]


def check_together(placements: Sequence[NetworkPlacement]) -> None:
    """Refuse placements of one container that use a name twice, inside or on the host, or an address.

    ``requests`` sees only names that were asked for; this sees those that the strategies chose, too.
    """
    for what, of in (("interface", "container_name"), ("host interface", "host_name")):
        names: dict[str, int] = {}
        for index, placement in enumerate(placements):
            name = getattr(placement, of)
            # A template ("eth%d") is a name that the kernel makes different.
            if name and "%" not in name and names.setdefault(name, index) != index:
                raise _same_name(what, name, names[name], index)
    addresses: dict[str, int] = {}
    for index, placement in enumerate(placements):
        for address in placement.addresses:
            host = address.partition("/")[0]
            if addresses.setdefault(host, index) != index:
                why = f"networks[{addresses[host]}] has the same address {host}"
                hint = "an address belongs to one interface"
                raise ConfigError("invalid network", where=f"networks[{index}]", why=why, hint=hint)


def _same_name(what: str, name: str, first: int, second: int) -> ConfigError:
    why = f"networks[{first}] has the same {what} name {name!r}"
    return ConfigError("invalid network", where=f"networks[{second}]", why=why, hint="give one of them another name=")


def _normal(item: Mapping[str, Any] | str, where: str) -> dict[str, Any]:
    """An item in any of its forms as ``{"type": str, "options": {str: str}}``."""
    if isinstance(item, str):
        return parse_network(item)
    if not hasattr(item, "keys") or not isinstance(item.get("type"), str) or not item["type"]:
        why = "it is neither a string nor an object with a type"
        raise ConfigError("invalid network", where=where, why=why, hint='{"type": "TYPE", "options": {…}}')
    unknown = [str(key) for key in item if key not in ("type", "options")]
    if unknown:
        why = "unknown property"
        hint = f'options belong into "options": {{"{unknown[0]}": …}}'
        raise ConfigError("invalid network", where=f"{where}.{unknown[0]}", why=why, hint=hint)
    options = item.get("options", {})
    if not hasattr(options, "keys"):
        raise ConfigError("invalid network", where=f"{where}.options", why="it is not an object")
    texts = {}
    for key, value in options.items():
        if not isinstance(key, str):
            raise ConfigError("invalid network", where=f"{where}.options", why=f"the key {key!r} is not a string")
        texts[key] = _option_text(value, f"{where}.options.{key}")
    return {"type": item["type"], "options": texts}


def _option_text(value: Any, where: str) -> str:
    """An option's value as strategies get it: a list is its items, joined by commas."""
    values = value if isinstance(value, (list, tuple)) else [value]
    texts = [str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in values]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        why = "it is not a string, a whole number, or a list of those"
        raise ConfigError("invalid network", where=where, why=why)
    return ",".join(texts)
