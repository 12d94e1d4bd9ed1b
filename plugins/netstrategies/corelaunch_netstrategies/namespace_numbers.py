"""Numbers that a network namespace has for others (``ip netns list-id``): how the host looks into a container.

A request with such a number is answered from that namespace without anybody entering it. The kernel forgets a number
with its namespace. Source: rtnetlink(7) has none; include/uapi/linux/net_namespace.h, net/core/net_namespace.c.
"""

from __future__ import annotations

import errno
import struct

from corelaunch.api import KernelError

from .netlink_socket import HEADER, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkSocket, attributes

RTM_NEWNSID, RTM_GETNSID = 88, 90
NETNSA_NSID, NETNSA_FD = 1, 3

#: struct rtgenmsg, padded, and an attribute of 32 bits.
_BODY = struct.Struct("=B3x")
_ATTRIBUTE = struct.Struct("=HHi")


def number_of(netlink: NetlinkSocket, fd: int, wanted: int) -> int:
    """The number of the namespace of a descriptor; ``wanted`` if it has none yet and that one is free."""
    for number in (wanted, -1):  # -1: any
        try:
            _ask(netlink, RTM_NEWNSID, NLM_F_ACK, _attribute(NETNSA_NSID, number) + _attribute(NETNSA_FD, fd))
        except KernelError as error:
            # ENOSPC: the number belongs to another namespace. EEXIST: that, too, or this one has a number already.
            if error.errno not in (errno.EEXIST, errno.ENOSPC):
                raise
        found = _number(_ask(netlink, RTM_GETNSID, NLM_F_ACK, _attribute(NETNSA_FD, fd))[-1])
        if found >= 0:
            return found
    raise KernelError("cannot number network namespace", errno=errno.ENOSPC)


def all_numbers(netlink: NetlinkSocket) -> list[int]:
    """The numbers of all namespaces that have one."""
    return [_number(answer) for answer in _ask(netlink, RTM_GETNSID, NLM_F_DUMP, b"")]


def number_for(name: str) -> int:
    """The number that a container's namespace is given if it can be had: 31 bits, from its id."""
    from hashlib import blake2s

    return int.from_bytes(blake2s(name.encode(), digest_size=4).digest(), "big") >> 1


def _ask(netlink: NetlinkSocket, kind: int, flags: int, body: bytes) -> list[bytes]:
    body = _BODY.pack(0) + body
    header = HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | flags, netlink.next_sequence(), 0)
    return netlink.exchange(header + body, "cannot number network namespace", [""])


def _attribute(kind: int, value: int) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size, kind, value)


def _number(answer: bytes) -> int:
    (number,) = struct.unpack("=i", attributes(answer, HEADER.size + _BODY.size)[NETNSA_NSID])
    return int(number)
