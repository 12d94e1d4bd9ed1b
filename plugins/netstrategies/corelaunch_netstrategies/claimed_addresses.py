"""Which addresses of a bridge are taken: each is an alternative name of the port whose container has it.

The kernel lets such a name be one link's only and takes it away with the link. So it is the whole record: two
containers cannot both have an address, whichever runtimes they come from, and what was killed or has gone holds none.
To ask for one address is one request, however many ports there are. ``ip link`` shows the name:
``altname corelaunch0-10.88.0.2``.
"""

from __future__ import annotations

import errno
import socket

from corelaunch.api import AlreadyExists, KernelError

from .cidr import parse_cidr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .rtnetlink import Link, Netlink

#: How many addresses are tried before a subnet counts as full.
MOST_TRIES = 65536


def claim(netlink: Netlink, port: Link, bridge: str, address: str) -> None:
    """Take an address, with or without prefix length, for the container behind a port.

    Raises:
        AlreadyExists: another container of the bridge has it.
    """
    name = _name(bridge, address)
    try:
        netlink.add_alternative(port, name)
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        holder = netlink.link(alternative=name)
        what = f"{holder.name} ({holder.alias})" if holder is not None and holder.alias else name
        hint = "give each container an address of its own, or let subnet= choose one"
        why = f"another container of bridge {bridge} has it, behind {what}"
        raise AlreadyExists("cannot give address", where=address, why=why, hint=hint) from None


def allocate(netlink: Netlink, port: Link, bridge: str, subnet: str, taken: Sequence[str], seed: str) -> str:
    """Take a free address of a subnet for the container behind a port; with prefix length.

    Args:
        subnet: ``"10.88.0.0/24"``.
        taken: addresses, with prefix lengths, that are not to be had: the bridge's.
        seed: the same seed begins at the same address, so that a container that comes again mostly has its old one.

    Raises:
        AlreadyExists: there is none.
    """
    prefix = subnet.partition("/")[2]
    excluded = {address.partition("/")[0] for address in taken}
    for host in _candidates(subnet, seed):
        if host in excluded:
            continue
        try:
            netlink.add_alternative(port, _name(bridge, host))
            return f"{host}/{prefix}"
        except KernelError as error:
            if error.errno != errno.EEXIST:
                raise
    why = f"the containers of bridge {bridge} have them all"
    raise AlreadyExists("no address is free", where=subnet, why=why, hint="choose a larger subnet=")


def claimed(port: Link, bridge: str, subnet: str) -> list[str]:
    """The addresses, with prefix length, that a port has of a subnet."""
    from .cidr import in_subnet

    hosts = [
        name.removeprefix(f"{bridge}-").replace("_", ":")
        for name in port.alternatives
        if name.startswith(f"{bridge}-") and ("_" in name.removeprefix(f"{bridge}-")) == (":" in subnet)
    ]
    return [f"{host}/{subnet.partition('/')[2]}" for host in hosts if in_subnet(host, subnet)]


def first_host(subnet: str) -> str:
    """The first address of a subnet that a link may have; with prefix length."""
    family, host, prefix = parse_cidr(subnet)
    return f"{_text(family, _number(family, host) + 1)}/{prefix}"


def _candidates(subnet: str, seed: str) -> Iterator[str]:
    from hashlib import blake2s

    family, host, prefix = parse_cidr(subnet)
    bits = 128 if family == socket.AF_INET6 else 32
    # Without the address of the subnet, which is the routers' (RFC 4291, 2.6.1), and in IPv4 its broadcast address.
    usable = (1 << (bits - prefix)) - 2
    start = int.from_bytes(blake2s(seed.encode(), digest_size=16).digest(), "big")
    for number in range(min(usable, MOST_TRIES)):
        yield _text(family, _number(family, host) + 1 + (start + number) % usable)


def _name(bridge: str, address: str) -> str:
    # No ":" in a name: tools take it for an alias of old (eth0:1).
    return f"{bridge}-{address.partition('/')[0]}".replace(":", "_")


def _number(family: int, host: str) -> int:
    return int.from_bytes(socket.inet_pton(family, host), "big")


def _text(family: int, value: int) -> str:
    return socket.inet_ntop(family, value.to_bytes(16 if family == socket.AF_INET6 else 4, "big"))
