"""Messages of rtnetlink(7): the few that an interface needs, from Python values to bytes and back.

Sources: include/uapi/linux/{netlink,rtnetlink,if_link,if_addr,veth}.h. By hand, because the message classes of
pyroute2, which the tests hold these against, take as long to import as the rest of a launch takes (see the README).
"""

from __future__ import annotations

import struct

from corelaunch.api import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    #: Attributes as they are written: (number, value). A str gets its NUL, an int has 32 bits, a list is nested.
    Attributes = Sequence[tuple[int, "bytes | str | int | Attributes"]]

# Attributes of a link; IFLA_INFO_* are inside IFLA_LINKINFO.
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO = 1, 3, 4, 10, 18
IFLA_IFALIAS, IFLA_STATS64, IFLA_NET_NS_FD = 20, 23, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
VETH_INFO_PEER = 1
IFLA_BRPORT_ISOLATED = 33
# Of an address, of a route.
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5

IFF_UP = 0x1
IFA_F_NODAD = 0x02
RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST = 254, 4, 1
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253

#: Bits of an attribute's number that are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
_NUMBER = 0x3FFF

_NUMBER_32 = struct.Struct("=I")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
#: The first eight of struct rtnl_link_stats64.
_COUNTERS = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped")
_STATS = struct.Struct(f"={len(_COUNTERS)}Q")


class Link(Record):
    """A network interface as the kernel describes it. ``mac`` and ``alias`` are "" when there is none."""

    index: int
    name: str
    kind: str
    mac: str
    alias: str
    up: bool
    #: Number of the interface that it is a port of, 0 if it is none's.
    master: int
    #: rx_packets, rx_bytes, tx_errors, … as seen from this side.
    counters: Mapping[str, int]


def encode(attributes: Attributes) -> bytes:
    """Attributes, each aligned to four bytes."""
    parts: list[bytes] = []
    for number, value in attributes:
        if isinstance(value, int):
            payload = _NUMBER_32.pack(value)
        elif isinstance(value, str):
            payload = value.encode() + b"\0"
        elif isinstance(value, bytes):
            payload = value
        else:
            payload = encode(value)
        parts += (_ATTRIBUTE.pack(_ATTRIBUTE.size + len(payload), number), payload, bytes(-len(payload) % 4))
    return b"".join(parts)


def decode(data: bytes) -> dict[int, bytes]:
    """Number -> payload of each attribute; what is cut off is left out."""
    found = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, number = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[number & _NUMBER] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def link(attributes: Attributes, *, index: int = 0, up: bool = False) -> bytes:
    """The body of a message about a link; ``up`` asks for IFF_UP and leaves all other flags alone.

    It is the value of VETH_INFO_PEER, too: a message about one end holds one about the other.
    """
    flags = IFF_UP if up else 0
    return _LINK.pack(0, 0, index, flags, flags) + encode(attributes)


def address(family: int, packed: bytes, prefix: int, index: int, flags: int = 0) -> bytes:
    """The body of a message about an address."""
    local = encode([(IFA_LOCAL, packed), (IFA_ADDRESS, packed), (IFA_FLAGS, flags)])
    return _ADDRESS.pack(family, prefix, 0, 0, index) + local


def addresses_of(index: int) -> bytes:
    """The body of the question for the addresses of a link."""
    return _ADDRESS.pack(0, 0, 0, 0, index)


def route(family: int, destination: bytes, prefix: int, gateway: bytes, index: int, *, on_link: bool) -> bytes:
    """The body of a message about a route of the main table; ``gateway`` is b"" for one straight onto the link."""
    scope = RT_SCOPE_LINK if on_link else RT_SCOPE_UNIVERSE
    attributes: list[tuple[int, bytes | int]] = [(RTA_OIF, index)]
    if prefix:
        attributes.append((RTA_DST, destination))
    if gateway:
        attributes.append((RTA_GATEWAY, gateway))
    head = _ROUTE.pack(family, prefix, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST, 0)
    return head + encode(attributes)


def read_link(body: bytes) -> Link:
    """The link that a body describes."""
    _family, _type, index, flags, _change = _LINK.unpack_from(body)
    found = decode(body[_LINK.size :])
    information = decode(found.get(IFLA_LINKINFO, b""))
    stats = found.get(IFLA_STATS64, b"").ljust(_STATS.size, b"\0")
    return Link(
        index=index,
        name=_text(found.get(IFLA_IFNAME, b"")),
        kind=_text(information.get(IFLA_INFO_KIND, b"")),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        alias=_text(found.get(IFLA_IFALIAS, b"")),
        up=bool(flags & IFF_UP),
        master=_NUMBER_32.unpack(found.get(IFLA_MASTER, bytes(4)))[0],
        counters=dict(zip(_COUNTERS, _STATS.unpack_from(stats), strict=True)),
    )


def read_address(body: bytes) -> tuple[int, int, bytes, int]:
    """``(number of the link, address family, address, prefix length)`` of a body."""
    family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(body)
    found = decode(body[_ADDRESS.size :])
    return index, family, found.get(IFA_LOCAL) or found.get(IFA_ADDRESS, b""), prefix


def mac_bytes(text: str) -> bytes:
    """The value of IFLA_ADDRESS."""
    return bytes.fromhex(text.replace(":", ""))


def datagram(data: bytes, header: struct.Struct) -> Iterator[tuple[int, int, int, bytes]]:
    """``(type, flags, sequence, body)`` of each message in a datagram."""
    offset = 0
    while offset + header.size <= len(data):
        length, kind, flags, sequence, _port = header.unpack_from(data, offset)
        if length < header.size:
            return
        yield kind, flags, sequence, data[offset + header.size : offset + length]
        offset += (length + 3) & ~3


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode(errors="replace")
