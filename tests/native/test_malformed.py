"""What the init refuses: messages that are not due, and plans that are not sound, before anything of them runs."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from native_launch import USUAL, ChildFailed
from native_plans import Operation, bind, encode, finish, hook, mount, proc_and_sys, root
from native_protocol import BOOTSTRAP, NUMBERS, PLAN, PLAN_MESSAGE, RECORD


def usual(rootfs: Path = Path("/nonexistent")) -> list[Operation]:
    return [*root(str(rootfs)), *proc_and_sys(), Operation("PIVOT"), *finish(["true"])]


GOOD_BOOTSTRAP = BOOTSTRAP.pack(0, USUAL, 0, *[0] * 8, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("changes", "payload", "reason"),
    [
        ({"magic": 1}, GOOD_BOOTSTRAP, "no message"),
        ({"version": 3}, GOOD_BOOTSTRAP, "another protocol version"),
        ({"sequence": 2}, GOOD_BOOTSTRAP, "out of sequence"),
        ({"sequence": 0}, GOOD_BOOTSTRAP, "out of sequence"),
        ({"type": 7}, GOOD_BOOTSTRAP, "another message than is due"),
        ({"type": 65535}, GOOD_BOOTSTRAP, "another message than is due"),
        ({"length": 79}, GOOD_BOOTSTRAP, "wrong length"),
        ({"length": 2**32 - 1}, GOOD_BOOTSTRAP, "wrong length"),
        ({}, GOOD_BOOTSTRAP[:-1], "wrong length"),
        ({}, GOOD_BOOTSTRAP + b"\0", "wrong length"),
        ({}, b"", "wrong length"),
        ({}, bytes(8000), "too long"),
    ],
)
def test_a_message_that_is_not_exactly_due_is_refused(launch, changes, payload, reason):
    one = launch()
    one.greet()
    one.send("BOOTSTRAP", payload, **changes)
    with pytest.raises(ChildFailed, match=reason):
        one.receive()


@pytest.mark.parametrize("count", [1, 8, 9, 16, 17, 100])
def test_descriptors_that_do_not_belong_to_a_message_are_refused(launch, count):
    null = os.open("/dev/null", os.O_RDONLY)
    one = launch()
    one.greet()
    one.send("BOOTSTRAP", GOOD_BOOTSTRAP, [null] * count)
    with pytest.raises(ChildFailed):
        one.receive()
    os.close(null)


def test_a_short_datagram_is_no_message(launch):
    one = launch()
    one.greet()
    one.sock.send(b"x")
    with pytest.raises(ChildFailed, match="no message"):
        one.receive()


def alive(launch):
    one = launch()
    one.bootstrap()
    return one


def test_a_plan_that_can_still_be_written_is_refused(launch):
    one = alive(launch)
    one.give_plan(usual(), seal=False)
    with pytest.raises(ChildFailed, match="not sealed"):
        one.serve()


@pytest.mark.parametrize(
    ("flags", "size", "descriptors", "reason"),
    [
        (0, 100, 0, "not as many descriptors"),
        (0, 100, 2, "not as many descriptors"),
        (3, 100, 2, "not as many descriptors"),
        (4, 100, 1, "unknown flag"),
        (0, 100, 1, "not sealed"),
        (0, 100, 4, "more descriptors"),
    ],
)
def test_a_plan_message_that_contradicts_itself_is_refused(launch, flags, size, descriptors, reason):
    one = alive(launch)
    one.expect("INIT_ALIVE")
    null = os.open("/dev/null", os.O_RDONLY)
    one.send("PLAN", PLAN_MESSAGE.pack(flags, size), [null] * descriptors)
    with pytest.raises(ChildFailed, match=reason):
        one.receive()
    os.close(null)


def header(data: bytes, **changes: int) -> bytes:
    names = ("magic", "version", "size", "count", "pool_offset", "pool_size")
    values = dict(zip(names, PLAN.unpack_from(data), strict=True)) | changes
    return PLAN.pack(*values.values()) + data[PLAN.size :]


def record(data: bytes, index: int, **changes: int) -> bytes:
    names = ("code", "flags", "blob", "t0", "t1", "t2", "t3", "n0", "n1", "n2")
    at = PLAN.size + index * RECORD.size
    values = dict(zip(names, RECORD.unpack_from(data, at), strict=True)) | changes
    return data[:at] + RECORD.pack(*values.values()) + data[at + RECORD.size :]


PLAIN = encode(usual())
LAST = len(usual()) - 1
BROKEN_BYTES = {
    "empty": (b"\0", "too short"),
    "magic": (header(PLAIN, magic=1), "not a plan"),
    "version": (header(PLAIN, version=99), "another version"),
    "cut": (PLAIN[:-1], "another size"),
    "longer": (PLAIN + b"\0", "another size"),
    "no operations": (header(PLAIN, count=0), "no operations"),
    "too many operations": (header(PLAIN, count=65537), "no operations, or too many"),
    "operations over the pool": (header(PLAIN, count=1000), "pool is not where"),
    "pool before the operations": (header(PLAIN, pool_offset=24), "pool is not where"),
    "pool beyond the end": (header(PLAIN, pool_size=2**32 - 1), "pool is not where"),
    "pool wraps around": (header(PLAIN, pool_offset=2**32 - 10, pool_size=10 + len(PLAIN)), "pool is not where"),
    "pool without end": (PLAIN[:-1] + b"x", "begin and end with zero"),
    "code 0": (record(PLAIN, 0, code=0), "unknown operation"),
    "code beyond": (record(PLAIN, 0, code=NUMBERS["CL_OP_LAST"]), "unknown operation"),
    "code far beyond": (record(PLAIN, 0, code=65535), "unknown operation"),
    "offset beyond": (record(PLAIN, 1, t0=2**31), "offset leads out"),
    "offset at the end": (record(PLAIN, 1, t0=PLAN.unpack_from(PLAIN)[5]), "offset leads out"),
    "text missing": (record(PLAIN, 1, t0=0), "lacks a text"),
    "text useless": (record(PLAIN, 1, t3=1), "no use for"),
    "flag": (record(PLAIN, 1, flags=NUMBERS["CL_FLAG_HOLD"]), "flag that it does not know"),
    "blob useless": (record(PLAIN, 1, blob=4), "data that it has no use for"),
    "list too long": (record(PLAIN, LAST, n0=2**63), "list runs out"),
    "list longer than the pool": (record(PLAIN, LAST, n1=4000), "list runs out"),
    "no arguments": (record(PLAIN, LAST, n0=0), "list runs out"),
}


@pytest.mark.parametrize("name", BROKEN_BYTES)
def test_bytes_that_are_no_sound_plan_are_refused(launch, name):
    data, reason = BROKEN_BYTES[name]
    one = alive(launch)
    one.give_plan(data)
    with pytest.raises(ChildFailed, match=reason):
        one.serve()


HELD = mount("tmpfs", "/dev", flags=["HOLD"])
ATTACH = Operation("ATTACH", "", "", "/dev")
FIRST = [*root("/nonexistent")]
PIVOT = Operation("PIVOT")
END = finish(["true"])
HOOK = hook("hooks.startContainer[0]", "/x", ["x"])
HOOK_LISTS = {"lists": {0: ["w", "/x", "x"], 2: ["{"], 3: ["}"]}}


def after_gate(one: Operation) -> list[Operation]:
    return [*FIRST, PIVOT, *finish(["true"], gate=True, late=[one])]


BROKEN_ORDERS = {
    "nothing to execute": ([*FIRST, PIVOT, *END[:-1]], "does not end with exec"),
    "exec twice": ([*FIRST, PIVOT, *END, END[-1]], "does not end with exec"),
    "mount before the root": ([mount("tmpfs", "/x"), *FIRST, PIVOT, *END], "wrong point"),
    "mount after the pivot": ([*FIRST, PIVOT, mount("tmpfs", "/x"), *END], "wrong point"),
    "bind after ready": ([*FIRST, PIVOT, Operation("READY_POINT"), bind("/", "/x"), *END[1:]], "wrong point"),
    "two roots": ([*FIRST, FIRST[1], PIVOT, *END], "comes twice"),
    "two pivots": ([*FIRST, PIVOT, PIVOT, *END], "wrong point"),
    "pivot without root": ([PIVOT, *END], "wrong point"),
    "root never entered": ([*FIRST, *END], "never entered"),
    "no ready": ([*FIRST, PIVOT, *END[1:]], "wrong point"),
    "user before ready": ([*FIRST, PIVOT, Operation("USER"), *END], "wrong point"),
    "no executable": (
        [*FIRST, PIVOT, Operation("READY_POINT"), Operation("END_SYNC"), END[-1]],
        "no executable is looked for",
    ),
    "exec before the end of sync": ([*FIRST, PIVOT, Operation("READY_POINT"), END[-1]], "wrong point"),
    "gate before the end of sync": (
        [*FIRST, PIVOT, Operation("READY_POINT"), Operation("WAIT_START"), *END[1:]],
        "wrong point",
    ),
    "hooks after ready": ([*FIRST, PIVOT, END[0], Operation("HOOKS_POINT"), *END[1:]], "wrong point"),
    "chdir after the end of sync": ([*FIRST, PIVOT, *END[:-1], Operation("CHDIR", "/"), END[-1]], "wrong point"),
    "attach without held": ([*FIRST, ATTACH, PIVOT, *END], "no mount is held"),
    "in held without held": ([*FIRST, Operation("FILE", "/x", flags=["IN_HELD"]), PIVOT, *END], "no mount is held"),
    "two held": ([*FIRST, HELD, HELD, ATTACH, PIVOT, *END], "held already"),
    "held at the pivot": ([*FIRST, HELD, PIVOT, *END], "not attached"),
    "held at the hooks": ([*FIRST, HELD, Operation("HOOKS_POINT"), ATTACH, PIVOT, *END], "not attached"),
    "two filters": ([*FIRST, PIVOT, END[0], *[Operation("SECCOMP", blob=bytes(8))] * 2, *END[1:]], "comes twice"),
    "filter cut": ([*FIRST, PIVOT, END[0], Operation("SECCOMP", blob=bytes(9)), *END[1:]], "wrong size"),
    "filter with a listener after the end of sync": (
        [*FIRST, PIVOT, *END[:-1], Operation("SECCOMP", blob=bytes(8), numbers=(8,)), END[-1]],
        "nobody is left to take a seccomp listener",
    ),
    "groups cut": ([*FIRST, PIVOT, END[0], Operation("USER", blob=bytes(5)), *END[2:]], "groups is cut"),
    "uid -1": ([*FIRST, PIVOT, END[0], Operation("USER", numbers=(2**32 - 1, 0)), *END[2:]], "out of range"),
    "scheduler cut": ([*FIRST, PIVOT, Operation("SCHEDULER", blob=bytes(20)), *END], "wrong size"),
    "node mask short": (
        [*FIRST, PIVOT, Operation("MEMORY_POLICY", blob=bytes(8), numbers=(2, 65)), *END],
        "shorter than",
    ),
    "two propagations": ([Operation("HOST_PROPAGATION", numbers=(3 << 18,)), FIRST[1], PIVOT, *END], "not one type"),
    "propagation unknown": ([*FIRST, mount("tmpfs", "/x", propagation=1), PIVOT, *END], "not one type"),
    "listening pid twice": ([*FIRST, PIVOT, *finish(["true"], listen_pid=2)], "neither 0 nor 1"),
    "hook before the mounts are done": ([*FIRST, HOOK, Operation("HOOKS_POINT"), PIVOT, *END], "wrong point"),
    "hook after the pivot": ([*FIRST, Operation("HOOKS_POINT"), PIVOT, HOOK, *END], "wrong point"),
    "hook before the gate": ([*FIRST, PIVOT, *finish(["true"], late=[HOOK])], "wrong point"),
    "hook without arguments": (after_gate(Operation("HOOK", numbers=(2, 0, 1), **HOOK_LISTS)), "lacks its path"),
    "hook without time": (after_gate(Operation("HOOK", numbers=(3, 0, 0), **HOOK_LISTS)), "no good time-out"),
    "hook with endless time": (after_gate(Operation("HOOK", numbers=(3, 0, 2**31), **HOOK_LISTS)), "no good time-out"),
    "hook with too many words": (after_gate(Operation("HOOK", numbers=(9999, 0, 1), **HOOK_LISTS)), "list runs"),
    "hook without state": (after_gate(hook("w", "/x", ["x"], state=("", "}"))), "lacks a text"),
    "closing the streams": ([*FIRST, PIVOT, *finish(["true"], close_from=0)], "standard streams"),
    "long path": ([*FIRST, mount("tmpfs", "/" + "x" * 5000), PIVOT, *END], "too long"),
}


@pytest.mark.parametrize("name", BROKEN_ORDERS)
def test_a_plan_that_makes_no_sense_is_refused_before_anything_of_it_runs(launch, name):
    operations, reason = BROKEN_ORDERS[name]
    one = alive(launch)
    one.give_plan(operations)
    with pytest.raises(ChildFailed, match=reason) as failure:
        one.serve()
    assert (failure.value.operation, failure.value.path) == ("", "plan")


@pytest.mark.parametrize(
    ("index", "descriptors", "reason"),
    [(0, 1, "another mount source"), (2, 0, "another mount source"), (2, 2, "more descriptors")],
)
def test_an_answer_to_another_question_is_refused(launch, rootfs, index, descriptors, reason):
    one = alive(launch)
    one.give_plan([*root(str(rootfs)), bind("/etc", "/etc", flags=["FROM_PARENT"]), PIVOT, *END])
    one.serve("SOURCE_WANTED")
    null = os.open("/dev/null", os.O_RDONLY)
    one.send("SOURCE", struct.pack("=I", index), [null] * descriptors)
    with pytest.raises(ChildFailed, match=reason):
        one.receive()
    os.close(null)
