"""A small rtnetlink client of its own for the network contract: it must not see the world through a strategy's eyes.

Sources: netlink(7), rtnetlink(7), include/uapi/linux/if_link.h, include/uapi/linux/veth.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Self

from corelaunch.records import Record

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
REQUEST, ACK, REPLACE, EXCLUSIVE, CREATE, DUMP = 0x1, 0x4, 0x100, 0x200, 0x400, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_IFALIAS = 1, 3, 4, 10, 18, 20
IFLA_OPERSTATE, IFLA_STATS64, IFLA_NET_NS_FD = 16, 23, 28
IF_OPER_UP = b"\6"
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
IFF_UP, IFA_F_NODAD, IFA_F_TENTATIVE = 0x1, 0x02, 0x40

#: struct rtnl_link_stats64 begins with these, in this order.
COUNTERS = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped")

_HEADER = struct.Struct("=IHHII")
LINK = struct.Struct("=BxHiII")
ADDRESS = struct.Struct("=BBBBI")
ROUTE = struct.Struct("=BBBBBBBBI")


class SeenLink(Record):
    """A link as the kernel lists it."""

    index: int
    name: str
    mac: str
    mtu: int
    up: bool
    #: Its packets pass: after "up", and after the other end is up too, the kernel needs a moment for that.
    operational: bool
    alias: str
    #: Number of the bridge that it is a port of, 0 if it is none's.
    master: int
    counters: Mapping[str, int]


class SeenAddress(Record):
    """An address of a link; ``usable`` is False while IPv6 looks for a duplicate of it."""

    cidr: str
    usable: bool


def attribute(kind: int, value: bytes | str | int) -> bytes:
    """One netlink attribute; a str gets its NUL, an int is 32 bits wide."""
    if isinstance(value, int):
        value = struct.pack("=I", value)
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


class Rtnetlink:
    """A NETLINK_ROUTE socket in the calling thread's network namespace, or on a copy of ``fd``."""

    def __init__(self, fd: int = -1) -> None:
        if fd >= 0:
            self._socket = socket.socket(fileno=os.dup(fd))
        else:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)
        self._sequence = int.from_bytes(os.urandom(3), "little")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def request(self, kind: int, body: bytes, flags: int = 0) -> list[bytes]:
        """Send a message, return the bodies of the answers. OSError with the kernel's errno."""
        self._sequence += 1
        flags |= REQUEST | (0 if flags & DUMP == DUMP else ACK)
        self._socket.sendto(_HEADER.pack(16 + len(body), kind, flags, self._sequence, 0) + body, (0, 0))
        answers: list[bytes] = []
        while True:
            for answer_kind, sequence, answer in messages(self._socket.recv(1 << 18)):
                if sequence != self._sequence:
                    continue
                if answer_kind == NLMSG_DONE:
                    return answers
                if answer_kind == NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", answer)
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    return answers
                answers.append(answer)

    def links(self) -> dict[str, SeenLink]:
        """Every link by its name."""
        found = {}
        for answer in self.request(RTM_GETLINK, LINK.pack(0, 0, 0, 0, 0), DUMP):
            _family, _type, index, flags, _change = LINK.unpack_from(answer)
            values = attributes(answer[LINK.size :])
            name = _text(values[IFLA_IFNAME])
            counters = struct.unpack_from("=8Q", values[IFLA_STATS64])
            found[name] = SeenLink(
                index=index,
                name=name,
                mac=values.get(IFLA_ADDRESS, b"").hex(":"),
                mtu=struct.unpack("=I", values[IFLA_MTU])[0],
                up=bool(flags & IFF_UP),
                operational=values.get(IFLA_OPERSTATE) == IF_OPER_UP,
                alias=_text(values.get(IFLA_IFALIAS, b"")),
                master=struct.unpack("=I", values.get(IFLA_MASTER, bytes(4)))[0],
                counters=dict(zip(COUNTERS, counters, strict=True)),
            )
        return found

    def addresses(self, index: int) -> list[SeenAddress]:
        """Addresses of one link, except IPv6 link-local ones, which the kernel adds by itself."""
        found = []
        for answer in self.request(RTM_GETADDR, ADDRESS.pack(0, 0, 0, 0, 0), DUMP):
            family, prefix, flags, _scope, of = ADDRESS.unpack_from(answer)
            values = attributes(answer[ADDRESS.size :])
            host = socket.inet_ntop(family, values.get(IFA_LOCAL, values[IFA_ADDRESS]))
            if of == index and not host.startswith("fe80:"):
                (all_flags,) = struct.unpack("=I", values.get(IFA_FLAGS, struct.pack("=I", flags)))
                found.append(SeenAddress(f"{host}/{prefix}", not all_flags & IFA_F_TENTATIVE))
        return found

    def routes(self, index: int) -> set[str]:
        """Routes of the main table over one link, as ``"10.0.0.0/8"`` or ``"0.0.0.0/0 via 10.0.0.1"``."""
        found = set()
        for answer in self.request(RTM_GETROUTE, ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0), DUMP):
            family, prefix, _source, _tos, table, *_rest = ROUTE.unpack_from(answer)
            values = attributes(answer[ROUTE.size :])
            if table != 254 or values.get(RTA_OIF) != struct.pack("=I", index):
                continue
            everything = bytes(16 if family == socket.AF_INET6 else 4)
            route = f"{socket.inet_ntop(family, values.get(RTA_DST, everything))}/{prefix}"
            gateway = values.get(RTA_GATEWAY)
            found.add(f"{route} via {socket.inet_ntop(family, gateway)}" if gateway else route)
        return found

    def add_route(self, index: int, route: str, flags: int = CREATE | EXCLUSIVE) -> None:
        """Add a route over a link, ``"DESTINATION via GATEWAY"``."""
        destination, _via, gateway = route.partition(" via ")
        host, _slash, prefix = destination.partition("/")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        body = ROUTE.pack(family, int(prefix), 0, 0, 254, 4, 0, 1, 0)
        body += attribute(RTA_DST, socket.inet_pton(family, host))
        body += attribute(RTA_GATEWAY, socket.inet_pton(family, gateway))
        self.request(RTM_NEWROUTE, body + attribute(RTA_OIF, struct.pack("=I", index)), flags)

    def make_veth(self, name: str, peer: bytes = b"", attributes: bytes = b"", index: int = 0) -> None:
        """Make a veth pair, exclusively; ``peer`` holds the attributes of the other end, ``index`` is a wish."""
        pair = attribute(VETH_INFO_PEER, LINK.pack(0, 0, 0, 0, 0) + peer)
        information = attribute(IFLA_INFO_KIND, b"veth") + attribute(IFLA_INFO_DATA, pair)
        body = LINK.pack(0, 0, index, 0, 0) + attribute(IFLA_IFNAME, name) + attributes
        self.request(RTM_NEWLINK, body + attribute(IFLA_LINKINFO, information), CREATE | EXCLUSIVE)

    def make_bridge(self, name: str, attributes: bytes = b"") -> None:
        """Make a bridge, exclusively."""
        body = LINK.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name) + attributes
        information = attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"bridge"))
        self.request(RTM_NEWLINK, body + information, CREATE | EXCLUSIVE)

    def add_address(self, index: int, cidr: str, flags: int = IFA_F_NODAD) -> None:
        """Give a link an address; by default one that is not looked for elsewhere first."""
        host, _slash, prefix = cidr.partition("/")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        packed = socket.inet_pton(family, host)
        body = ADDRESS.pack(family, int(prefix), 0, 0, index)
        body += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
        if family == socket.AF_INET6:
            body += attribute(IFA_FLAGS, flags)
        self.request(RTM_NEWADDR, body, CREATE | EXCLUSIVE)

    def is_bridge(self, index: int) -> bool:
        """Whether a link is a bridge."""
        return self.kind(index) == "bridge"

    def kind(self, index: int) -> str:
        """The kernel's word for the type of a link, "" for one without (a device of hardware, the loopback)."""
        (answer,) = self.request(RTM_GETLINK, LINK.pack(0, 0, index, 0, 0))
        information = attributes(attributes(answer[LINK.size :]).get(IFLA_LINKINFO, b""))
        return _text(information.get(IFLA_INFO_KIND, b""))

    def set_link(self, index: int, *, up: bool | None = None, attributes: bytes = b"") -> None:
        """Change a link; ``up`` brings it up or down."""
        flags, change = (IFF_UP if up else 0), (0 if up is None else IFF_UP)
        self.request(RTM_NEWLINK, LINK.pack(0, 0, index, flags, change) + attributes)

    def delete_link(self, index: int) -> None:
        """Delete a link."""
        self.request(RTM_DELLINK, LINK.pack(0, 0, index, 0, 0))


def messages(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    """``(type, sequence, body)`` of each message of a datagram."""
    offset = 0
    while offset < len(datagram):
        length, kind, _flags, sequence, _port = _HEADER.unpack_from(datagram, offset)
        yield kind, sequence, datagram[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by their number."""
    found = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()
