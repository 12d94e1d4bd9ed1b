"""Wherever the init waits for its parent, the parent's end is the init's end."""

from __future__ import annotations

import os
import signal
import time

import pytest
from native_launch import USUAL
from native_plans import Operation, bind, finish, proc_and_sys, root
from test_bootstrap import NEWUSER


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 1
            return
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the init outlives its parent")


def test_waiting_for_bootstrap(launch):
    one = launch()
    one.greet()
    one.sock.close()
    pid, one.stage0 = one.stage0, 0
    assert_gone(pid)


def test_waiting_for_mappings(launch):
    one = launch()
    one.greet()
    from native_protocol import BOOTSTRAP

    one.send("BOOTSTRAP", BOOTSTRAP.pack(0, USUAL | NEWUSER, 0, *[0] * 8, 0, 0, 0, 0, 0))
    one.expect("MAPPINGS_WANTED")
    one.sock.close()
    pid, one.stage0 = one.stage0, 0
    assert_gone(pid)


def test_waiting_for_the_plan(launch):
    one = launch()
    one.bootstrap()
    one.expect("INIT_ALIVE")
    one.sock.close()
    pid, one.pid = one.pid, 0
    assert_gone(pid)


@pytest.mark.parametrize("point", ["SOURCE_WANTED", "HOOKS_REACHED", "READY"])
def test_waiting_in_the_plan(launch, rootfs, point):
    one = launch()
    one.bootstrap()
    one.give_plan(
        [
            *root(str(rootfs)),
            *proc_and_sys(),
            *([bind("/etc", "/etc", flags=["FROM_PARENT"])] if point == "SOURCE_WANTED" else []),
            Operation("HOOKS_POINT"),
            Operation("PIVOT"),
            *finish(["true"]),
        ]
    )
    one.serve(point)
    one.sock.close()
    pid, one.pid = one.pid, 0
    assert_gone(pid)


def test_stage2_does_not_speak_when_stage0_died_before_it_was_announced(launch):
    """Stage 0 is killed between fork and STAGE2 as often as that moment can be hit; nothing may be left running."""
    for attempt in range(20):
        one = launch()
        one.greet()
        from native_protocol import BOOTSTRAP

        one.send("BOOTSTRAP", BOOTSTRAP.pack(0, 0, 0, *[0] * 8, 0, 0, 0, 0, 0))
        time.sleep(attempt * 0.0001)
        os.kill(one.stage0, signal.SIGKILL)
        os.waitpid(one.stage0, 0)
        one.stage0 = 0
        one.sock.close()
        # Stage 2 is our child, too, if it exists; without a word it must be gone.
        deadline = time.monotonic() + 10
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                    time.sleep(0.002)
                    continue
            except ChildProcessError:
                break
            assert time.monotonic() < deadline


def test_waiting_for_start_needs_no_parent(launch, rootfs):
    one = launch()
    one.bootstrap()
    one.give_plan(
        [*root(str(rootfs)), *proc_and_sys(), Operation("PIVOT"), *finish(["echo", "started"], gate=True)], gate=True
    )
    one.serve()
    one.sock.close()
    time.sleep(0.2)
    assert os.waitpid(one.pid, os.WNOHANG) == (0, 0)
    one.start()
    assert one.exec_error() is None
    one.wait()
    assert one.stdout == "started\n"
