"""A NETLINK_ROUTE socket: one request at a time, and the kernel's own words in the errors.

Sources: netlink(7), rtnetlink(7), and include/uapi/linux/netlink.h for the extended acknowledgement.
"""

from __future__ import annotations

import errno
import os
import select
import struct
import time

# The socket module itself takes 7 ms to import, and adds to its C part nothing that is needed here.
from _socket import AF_INET6, AF_NETLINK, NETLINK_ROUTE, SOCK_DGRAM, SOL_SOCKET, inet_ntop, inet_pton, socket

from corelaunch.api import DeadlineExceeded, KernelError

from . import messages
from .cidr import parse_cidr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from .messages import Attributes, Link

# Message types of rtnetlink(7).
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE = 24

# Flags of netlink(7): a request, answered with an acknowledgement, that makes something new; a list.
NLM_F_REQUEST, NLM_F_ACK = 0x1, 0x4
NLM_F_EXCL, NLM_F_CREATE, NLM_F_DUMP = 0x200, 0x400, 0x300
NLM_F_DUMP_INTR = 0x10

NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200
NLMSGERR_ATTR_MSG = 1

SOL_NETLINK, NETLINK_EXT_ACK = 270, 11
#: Linux 5.14; a number that the kernel never gives to a second network namespace, unlike its inode number.
SO_NETNS_COOKIE = 71

_HEADER = struct.Struct("=IHHII")


class Netlink:
    """A socket on which the kernel is asked one thing at a time; a context manager.

    Args:
        deadline: ``time.monotonic()`` value after which an answer is not waited for any more.
        fd: a NETLINK_ROUTE socket of another network namespace; it stays open and stays the caller's.
            Without it a new socket is opened, in the namespace of the calling thread.
    """

    def __init__(self, deadline: float, fd: int = -1) -> None:
        if fd >= 0:
            self._socket = socket(fileno=os.dup(fd))
        else:
            # Python opens every socket with SOCK_CLOEXEC (PEP 446).
            self._socket = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._deadline = deadline
        self._interrupted = False
        # Not from 0: on a socket that others used before, an old answer must not look like ours.
        self._sequence = time.monotonic_ns() & 0x3FFFFFFF

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def namespace_cookie(self) -> int:
        """The number of this socket's network namespace, unique until the next boot."""
        return int.from_bytes(self._socket.getsockopt(SOL_SOCKET, SO_NETNS_COOKIE, 8), "little")

    def link(self, *, name: str = "", index: int = 0) -> Link | None:
        """The interface of that name or number, None if there is none."""
        message = messages.link([(messages.IFLA_IFNAME, name)] if name else [], index=index)
        try:
            answer = self._request(message, RTM_GETLINK, 0, "cannot look up link", name or str(index))
        except KernelError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return messages.read_link(answer)

    def create_link(self, name: str, attributes: Attributes) -> None:
        """Make an interface. KernelError with EEXIST when the name is taken, here or where its peer goes."""
        message = messages.link([(messages.IFLA_IFNAME, name), *attributes])
        self._request(message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "cannot create link", name)

    def set_link(self, link: Link, *, up: bool = False, attributes: Attributes = ()) -> None:
        """Change an interface: ``up`` brings it up, ``attributes`` are IFLA_* pairs."""
        message = messages.link(attributes, index=link.index, up=up)
        self._request(message, RTM_NEWLINK, 0, "cannot set up link", link.name)

    def delete_link(self, link: Link) -> None:
        """Delete an interface (a veth goes with its peer); one that has gone meanwhile is fine."""
        try:
            self._request(messages.link([], index=link.index), RTM_DELLINK, 0, "cannot delete link", link.name)
        except KernelError as error:
            if error.errno != errno.ENODEV:
                raise

    def add_address(self, link: Link, address: str) -> None:
        """Give an interface an address, ``"10.0.0.2/24"`` or ``"fd00::2/64"``; usable at once."""
        family, host, prefix = parse_cidr(address)
        # Duplicate address detection would keep an IPv6 address from being used for its first second.
        flags = messages.IFA_F_NODAD if family == AF_INET6 else 0
        message = messages.address(family, inet_pton(family, host), prefix, link.index, flags)
        what = "cannot add address"
        self._request(message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, what, f"{address} on {link.name}")

    def addresses(self, link: Link) -> list[str]:
        """The addresses of an interface, as ``add_address`` takes them."""
        found = []
        message = messages.addresses_of(link.index)
        for answer in self._dump(message, RTM_GETADDR, "cannot list addresses", link.name):
            # Not every kernel heeds the number in the request (that takes NETLINK_GET_STRICT_CHK).
            index, family, packed, prefix = messages.read_address(answer)
            if index == link.index:
                found.append(f"{inet_ntop(family, packed)}/{prefix}")
        return found

    def has_ports(self, bridge: Link) -> bool:
        """Whether any interface has this one for its master."""
        message = messages.link([(messages.IFLA_MASTER, bridge.index)])
        answers = self._dump(message, RTM_GETLINK, "cannot list ports", bridge.name)
        return any(messages.read_link(answer).master == bridge.index for answer in answers)

    def add_route(self, link: Link, destination: str, gateway: str) -> None:
        """Add a route to ``destination`` (CIDR) by ``gateway``, or straight onto the link when that is ""."""
        family, host, prefix = parse_cidr(destination)
        packed = inet_pton(family, gateway) if gateway else b""
        on_link = not gateway and family != AF_INET6
        message = messages.route(family, inet_pton(family, host), prefix, packed, link.index, on_link=on_link)
        where = f"{destination} via {gateway} on {link.name}" if gateway else f"{destination} on {link.name}"
        self._request(message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "cannot add route", where)

    def _request(self, message: bytes, kind: int, flags: int, what: str, where: str) -> bytes:
        """Send one message and wait for its acknowledgement; the data message that came before it, if any."""
        answers = self._exchange(message, kind, NLM_F_ACK | flags, what, where)
        return answers[-1] if answers else b""

    def _dump(self, message: bytes, kind: int, what: str, where: str) -> list[bytes]:
        """Ask for all of a kind; every data message of the answer."""
        while True:
            self._interrupted = False
            answers = self._exchange(message, kind, NLM_F_DUMP, what, where)
            if not self._interrupted:
                return answers
            if time.monotonic() > self._deadline:
                raise DeadlineExceeded(what, where=where, why="it changes all the time")

    def _exchange(self, message: bytes, kind: int, flags: int, what: str, where: str) -> list[bytes]:
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(message), kind, NLM_F_REQUEST | flags, self._sequence, 0)
        try:
            self._socket.sendto(header + message, (0, 0))
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
            for kind, flags, sequence, body in messages.datagram(self._socket.recv(1 << 16), _HEADER):
                if sequence != self._sequence:
                    continue
                if flags & NLM_F_DUMP_INTR and kind != NLMSG_ERROR:
                    self._interrupted = True  # something changed under the list: an entry may be missing
                if kind not in (NLMSG_ERROR, NLMSG_DONE):
                    answers.append(body)
                    continue
                (code,) = struct.unpack_from("=i", body)
                if code == 0:
                    return answers
                why = ": ".join(t for t in (os.strerror(-code).lower(), _extended_text(flags, body)) if t)
                raise KernelError(what, where=where, why=why, errno=-code)


def _extended_text(flags: int, body: bytes) -> str:
    """The kernel's sentence in the body of an NLMSG_ERROR message, "" when it has none."""
    if not flags & NLM_F_ACK_TLVS:
        return ""
    # Behind the code comes the request: its header alone (capped), or all of it.
    (request_length,) = struct.unpack_from("=I", body, 4)
    offset = 4 + (_HEADER.size if flags & NLM_F_CAPPED else (request_length + 3) & ~3)
    return messages.decode(body[offset:]).get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
