"""A small nftables client of its own for the network contract: which inet tables there are, and one of a stranger's.

Sources: include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from .network_rtnetlink import ACK, CREATE, DUMP, EXCLUSIVE, NLMSG_DONE, NLMSG_ERROR, REQUEST, attribute, attributes
from .network_rtnetlink import messages as netlink_messages

NETLINK_NETFILTER = 12
BATCH_BEGIN, BATCH_END = 0x10, 0x11
NFT = 10 << 8
NEWTABLE, GETTABLE, DELTABLE = NFT, NFT + 1, NFT + 2
TABLE_NAME, TABLE_USERDATA = 1, 6
INET = 1

_HEADER = struct.Struct("=IHHII")
_GENERAL = struct.Struct(">BBH")


def inet_tables() -> dict[str, str]:
    """The inet tables of the calling thread's network namespace, with their comments; {} where there is no nftables."""
    found = {}
    try:
        answers = _exchange([(GETTABLE, DUMP, _GENERAL.pack(INET, 0, 0))])
    except OSError as error:
        if error.errno in (errno.EPROTONOSUPPORT, errno.EINVAL, errno.EOPNOTSUPP):
            return {}
        raise
    for answer in answers:
        values = attributes(answer[_GENERAL.size :])
        # libnftnl keeps a comment as type, length, text.
        comment = values.get(TABLE_USERDATA, b"\0\0")[2:].rstrip(b"\0").decode()
        found[values[TABLE_NAME].rstrip(b"\0").decode()] = comment
    return found


def make_table(name: str) -> None:
    """A table of somebody else's; OSError (EEXIST) if there is one of that name."""
    _change(NEWTABLE, CREATE | EXCLUSIVE, name)


def delete_table(name: str) -> None:
    """Delete a table, whoever's it is."""
    _change(DELTABLE, 0, name)


def _change(kind: int, flags: int, name: str) -> None:
    batch = _GENERAL.pack(0, 0, NFT >> 8)
    body = _GENERAL.pack(INET, 0, 0) + attribute(TABLE_NAME, name)
    _exchange([(BATCH_BEGIN, 0, batch), (kind, ACK | flags, body), (BATCH_END, 0, batch)])


def _exchange(requests: list[tuple[int, int, bytes]]) -> list[bytes]:
    """Send messages in one piece; the bodies of the answers up to the first acknowledgement."""
    first = int.from_bytes(os.urandom(3), "little")
    packed = [
        _HEADER.pack(_HEADER.size + len(body), kind, REQUEST | flags, first + number, 0) + body
        for number, (kind, flags, body) in enumerate(requests)
    ]
    answers: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_NETFILTER) as netlink:
        netlink.sendto(b"".join(packed), (0, 0))
        while True:
            for kind, _sequence, answer in netlink_messages(netlink.recv(1 << 18)):
                if kind == NLMSG_DONE:
                    return answers
                if kind != NLMSG_ERROR:
                    answers.append(answer)
                    continue
                (code,) = struct.unpack_from("=i", answer)
                if code:
                    raise OSError(-code, os.strerror(-code))
                return answers
