"""The options of each strategy: which there are, what they may hold, and what of them a placement carries."""

from __future__ import annotations

from corelaunch.api import ConfigError, NetworkPlacement

from . import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from corelaunch.api import NetworkRequest

    #: Option -> (parser, value if it is not given, example).
    Table = Mapping[str, tuple[Callable[[str], Any], Any, str]]

#: RFC 8200: the smallest MTU of a link that carries IPv6.
SMALLEST_IPV6_MTU = 1280
#: The kernel takes aliases of up to 255 bytes (IFALIASZ of <linux/if.h>); ids have no such limit.
LONGEST_ID_IN_ALIAS = 200

#: What core does with files of the container.
LOOPBACK: Table = {
    "dns": (values.listed(values.address), [], "10.0.0.1"),
    "search": (values.listed(values.domain), [], "example.org"),
    "dns-option": (values.listed(values.resolver_option), [], "ndots:2"),
    "add-host": (values.listed(values.host_entry), [], "db:10.0.0.3"),
}

#: What every interface that is made in a container has.
_INSIDE: Table = {
    "name": (values.new_interface_name, "", "eth0"),
    "address": (values.listed(values.interface_address), [], "10.0.0.2/24"),
    "gateway": (values.listed(values.address), [], "10.0.0.1"),
    "route": (values.listed(values.route), [], "'10.1.0.0/16 via 10.0.0.1'"),
    "mtu": (values.mtu, 0, "1500"),
    "accept-ra": (values.accept_ra, "", "0"),
    **LOOPBACK,
}
_MAC: Table = {"mac": (values.mac, "", "02:00:00:00:00:02")}

#: What every pair has.
_PAIR: Table = {**_INSIDE, **_MAC, "host-name": (values.new_interface_name, "", "web0")}

MACVLAN: Table = {
    **_INSIDE,
    **_MAC,
    "parent": (values.interface_name, "", "eth0"),
    "mode": (values.one_of("bridge", "private", "vepa", "passthru"), "bridge", "private"),
}

IPVLAN: Table = {
    **_INSIDE,
    "parent": (values.interface_name, "", "eth0"),
    "mode": (values.one_of("l2", "l3", "l3s"), "l2", "l3"),
}

VETH: Table = {**_PAIR, "host-address": (values.listed(values.interface_address), [], "10.0.0.1/24")}

BRIDGE: Table = {
    **_PAIR,
    "bridge": (values.new_interface_name, "corelaunch0", "corelaunch0"),
    "bridge-address": (values.listed(values.interface_address), [], "10.0.0.1/24"),
    "subnet": (values.listed(values.subnet), [], "10.0.0.0/24"),
    "isolated": (values.yes_or_no, False, "true"),
    "nat": (values.yes_or_no, False, "true"),
    "publish": (values.published_ports, [], "8080:80/tcp"),
}

HOST_DEVICE: Table = {
    **{**_INSIDE, "name": (values.name_in_container, "", "eth0")},
    "device": (values.interface_name, "", "eth1"),
    "restore": (values.yes_or_no, True, "false"),
    "keep-addresses": (values.yes_or_no, False, "true"),
}

#: Options that go into fields of the placement of their own, where core finds them.
_IN_FIELDS = ("accept-ra", *LOOPBACK)


def place_loopback(request: NetworkRequest) -> NetworkPlacement:
    """The placement of a request for the loopback interface, which every network namespace has.

    Raises:
        ConfigError: as :func:`place_child`.
    """
    return NetworkPlacement(container_name="lo", **files(check(request, LOOPBACK)))


def place_pair(request: NetworkRequest, table: Table) -> NetworkPlacement:
    """The placement of a request for a pair, with its end on the host.

    Raises:
        ConfigError: as :func:`place_child`.
    """
    checked = check(request, table)
    placement = _place(request, checked)
    return placement.replace(  # type: ignore[no-any-return]
        host_name=checked["host-name"] or _generated_name(request), shared_name=checked.get("bridge", "")
    )


def place_child(request: NetworkRequest, table: Table) -> NetworkPlacement:
    """The placement of a request for an interface that hangs on one of the host's, its parent.

    All options are in their canonical form; "" / 0 / [] for what was not asked.

    Raises:
        ConfigError: an option is unknown or malformed; ``where`` is ``networks[INDEX].OPTION``.
    """
    checked = check(request, table)
    if not checked["parent"]:
        raise wrong(request, "parent", "it is missing", "name an interface of the host, for example parent=eth0")
    if checked["mode"] == "passthru" and checked["mac"]:
        why = "in mode passthru the interface has its parent's MAC address, and would change it"
        raise wrong(request, "mac", why, "leave it out, or choose another mode=")
    return _place(request, checked)


def place_host_device(request: NetworkRequest) -> NetworkPlacement:
    """The placement of a request for a device of the host's; its name inside is the one that it has, unless given.

    Raises:
        ConfigError: as :func:`place_child`.
    """
    checked = check(request, HOST_DEVICE)
    if checked["device"] in ("", "lo"):
        why = "every network namespace has a loopback of its own" if checked["device"] else "it is missing"
        raise wrong(request, "device", why, "name an interface of the host, for example device=eth1")
    checked["name"] = checked["name"] or checked["device"]
    if "%d" in checked["name"] and checked["accept-ra"]:
        raise wrong(request, "accept-ra", "the kernel is to choose the name", "give a name without %d")
    checked["pin"] = _generated_name(request)
    return _place(request, checked)


def _place(request: NetworkRequest, checked: dict[str, Any]) -> NetworkPlacement:
    _check_together(request, checked)
    name = checked["name"] or f"eth{request.index}"
    checked["alias"] = f"corelaunch:{request.container_id[:LONGEST_ID_IN_ALIAS]}:{request.index}"
    return NetworkPlacement(
        container_name=name,
        options={option: value for option, value in checked.items() if option not in _IN_FIELDS},
        addresses=checked["address"],
        sysctl={f"net/ipv6/conf/{name}/accept_ra": checked["accept-ra"]} if checked["accept-ra"] else {},
        **files(checked),
    )


def files(checked: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a placement of which core makes files, from options of ``LOOPBACK``."""
    return {
        "nameservers": checked["dns"],
        "search": checked["search"],
        "resolver_options": checked["dns-option"],
        "hosts": checked["add-host"],
    }


def check(request: NetworkRequest, table: Table) -> dict[str, Any]:
    """Every option of a table with its value, parsed, or its default.

    Raises:
        ConfigError: as :func:`place_pair`.
    """
    for option in request.options:
        if option not in table:
            raise wrong(request, option, "unknown option", _hint_for(request, option, table))
    checked = {}
    for option, (parse, default, example) in table.items():
        text = request.options.get(option)
        try:
            checked[option] = default if text is None else parse(text)
        except ValueError as error:
            raise wrong(request, option, str(error), f"for example {option}={example}") from None
    return checked


def _check_together(request: NetworkRequest, checked: dict[str, Any]) -> None:
    outside = [a for option in ("host-address", "bridge-address", "subnet") for a in checked.get(option, ())]
    ipv6 = [a for a in (*checked["address"], *outside) if ":" in a]
    if ipv6 and 0 < checked["mtu"] < SMALLEST_IPV6_MTU:
        raise wrong(request, "mtu", f"{ipv6[0]} needs an MTU of at least {SMALLEST_IPV6_MTU}")
    for family in ("IPv4", "IPv6"):
        gateways = [g for g in checked["gateway"] if (":" in g) == (family == "IPv6")]
        if len(gateways) > 1:
            raise wrong(request, "gateway", f"more than one {family} gateway: {', '.join(gateways)}")
    if "bridge" in checked:
        from .bridge_options import complete

        complete(checked, lambda option, why, hint: wrong(request, option, why, hint))


def wrong(request: NetworkRequest, option: str, why: str, hint: str = "") -> ConfigError:
    """The error about an option of a request."""
    return ConfigError("invalid network", where=f"networks[{request.index}].{option}", why=why, hint=hint)


def _hint_for(request: NetworkRequest, option: str, table: Table) -> str:
    from difflib import get_close_matches

    near = get_close_matches(option, table, n=1)
    return f"did you mean {near[0]!r}?" if near else f"{request.type} knows {', '.join(table)}"


def _generated_name(request: NetworkRequest) -> str:
    """15 characters, the same for the same container and index, and hardly ever the same for two (52 bits)."""
    from hashlib import blake2s

    identity = f"{request.container_id}\0{request.index}".encode()
    return "cl" + blake2s(identity).hexdigest()[: values.LONGEST_NAME - 2]
