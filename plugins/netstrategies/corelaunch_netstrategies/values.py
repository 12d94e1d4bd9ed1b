"""The values of options: text in, canonical form out; ``ValueError`` says in words what is wrong with a text."""

from __future__ import annotations

from .cidr import parse_cidr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: IFNAMSIZ of <linux/if.h> without the terminating NUL.
LONGEST_NAME = 15
#: RFC 791: the smallest MTU that a link may have.
SMALLEST_MTU, LARGEST_MTU = 68, 65535
#: RFC 1035, 3.1.
LONGEST_DOMAIN = 253

#: The last two are directories of net.ipv4.conf (sysctl_dev_name_is_allowed() of include/net/ip.h).
_NO_NAMES = (".", "..", "all", "default")

_DOMAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def listed(parse: Callable[[str], str]) -> Callable[[str], list[str]]:
    """The parser of a list, separated by commas, of what ``parse`` takes; nothing may be there twice."""

    def parse_list(text: str) -> list[str]:
        values = [parse(part.strip()) for part in text.split(",")]
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is there twice")
        return values

    return parse_list


def interface_name(text: str) -> str:
    """A name that the kernel takes for a link: dev_valid_name() of net/core/dev.c."""
    size = len(text.encode(errors="surrogateescape"))
    if not 0 < size <= LONGEST_NAME:
        raise ValueError(f"an interface name has 1 to {LONGEST_NAME} bytes, this one has {size}")
    # "%" would make the kernel number the name by itself.
    bad = not text.isprintable() or any(c.isspace() or c in "/:%" for c in text)
    # The kernel's isspace() sees bytes, and takes 0xA0, the second of "à", for the blank of Latin-1.
    if bad or text in _NO_NAMES or 0xA0 in text.encode():
        raise ValueError(f"{text!r} is not an interface name")
    return text


def new_interface_name(text: str) -> str:
    """The name of an interface that is to be made: any but that of the loopback."""
    if text == "lo":
        raise ValueError("'lo' is the loopback interface that every network namespace has")
    return interface_name(text)


def name_in_container(text: str) -> str:
    """The name of an interface, or a template that ends in ``%d``, for which the kernel puts the first free number."""
    template = text.removesuffix("%d")
    if template == text:
        return new_interface_name(text)
    new_interface_name(f"{template}00")  # as long as the text, which must fit where the name goes
    return text


def interface_address(text: str) -> str:
    """An address with its prefix length, as an interface may have it."""
    _family, host, prefix = parse_cidr(text)
    if host in ("0.0.0.0", "::") or (":" in host and host.startswith("ff")) or _is_ipv4_group(host):
        raise ValueError(f"{host} is not the address of an interface")
    return f"{host}/{prefix}"


def subnet(text: str) -> str:
    """A subnet with room for a bridge and a container: ``10.0.0.0/24``, ``fd00::/64``."""
    import socket

    family, host, prefix = parse_cidr(text)
    bits = 128 if family == socket.AF_INET6 else 32
    if int.from_bytes(socket.inet_pton(family, host), "big") & ((1 << (bits - prefix)) - 1):
        raise ValueError(f"{host} is an address in the subnet, not the subnet's own")
    interface_address(text)
    if not 8 <= prefix <= bits - 2:
        raise ValueError(f"prefix length {prefix} is not between 8 and {bits - 2}")
    return f"{host}/{prefix}"


def published_port(text: str) -> str:
    """``HOST:CONTAINER``, ``HOST:CONTAINER/udp``: a port of the host and one of the container."""
    numbers, _slash, protocol = text.partition("/")
    outer, colon, inner = numbers.partition(":")
    if not colon or not (_is_port(outer) and _is_port(inner)) or (protocol or "tcp") not in ("tcp", "udp"):
        raise ValueError(f"{text!r} is not HOSTPORT:PORT, HOSTPORT:PORT/tcp or HOSTPORT:PORT/udp")
    return f"{int(outer)}:{int(inner)}/{protocol or 'tcp'}"


def published_ports(text: str) -> list[str]:
    """A list of published ports; each of the host's may be there once."""
    ports = listed(published_port)(text)
    outer = [(port.partition(":")[0], port.partition("/")[2]) for port in ports]
    for port in outer:
        if outer.count(port) > 1:
            raise ValueError(f"port {'/'.join(port)} of the host is there twice")
    return ports


def address(text: str) -> str:
    """An address without a prefix length."""
    if "/" in text:
        raise ValueError("it is an address without a prefix length")
    return parse_cidr(f"{text}/0")[1]


def route(text: str) -> str:
    """``DESTINATION via GATEWAY``, or ``DESTINATION`` for a route onto the link."""
    destination, _via, gateway = (part.strip() for part in text.partition(" via "))
    _family, host, prefix = parse_cidr(destination)
    if not _via:
        return f"{host}/{prefix}"
    canonical = address(gateway)
    if (":" in canonical) != (":" in host):
        raise ValueError(f"{host} and {canonical} are of different address families")
    return f"{host}/{prefix} via {canonical}"


def mtu(text: str) -> int:
    """Bytes."""
    if not (text.isascii() and text.isdigit()) or not SMALLEST_MTU <= int(text) <= LARGEST_MTU:
        raise ValueError(f"{text!r} is not between {SMALLEST_MTU} and {LARGEST_MTU}")
    return int(text)


def mac(text: str) -> str:
    """An address that an interface may have: is_valid_ether_addr() of <linux/etherdevice.h>."""
    parts = text.lower().split(":")
    if len(parts) != 6 or not all(len(p) == 2 and all(c in "0123456789abcdef" for c in p) for p in parts):
        raise ValueError(f"{text!r} is not six pairs of hexadecimal digits")
    if int(parts[0], 16) & 1 or not any(int(p, 16) for p in parts):
        raise ValueError(f"{text!r} is a group address or all zeros")
    return ":".join(parts)


def one_of(*words: str) -> Callable[[str], str]:
    """The parser of a word out of these."""

    def parse_word(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not {', '.join(words[:-1])} or {words[-1]}")
        return text

    return parse_word


def yes_or_no(text: str) -> bool:
    """``true`` or ``false``."""
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is not true or false")
    return text == "true"


def accept_ra(text: str) -> str:
    """``net.ipv6.conf.*.accept_ra`` of the kernel's ip-sysctl.rst."""
    if text not in ("0", "1", "2"):
        raise ValueError(f"{text!r} is not 0 (never), 1 (unless it forwards) or 2 (always)")
    return text


def domain(text: str) -> str:
    """A domain or host name of resolv.conf(5) and hosts(5)."""
    if not 0 < len(text) <= LONGEST_DOMAIN or not _DOMAIN.issuperset(text) or text[0] == "-" or ".." in text:
        raise ValueError(f"{text!r} is not a domain name")
    return text


def resolver_option(text: str) -> str:
    """An option of resolv.conf(5), for example ``ndots:2``."""
    if not text or not (_DOMAIN | {":"}).issuperset(text):
        raise ValueError(f"{text!r} is not an option of resolv.conf")
    return text


def host_entry(text: str) -> str:
    """``NAME:ADDRESS`` as a line of hosts(5), ``"ADDRESS NAME"``."""
    name, colon, host = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r} is not NAME:ADDRESS")
    return f"{address(host)} {domain(name)}"


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65536


def _is_ipv4_group(host: str) -> bool:
    # RFC 5771: 224.0.0.0/4; RFC 919: everybody.
    return ":" not in host and (224 <= int(host.partition(".")[0]) < 240 or host == "255.255.255.255")
