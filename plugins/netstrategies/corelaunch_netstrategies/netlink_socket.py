"""A netlink socket: messages out, answers in, the kernel's own words in the errors. What is in them is the caller's.

Sources: netlink(7), and include/uapi/linux/netlink.h for the extended acknowledgement.
"""

from __future__ import annotations

import os
import select
import struct
import time

from corelaunch.api import DeadlineExceeded, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

# Flags of netlink(7): a request, answered with an acknowledgement, that makes something new.
NLM_F_REQUEST, NLM_F_ACK = 0x1, 0x4
NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND, NLM_F_DUMP = 0x200, 0x400, 0x800, 0x300
NLM_F_DUMP_INTR = 0x10

NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200
NLMSGERR_ATTR_MSG = 1

SOL_NETLINK, NETLINK_EXT_ACK = 270, 11
#: Linux 5.14; a number that the kernel never gives to a second network namespace of this boot, unlike its inode number.
SO_NETNS_COOKIE = 71

#: The port of the kernel (netlink(7), nl_pid).
_KERNEL = 0
#: One link alone may fill more than 64 KiB: so much its alternative names may take (rtnl_alt_ifname() of
#: net/core/rtnetlink.c), and a container gives those to its interfaces as it likes.
_LARGEST_DATAGRAM = 1 << 18

_LATE = "the kernel did not answer in time"

HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")


class NetlinkSocket:
    """A socket on which the kernel is asked one thing at a time; a context manager.

    Args:
        protocol: NETLINK_ROUTE, NETLINK_NETFILTER.
        deadline: ``time.monotonic()`` value after which an answer is not waited for any more.
        fd: a socket of another network namespace; it stays open and stays the caller's.
            Without it a new socket is opened, in the namespace of the calling thread.
    """

    def __init__(self, protocol: int, deadline: float, fd: int = -1) -> None:
        import socket

        if fd >= 0:
            self._socket = socket.socket(fileno=os.dup(fd))
        else:
            # Python opens every socket with SOCK_CLOEXEC (PEP 446).
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, protocol)
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
        import socket

        return int.from_bytes(self._socket.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), "little")

    def next_sequence(self) -> int:
        """The number for the next message."""
        self._sequence += 1
        return self._sequence

    def exchange(self, data: bytes, what: str, wheres: Sequence[str]) -> list[bytes]:
        """Send messages, the last of which has the newest number, and wait for the last one's answer.

        Args:
            data: the messages.
            what: the beginning of an error.
            wheres: what each of the messages is about; the last one's last.

        Returns:
            The data messages of the answer, with their headers.

        Raises:
            KernelError: the kernel refused; the first message that it refused says where.
            DeadlineExceeded: it did not answer in time.
        """
        try:
            self._socket.sendto(data, (0, 0))
            return self._answers(what, wheres)
        except OSError as error:
            raise KernelError.of(what, error, where=wheres[-1]) from error

    def _answers(self, what: str, wheres: Sequence[str]) -> list[bytes]:
        answers: list[bytes] = []
        refusal: KernelError | None = None
        first = self._sequence + 1 - len(wheres)
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while True:
            # Polled, because a timeout on the socket would set O_NONBLOCK on the caller's descriptor too.
            left = self._deadline - time.monotonic()
            if not poll.poll(max(0.0, left) * 1000):
                raise DeadlineExceeded(what, where=wheres[-1], why=_LATE)
            datagram, (port, _groups) = self._socket.recvfrom(_LARGEST_DATAGRAM)
            if port != _KERNEL:
                # In a container that runs, whoever has CAP_NET_ADMIN there may send to us (NL_CFG_F_NONROOT_SEND of
                # net/netlink/af_netlink.c), would decide what we take for the kernel's answers, and may do so for ever.
                # What the kernel itself has answered counts however late it is: it has been done.
                if left <= 0:
                    raise DeadlineExceeded(what, where=wheres[-1], why=_LATE)
                continue
            for kind, flags, sequence, body in messages(datagram):
                if not first <= sequence <= self._sequence:
                    continue
                if flags & NLM_F_DUMP_INTR and kind != NLMSG_ERROR:
                    self._interrupted = True  # something changed under the list: an entry may be missing
                if kind not in (NLMSG_ERROR, NLMSG_DONE):
                    answers.append(body)
                    continue
                (code,) = struct.unpack_from("=i", body, HEADER.size)
                if code and refusal is None:
                    why = ": ".join(t for t in (os.strerror(-code).lower(), extended_text(flags, body)) if t)
                    refusal = KernelError(what, where=wheres[sequence - first], why=why, errno=-code)
                # A batch that is refused as a whole has one answer, to its beginning.
                if sequence == self._sequence or (code and sequence == first):
                    if refusal is not None:
                        raise refusal
                    return answers


def messages(datagram: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """``(type, flags, sequence, message with its header)`` of each netlink message in a datagram."""
    offset = 0
    while offset + HEADER.size <= len(datagram):
        length, kind, flags, sequence, _port = HEADER.unpack_from(datagram, offset)
        if length < HEADER.size:
            return
        yield kind, flags, sequence, datagram[offset : offset + length]
        offset += (length + 3) & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes of a message (or of one that is nested) from an offset on, by their number."""
    found = {}
    while offset + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < ATTRIBUTE.size:
            break
        # The two highest bits say how it is to be read: nested, in network byte order.
        found[kind & 0x3FFF] = data[offset + ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def extended_text(flags: int, body: bytes) -> str:
    """The kernel's sentence in an NLMSG_ERROR message, "" when it has none."""
    if not flags & NLM_F_ACK_TLVS:
        return ""
    offset = HEADER.size + 4
    (request_length,) = struct.unpack_from("=I", body, offset)
    offset += HEADER.size if flags & NLM_F_CAPPED else (request_length + 3) & ~3
    return attributes(body, offset).get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
