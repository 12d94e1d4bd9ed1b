"""The options of a link: which there are, what they may hold, and the form in which a placement carries them."""

from __future__ import annotations

from corelaunch.api import ConfigError

from .rtnetlink import parse_cidr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corelaunch.api import NetworkRequest

#: IFNAMSIZ of <linux/if.h> without the terminating NUL.
LONGEST_NAME = 15
#: RFC 791 and RFC 8200: the smallest MTU that a link may have and still carry IPv4, IPv6.
SMALLEST_MTU, SMALLEST_IPV6_MTU, LARGEST_MTU = 68, 1280, 65535


def check(request: NetworkRequest) -> dict[str, Any]:
    """Every option of a veth in its canonical form; JSON values only, "" / 0 / [] for what was not asked.

    Raises:
        ConfigError: an option is unknown or malformed; ``where`` is ``networks[INDEX].OPTION``.
    """
    unknown = [option for option in request.options if option not in _OPTIONS]
    if unknown:
        raise _wrong(request, unknown[0], "unknown option", _hint_for(unknown[0]))
    checked = {}
    for option, (parse, default) in _OPTIONS.items():
        text = request.options.get(option)
        try:
            checked[option] = default if text is None else parse(text)
        except ValueError as error:
            raise _wrong(request, option, str(error), f"for example {option}={_EXAMPLES[option]}") from None
    _check_together(request, checked)
    return checked


def _check_together(request: NetworkRequest, checked: dict[str, Any]) -> None:
    ipv6 = [a for a in (*checked["address"], *checked["host-address"]) if ":" in a]
    if ipv6 and 0 < checked["mtu"] < SMALLEST_IPV6_MTU:
        raise _wrong(request, "mtu", f"{ipv6[0]} needs an MTU of at least {SMALLEST_IPV6_MTU}")
    for family in ("IPv4", "IPv6"):
        gateways = [g for g in checked["gateway"] if (":" in g) == (family == "IPv6")]
        if len(gateways) > 1:
            raise _wrong(request, "gateway", f"more than one {family} gateway: {', '.join(gateways)}")


def _wrong(request: NetworkRequest, option: str, why: str, hint: str = "") -> ConfigError:
    return ConfigError("invalid network", where=f"networks[{request.index}].{option}", why=why, hint=hint)


def _hint_for(option: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(option, _OPTIONS, n=1)
    return f"did you mean {near[0]!r}?" if near else f"veth knows {', '.join(_OPTIONS)}"


def _name(text: str) -> str:
    # dev_valid_name() of net/core/dev.c; "%" would make the kernel number the name by itself.
    if not 0 < len(text.encode()) <= LONGEST_NAME:
        raise ValueError(f"an interface name has 1 to {LONGEST_NAME} bytes")
    if text in (".", "..") or not text.isprintable() or any(c.isspace() or c in "/:%" for c in text):
        raise ValueError(f"{text!r} is not an interface name")
    return text


def _inside_name(text: str) -> str:
    if text == "lo":
        raise ValueError("'lo' is the loopback interface that every network namespace has")
    return _name(text)


def _list(parse: Callable[[str], str]) -> Callable[[str], list[str]]:
    def parse_list(text: str) -> list[str]:
        values = [parse(part.strip()) for part in text.split(",")]
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is there twice")
        return values

    return parse_list


def _interface_address(text: str) -> str:
    _family, host, prefix = parse_cidr(text)
    if host in ("0.0.0.0", "::"):
        raise ValueError(f"{host} is not the address of an interface")
    return f"{host}/{prefix}"


def _gateway(text: str) -> str:
    if "/" in text:
        raise ValueError("a gateway is an address without a prefix length")
    return parse_cidr(f"{text}/0")[1]


def _route(text: str) -> str:
    destination, _via, gateway = (part.strip() for part in text.partition(" via "))
    _family, host, prefix = parse_cidr(destination)
    if not _via:
        return f"{host}/{prefix}"
    canonical = _gateway(gateway)
    if (":" in canonical) != (":" in host):
        raise ValueError(f"{host} and {canonical} are of different address families")
    return f"{host}/{prefix} via {canonical}"


def _mtu(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not SMALLEST_MTU <= int(text) <= LARGEST_MTU:
        raise ValueError(f"{text!r} is not between {SMALLEST_MTU} and {LARGEST_MTU}")
    return int(text)


def _mac(text: str) -> str:
    parts = text.lower().split(":")
    if len(parts) != 6 or not all(len(p) == 2 and all(c in "0123456789abcdef" for c in p) for p in parts):
        raise ValueError(f"{text!r} is not six pairs of hexadecimal digits")
    # is_valid_ether_addr() of <linux/etherdevice.h>
    if int(parts[0], 16) & 1 or not any(int(p, 16) for p in parts):
        raise ValueError(f"{text!r} is a group address or all zeros")
    return ":".join(parts)


_OPTIONS: dict[str, tuple[Callable[[str], Any], Any]] = {
    "name": (_inside_name, ""),
    "host-name": (_name, ""),
    "address": (_list(_interface_address), []),
    "gateway": (_list(_gateway), []),
    "route": (_list(_route), []),
    "mtu": (_mtu, 0),
    "mac": (_mac, ""),
    "host-address": (_list(_interface_address), []),
}

_EXAMPLES = {
    "name": "eth0",
    "host-name": "web0",
    "address": "10.0.0.2/24",
    "gateway": "10.0.0.1",
    "route": "'10.1.0.0/16 via 10.0.0.1'",
    "mtu": "1500",
    "mac": "02:00:00:00:00:02",
    "host-address": "10.0.0.1/24",
}
