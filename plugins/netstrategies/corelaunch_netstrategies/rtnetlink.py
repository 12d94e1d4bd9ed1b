"""A NETLINK_ROUTE socket: one request at a time, pyroute2's messages, the kernel's own words in the errors.

Sources: netlink(7), rtnetlink(7), and include/uapi/linux/netlink.h for the extended acknowledgement.
"""

from __future__ import annotations

import errno
import os
import select
import struct
import time

from corelaunch.api import DeadlineExceeded, KernelError, Record

from . import pyroute2_messages
from .cidr import parse_cidr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Self

# Message types of rtnetlink(7).
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE = 24

# Flags of netlink(7): a request, answered with an acknowledgement, that makes something new.
NLM_F_REQUEST, NLM_F_ACK = 0x1, 0x4
NLM_F_EXCL, NLM_F_CREATE, NLM_F_DUMP = 0x200, 0x400, 0x300
NLM_F_DUMP_INTR = 0x10

NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200
NLMSGERR_ATTR_MSG = 1

SOL_NETLINK, NETLINK_EXT_ACK = 270, 11
#: Linux 5.14; a number that the kernel never gives to a second network namespace, unlike its inode number.
SO_NETNS_COOKIE = 71

IFF_UP = 0x1
IFA_F_NODAD = 0x02
RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST = 254, 4, 1
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
#: struct ifaddrmsg of <linux/if_addr.h>.
_ADDRESS = struct.Struct("=BBBBI")


class Link(Record):
    """A network interface as the kernel describes it. ``mac`` and ``alias`` are "" when there is none."""

    index: int
    name: str
    kind: str
    mac: str
    alias: str
    up: bool
    #: IFLA_STATS64: rx_packets, rx_bytes, tx_errors, … as seen from this side.
    counters: Mapping[str, int]


class Netlink:
    """A socket on which the kernel is asked one thing at a time; a context manager.

    Args:
        deadline: ``time.monotonic()`` value after which an answer is not waited for any more.
        fd: a NETLINK_ROUTE socket of another network namespace; it stays open and stays the caller's.
            Without it a new socket is opened, in the namespace of the calling thread.
    """

    def __init__(self, deadline: float, fd: int = -1) -> None:
        import socket

        if fd >= 0:
            self._socket = socket.socket(fileno=os.dup(fd))
        else:
            # Python opens every socket with SOCK_CLOEXEC (PEP 446).
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._deadline = deadline
        self._interrupted = False
        # Not from 0: on a socket that others used before, an old answer must not look like ours.
        self._sequence = time.monotonic_ns() & 0x3FFFFFFF
        self._link_message, self._address_message, self._route_message = pyroute2_messages.load()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def namespace_cookie(self) -> int:
        """The number of this socket's network namespace, unique until the next boot."""
        import socket

        return int.from_bytes(self._socket.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), "little")

    def link(self, *, name: str = "", index: int = 0) -> Link | None:
        """The interface of that name or number, None if there is none."""
        message = self._link_message()
        message["index"] = index
        if name:
            message["attrs"] = [("IFLA_IFNAME", name)]
        try:
            answer = self._request(message, RTM_GETLINK, 0, "cannot look up link", name or str(index))
        except KernelError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        found = self._link_message(answer)
        found.decode()
        information = found.get_attr("IFLA_LINKINFO")
        return Link(
            index=found["index"],
            name=found.get_attr("IFLA_IFNAME"),
            kind=(information.get_attr("IFLA_INFO_KIND") if information else None) or "",
            mac=found.get_attr("IFLA_ADDRESS") or "",
            alias=found.get_attr("IFLA_IFALIAS") or "",
            up=bool(found["flags"] & IFF_UP),
            counters=dict(found.get_attr("IFLA_STATS64") or {}),
        )

    def create_link(self, name: str, attributes: Sequence[tuple[str, Any]]) -> None:
        """Make an interface. KernelError with EEXIST when the name is taken, here or where its peer goes."""
        message = self._link_message()
        message["attrs"] = [("IFLA_IFNAME", name), *attributes]
        self._request(message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "cannot create link", name)

    def set_link(self, link: Link, *, up: bool = False, attributes: Sequence[tuple[str, Any]] = ()) -> None:
        """Change an interface: ``up`` brings it up, ``attributes`` are IFLA_* pairs."""
        message = self._link_message()
        message["index"] = link.index
        if up:
            message["flags"] = message["change"] = IFF_UP
        message["attrs"] = list(attributes)
        self._request(message, RTM_NEWLINK, 0, "cannot set up link", link.name)

    def delete_link(self, link: Link) -> None:
        """Delete an interface (a veth goes with its peer); one that has gone meanwhile is fine."""
        message = self._link_message()
        message["index"] = link.index
        try:
            self._request(message, RTM_DELLINK, 0, "cannot delete link", link.name)
        except KernelError as error:
            if error.errno != errno.ENODEV:
                raise

    def add_address(self, link: Link, address: str) -> None:
        """Give an interface an address, ``"10.0.0.2/24"`` or ``"fd00::2/64"``; usable at once."""
        family, host, prefix = parse_cidr(address)
        message = self._address_message()
        message["family"], message["prefixlen"], message["index"] = family, prefix, link.index
        # Duplicate address detection would keep an IPv6 address from being used for its first second.
        flags = IFA_F_NODAD if ":" in host else 0
        message["attrs"] = [("IFA_LOCAL", host), ("IFA_ADDRESS", host), ("IFA_FLAGS", flags)]
        what = "cannot add address"
        self._request(message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, what, f"{address} on {link.name}")

    def addresses(self, link: Link) -> list[str]:
        """The addresses of an interface, as ``add_address`` takes them."""
        message = self._address_message()
        message["index"] = link.index
        found = []
        for answer in self._dump(message, RTM_GETADDR, "cannot list addresses", link.name):
            # Not every kernel heeds the index of the request (that takes NETLINK_GET_STRICT_CHK).
            _family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(answer, _HEADER.size)
            if index == link.index:
                one = self._address_message(answer)
                one.decode()
                found.append(f"{one.get_attr('IFA_LOCAL') or one.get_attr('IFA_ADDRESS')}/{prefix}")
        return found

    def has_ports(self, bridge: Link) -> bool:
        """Whether any interface has this one for its master."""
        message = self._link_message()
        message["attrs"] = [("IFLA_MASTER", bridge.index)]
        for answer in self._dump(message, RTM_GETLINK, "cannot list ports", bridge.name):
            port = self._link_message(answer)
            port.decode()
            if port.get_attr("IFLA_MASTER") == bridge.index:
                return True
        return False

    def add_route(self, link: Link, destination: str, gateway: str) -> None:
        """Add a route to ``destination`` (CIDR) by ``gateway``, or straight onto the link when that is ""."""
        family, host, prefix = parse_cidr(destination)
        message = self._route_message()
        message["family"], message["dst_len"], message["table"] = family, prefix, RT_TABLE_MAIN
        message["proto"], message["type"] = RTPROT_STATIC, RTN_UNICAST
        message["scope"] = RT_SCOPE_UNIVERSE if gateway or ":" in host else RT_SCOPE_LINK
        message["attrs"] = [("RTA_OIF", link.index)]
        if prefix:
            message["attrs"].append(("RTA_DST", host))
        if gateway:
            message["attrs"].append(("RTA_GATEWAY", gateway))
        where = f"{destination} via {gateway} on {link.name}" if gateway else f"{destination} on {link.name}"
        self._request(message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "cannot add route", where)

    def _request(self, message: Any, kind: int, flags: int, what: str, where: str) -> bytes:
        """Send one message and wait for its acknowledgement; the data message that came before it, if any."""
        answers = self._exchange(message, kind, NLM_F_ACK | flags, what, where)
        return answers[-1] if answers else b""

    def _dump(self, message: Any, kind: int, what: str, where: str) -> list[bytes]:
        """Ask for all of a kind; every data message of the answer."""
        while True:
            self._interrupted = False
            answers = self._exchange(message, kind, NLM_F_DUMP, what, where)
            if not self._interrupted:
                return answers
            if time.monotonic() > self._deadline:
                raise DeadlineExceeded(what, where=where, why="it changes all the time")

    def _exchange(self, message: Any, kind: int, flags: int, what: str, where: str) -> list[bytes]:
        self._sequence += 1
        message["header"]["type"] = kind
        message["header"]["flags"] = NLM_F_REQUEST | flags
        message["header"]["sequence_number"] = self._sequence
        message.encode()
        try:
            self._socket.sendto(bytes(message.data), (0, 0))
            return self._answers(what, where)
        except OSError as error:
            raise KernelError.of(what, error, where=where) from error

    def _answers(self, what: str, where: str) -> list[bytes]:
        answers: list[bytes] = []
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while True:
            # Polled, because a timeout on the socket would set O_NONBLOCK on the caller's descriptor too.
            if not poll.poll(max(0.0, self._deadline - time.monotonic()) * 1000):
                raise DeadlineExceeded(what, where=where, why="the kernel did not answer in time")
            for kind, flags, sequence, body in _messages(self._socket.recv(1 << 16)):
                if sequence != self._sequence:
                    continue
                if flags & NLM_F_DUMP_INTR and kind != NLMSG_ERROR:
                    self._interrupted = True  # something changed under the list: an entry may be missing
                if kind not in (NLMSG_ERROR, NLMSG_DONE):
                    answers.append(body)
                    continue
                (code,) = struct.unpack_from("=i", body, _HEADER.size)
                if code == 0:
                    return answers
                why = ": ".join(t for t in (os.strerror(-code).lower(), _extended_text(flags, body)) if t)
                raise KernelError(what, where=where, why=why, errno=-code)


def _messages(datagram: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """``(type, flags, sequence, message with its header)`` of each netlink message in a datagram."""
    offset = 0
    while offset + _HEADER.size <= len(datagram):
        length, kind, flags, sequence, _port = _HEADER.unpack_from(datagram, offset)
        if length < _HEADER.size:
            return
        yield kind, flags, sequence, datagram[offset : offset + length]
        offset += (length + 3) & ~3


def _extended_text(flags: int, body: bytes) -> str:
    """The kernel's sentence in an NLMSG_ERROR message, "" when it has none."""
    if not flags & NLM_F_ACK_TLVS:
        return ""
    offset = _HEADER.size + 4
    (request_length,) = struct.unpack_from("=I", body, offset)
    offset += _HEADER.size if flags & NLM_F_CAPPED else (request_length + 3) & ~3
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size:
            return ""
        if kind == NLMSGERR_ATTR_MSG:
            return body[offset + _ATTRIBUTE.size : offset + length].rstrip(b"\0").decode(errors="replace")
        offset += (length + 3) & ~3
    return ""
