"""The options of ``cni``: which network, where its plugins are, and what of them is asked for this container."""

from __future__ import annotations

from corelaunch.api import ConfigError, NetworkPlacement

from . import cni_list, options, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from corelaunch.api import NetworkRequest

#: Option -> the capability (of the specification's CONVENTIONS.md) by which a plugin says that it takes it.
CAPABILITIES = {"address": "ips", "mac": "mac", "publish": "portMappings"}

_ARGUMENT_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


def _directory(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not an absolute path")
    return text


def _argument(text: str) -> str:
    """One ``KEY=VALUE`` of CNI_ARGS, which are separated by semicolons."""
    key, equals, value = text.partition("=")
    if not key or not equals or not _ARGUMENT_NAME.issuperset(key) or ";" in value or not value.isprintable():
        raise ValueError(f"{text!r} is not KEY=VALUE")
    return text


TABLE: options.Table = {
    "network": (str, "", "mynet"),
    "conf": (_directory, "", "/etc/cni/net.d/mynet.conflist"),
    "confdir": (values.listed(_directory), list(cni_list.LIST_DIRECTORIES), "/etc/cni/net.d"),
    "path": (values.listed(_directory), list(cni_list.PLUGIN_DIRECTORIES), "/usr/lib/cni"),
    "args": (values.listed(_argument), [], "K8S_POD_NAME=web"),
    "name": (values.interface_name, "", "eth0"),
    "address": (values.listed(values.interface_address), [], "10.0.0.2/24"),
    "mac": (values.mac, "", "02:00:00:00:00:02"),
    "publish": (values.listed(values.published_port), [], "8080:80/tcp"),
    "accept-ra": (values.accept_ra, "", "0"),
    **options.LOOPBACK,
}


def place(request: NetworkRequest) -> NetworkPlacement:
    """The placement of a request, with the whole network in it: ``destroy`` needs it as it is now.

    Raises:
        ConfigError: an option, or the network, is wrong, or no plugin of it takes what is asked.
    """
    checked = options.check(request, TABLE)
    if bool(checked["network"]) == bool(checked["conf"]):
        why = "it must be told which network" if not checked["conf"] else "conf= is given, too"
        raise options.wrong(request, "network", why, "write network=NAME, or conf=PATH")
    path = checked["conf"] or cni_list.find(checked["network"], checked["confdir"])
    network = cni_list.load(path)
    for option, capability in CAPABILITIES.items():
        if checked[option] and not any(cni_list.has_capability(plugin, capability) for plugin in network["plugins"]):
            why = f"no plugin of the CNI network {network['name']!r} has the capability {capability!r}"
            hint = f'add "capabilities": {{"{capability}": true}} to the one that is to take it, in {network["file"]}'
            raise options.wrong(request, option, why, hint)
    name = checked["name"] or f"eth{request.index}"
    placed = options.files(checked)
    _add_resolver(placed, network)
    return NetworkPlacement(
        container_name=name,
        options={
            "network": network,
            "path": checked["path"],
            "args": ";".join(checked["args"]),
            "runtime": _runtime_configuration(checked),
        },
        addresses=checked["address"],
        sysctl={f"net/ipv6/conf/{name}/accept_ra": checked["accept-ra"]} if checked["accept-ra"] else {},
        **placed,
    )


def runtime_configuration(placement: NetworkPlacement, index: int) -> dict[str, Any] | None:
    """``runtimeConfig`` of the plugin of that number: of what is asked, that of which it says that it takes it."""
    plugin = placement.options["network"]["plugins"][index]
    wanted = placement.options["runtime"]
    taken = {capability: value for capability, value in wanted.items() if cni_list.has_capability(plugin, capability)}
    return taken or None


def _runtime_configuration(checked: Mapping[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if checked["address"]:
        asked["ips"] = checked["address"]
    if checked["mac"]:
        asked["mac"] = checked["mac"]
    if checked["publish"]:
        asked["portMappings"] = [_port_mapping(port) for port in checked["publish"]]
    return asked


def _port_mapping(port: str) -> dict[str, Any]:
    numbers, _slash, protocol = port.partition("/")
    outer, _colon, inner = numbers.partition(":")
    return {"hostPort": int(outer), "containerPort": int(inner), "protocol": protocol}


def _add_resolver(placed: dict[str, Any], network: Mapping[str, Any]) -> None:
    """What the network's plugins say of DNS, where the options say nothing.

    The specification has it in each plugin's configuration (``dns``), from where plugins copy it into their result.

    Raises:
        ConfigError: it is malformed.
    """
    for index, plugin in enumerate(network["plugins"]):
        dns = plugin.get("dns", {})
        where = f"{network['file']}: plugins[{index}].dns"
        if not isinstance(dns, dict):
            raise ConfigError("invalid CNI network", where=where, why="it is not an object")
        domains = [dns["domain"]] if dns.get("domain") and not dns.get("search") else dns.get("search")
        for field, found, parse in (
            ("nameservers", dns.get("nameservers"), values.address),
            ("search", domains, values.domain),
            ("resolver_options", dns.get("options"), values.resolver_option),
        ):
            if found and not placed[field]:
                placed[field] = _parsed(found, parse, f"{where}.{field.replace('resolver_', '')}")


def _parsed(found: Any, parse: Any, where: str) -> Sequence[str]:
    try:
        if not isinstance(found, list) or not all(isinstance(value, str) for value in found):
            raise ValueError("it is not an array of strings")
        return [parse(value) for value in found]
    except ValueError as error:
        raise ConfigError("invalid CNI network", where=where, why=str(error)) from None
