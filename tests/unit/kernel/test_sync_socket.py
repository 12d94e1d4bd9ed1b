"""native.send and native.receive: the parent believes no datagram before it has looked at all of it."""

from __future__ import annotations

import array
import errno
import os
import signal
import socket
import struct
from collections.abc import Iterator

import pytest

from corelaunch.errors import ProtocolError
from corelaunch.kernel import native
from corelaunch.kernel.native import lib

pytestmark = pytest.mark.usefixtures("no_leaked_fds")

HEADER = "=IHHII"


@pytest.fixture
def ends(no_leaked_fds: None) -> Iterator[tuple[int, socket.socket]]:
    """(our end, the child's end as a socket object that can say anything)."""
    ours, theirs = native.sync_socketpair()
    with socket.socket(fileno=theirs) as child:
        yield ours, child
    os.close(ours)


def datagram(
    payload: bytes = b"",
    *,
    magic: int = lib.CL_MESSAGE_MAGIC,
    version: int = lib.CL_PROTOCOL_VERSION,
    length: int | None = None,
) -> bytes:
    return struct.pack(HEADER, magic, version, 2, 7, len(payload) if length is None else length) + payload


def send_with_fds(child: socket.socket, data: bytes, count: int) -> None:
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(count)]
    child.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    for fd in fds:
        os.close(fd)


def test_a_message_arrives_with_all_its_parts_and_its_sender(ends: tuple[int, socket.socket]) -> None:
    ours, child = ends
    native.send(child.fileno(), lib.CL_MSG_STAGE2, 41, b"payload", [child.fileno(), ours])
    message = native.receive(ours, 1000)
    assert message is not None
    assert (message.type, message.sequence, message.payload) == (lib.CL_MSG_STAGE2, 41, b"payload")
    assert message.pid == os.getpid()
    assert len(message.fds) == 2
    for fd in message.fds:
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_the_largest_message_fits_and_one_byte_more_is_refused(ends: tuple[int, socket.socket]) -> None:
    ours, child = ends
    largest = lib.CL_MESSAGE_LIMIT - struct.calcsize(HEADER)
    native.send(child.fileno(), 1, 1, b"x" * largest)
    message = native.receive(ours, 1000)
    assert message is not None and len(message.payload) == largest
    with pytest.raises(OSError) as caught:
        native.send(child.fileno(), 1, 1, b"x" * (largest + 1))
    assert caught.value.errno == errno.EMSGSIZE
    with pytest.raises(OSError) as caught:
        native.send(child.fileno(), 1, 1, b"", [0] * (lib.CL_MESSAGE_FDS + 1))
    assert caught.value.errno == errno.EMSGSIZE


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "shorter than a header"),
        (datagram()[:-1], "shorter than a header"),
        (datagram(magic=lib.CL_MESSAGE_MAGIC ^ 1), "wrong magic number"),
        (datagram(version=lib.CL_PROTOCOL_VERSION + 1), "another protocol version"),
        (datagram(b"abc", length=2), "its length is not"),
        (datagram(b"abc", length=4), "its length is not"),
        (datagram(b"abc", length=0xFFFFFFFF), "its length is not"),
        (datagram(b"x" * 4096), "longer than a message"),
    ],
)
@pytest.mark.parametrize("fds", [0, 3])
def test_a_malformed_datagram_is_a_protocol_error_and_its_descriptors_are_closed(
    ends: tuple[int, socket.socket], data: bytes, why: str, fds: int
) -> None:
    ours, child = ends
    if fds:
        send_with_fds(child, data, fds)
    else:
        child.send(data)
    with pytest.raises(ProtocolError, match=why):
        native.receive(ours, 1000)


def test_more_descriptors_than_allowed_are_a_protocol_error_and_all_are_closed(ends: tuple[int, socket.socket]) -> None:
    ours, child = ends
    send_with_fds(child, datagram(), lib.CL_MESSAGE_FDS + 20)
    with pytest.raises(ProtocolError, match="more descriptors"):
        native.receive(ours, 1000)


def test_the_end_of_the_conversation_is_none(ends: tuple[int, socket.socket]) -> None:
    ours, child = ends
    child.close()
    assert native.receive(ours, 1000) is None


def test_the_last_words_of_a_peer_that_died_with_our_messages_unread_still_come(
    ends: tuple[int, socket.socket],
) -> None:
    """The kernel reports ECONNRESET before what is still in the queue (unix(7))."""
    ours, child = ends
    child.send(datagram(b"last words"))
    native.send(ours, 1, 1, b"never read")
    child.close()
    message = native.receive(ours, 1000)
    assert message is not None and message.payload == b"last words"
    assert native.receive(ours, 1000) is None


def test_silence_is_a_timeout(ends: tuple[int, socket.socket]) -> None:
    with pytest.raises(TimeoutError):
        native.receive(ends[0], 50)


def test_a_signal_handler_runs_while_we_wait_and_the_deadline_stays(ends: tuple[int, socket.socket]) -> None:
    hits: list[int] = []
    previous = signal.signal(signal.SIGALRM, lambda number, _frame: hits.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        with pytest.raises(TimeoutError):
            native.receive(ends[0], 200)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert hits


def test_sending_to_a_peer_that_is_gone_is_broken_pipe_and_no_signal(ends: tuple[int, socket.socket]) -> None:
    ours, child = ends
    child.close()
    previous = signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a SIGPIPE would end the test run
    try:
        with pytest.raises(BrokenPipeError):
            native.send(ours, 1, 1)
    finally:
        signal.signal(signal.SIGPIPE, previous)


def test_a_peer_that_does_not_read_cannot_block_us(ends: tuple[int, socket.socket]) -> None:
    ours, _ = ends
    with pytest.raises(BlockingIOError):
        for number in range(100_000):
            native.send(ours, 1, number, b"x" * 4000)


def test_both_ends_are_close_on_exec() -> None:
    ends = native.sync_socketpair()
    for fd in ends:
        assert not os.get_inheritable(fd)
        os.close(fd)
