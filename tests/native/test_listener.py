"""A filter with a listener: the init keeps it until the parent has taken it, and speaks by write and read alone."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from native_launch import ChildFailed, EndOfSync
from native_plans import Operation, finish, proc_and_sys, root
from native_protocol import NUMBERS

NEW_LISTENER, NOTIFY, ALLOW, EPERM = 8, 0x7FC00000, 0x7FFF0000, 0x50001
SENDMSG, RECVMSG, GETPGRP = 46, 47, 111


def bpf(*answers: tuple[int, int]) -> bytes:
    """A filter that answers (system call, action) and lets all others through."""
    program = [(0x20, 0, 0, 0)]
    for number, action in answers:
        program += [(0x15, 0, 1, number), (0x06, 0, 0, action)]
    return b"".join(struct.pack("=HBBI", *one) for one in [*program, (0x06, 0, 0, ALLOW)])


def plan(rootfs: Path, program: bytes, *, late: bool) -> list[Operation]:
    seccomp = Operation("SECCOMP", blob=program, numbers=(NEW_LISTENER,))
    operations = finish(["true"], identity=None if late else [seccomp, Operation("USER")])
    if late:
        names = [operation.name for operation in operations]
        operations.insert(names.index("END_SYNC"), seccomp)
    return [*root(str(rootfs)), *proc_and_sys(), Operation("PIVOT"), *operations]


@pytest.fixture
def waiting(launch, rootfs):
    """A launch whose init has said which descriptor is its listener."""

    def make(*answers: tuple[int, int], late: bool = True):
        one = launch()
        one.bootstrap()
        one.give_plan(plan(rootfs, bpf(*answers), late=late))
        one.serve("READY")
        one.send("RUN")
        payload, fds = one.expect("SECCOMP")
        assert fds == []
        (number,) = struct.unpack("=i", payload)
        return one, number

    return make


@pytest.mark.parametrize("late", [True, False])
def test_the_listener_is_named_by_its_number_and_closed_when_it_was_taken(waiting, late):
    one, number = waiting((GETPGRP, NOTIFY), late=late)
    assert os.readlink(f"/proc/{one.pid}/fd/{number}") == "anon_inode:seccomp notify"
    one.send("SECCOMP_DONE")
    with pytest.raises(EndOfSync):
        one.receive()
    assert one.exec_error() is None
    assert one.wait() == 0


def test_a_filter_that_refuses_to_send_and_receive_messages_does_not_stand_in_the_way(waiting):
    one, _ = waiting((GETPGRP, NOTIFY), (SENDMSG, EPERM), (RECVMSG, EPERM))
    one.send("SECCOMP_DONE")
    assert one.exec_error() is None
    assert one.wait() == 0


@pytest.mark.parametrize(
    ("name", "payload", "changes", "reason"),
    [
        ("RUN", b"", {}, "another message than is due"),
        ("SECCOMP_DONE", b"x", {}, "wrong length"),
        ("SECCOMP_DONE", b"", {"sequence": 1}, "out of sequence"),
        ("SECCOMP_DONE", b"", {"version": 1}, "another protocol version"),
        ("SECCOMP_DONE", b"", {"magic": 1}, "no message"),
        ("SECCOMP_DONE", bytes(4080), {}, "wrong length"),
    ],
)
def test_another_answer_is_refused(waiting, name, payload, changes, reason):
    one, _ = waiting((GETPGRP, NOTIFY))
    one.send(name, payload, **changes)
    with pytest.raises(ChildFailed, match=reason):
        one.receive()


def test_descriptors_that_come_with_the_answer_are_not_kept(waiting):
    one, _ = waiting((GETPGRP, NOTIFY))
    null = os.open("/dev/null", os.O_RDONLY)
    one.send("SECCOMP_DONE", fds=[null])
    os.close(null)
    assert one.exec_error() is None


def test_a_parent_that_is_gone_ends_the_init(waiting):
    one, _ = waiting((GETPGRP, NOTIFY))
    one.sock.close()
    assert one.wait() == 1


def test_a_filter_without_a_listener_says_nothing(launch, rootfs):
    one = launch()
    one.bootstrap()
    operations = plan(rootfs, bpf((GETPGRP, EPERM)), late=True)
    for operation in operations:
        if operation.name == "SECCOMP":
            operation.numbers = (0, 0, 0)
    one.give_plan(operations)
    one.serve()
    assert "SECCOMP" not in one.seen
    assert NUMBERS["CL_MSG_SECCOMP"] == 19
