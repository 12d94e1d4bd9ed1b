"""Hooks that the init runs itself, between mounts and pivot and between the start gate and execve."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from native_launch import USUAL, ChildFailed
from native_plans import Operation, finish, hook, proc_and_sys, root

SHELL = "/bin/sh"


def plan(rootfs: Path, *hooks: Operation, late: tuple[Operation, ...] = (), close_from: int = 3) -> list[Operation]:
    return [
        *root(str(rootfs)),
        *proc_and_sys(),
        Operation("HOOKS_POINT"),
        *hooks,
        Operation("PIVOT"),
        *finish(["cat", "/said"], gate=bool(late), late=late, close_from=close_from),
    ]


def create_hook(script: str, **options: object) -> Operation:
    return hook("hooks.createContainer[0]", SHELL, ["sh", "-c", script], **options)


def test_a_hook_gets_the_state_the_root_as_working_directory_and_only_its_own_environment(run, rootfs):
    script = "cat > said; echo >> said; echo $A $B >> said; pwd >> said; umask >> said"
    state = ('{"id": "x", "pid": ', ', "more": "' + "y" * 100000 + '"}')
    done = run(plan(rootfs, create_hook(script, environment=["A=1"], state=state)))
    lines = done.stdout.splitlines()
    assert json.loads(lines[0]) == {"id": "x", "pid": 1, "more": "y" * 100000}
    assert lines[1:] == ["1", str(rootfs), "0022"]


@pytest.mark.parametrize("inherited", [0, 3])
def test_a_hook_gets_its_three_streams_and_no_other_descriptor(launch, rootfs, inherited):
    files = [os.memfd_create(str(number)) for number in range(inherited)]
    one = launch(*files)
    one.bootstrap()
    one.give_plan(plan(rootfs, create_hook("ls /proc/self/fd > said"), close_from=3 + inherited))
    one.serve()
    assert one.exec_error() is None
    one.wait()
    # 3 is the directory that ls reads.
    assert one.stdout.split() == ["0", "1", "2", "3"]
    for fd in files:
        os.close(fd)


def test_a_hook_leads_a_process_group_and_its_signals_are_the_usual_ones(run, rootfs):
    script = "grep -E 'NSpgid|NSpid|Sig[BI]' /proc/self/status > said"
    rows = [line.split() for line in run(plan(rootfs, create_hook(f"exec {script}"))).stdout.splitlines()]
    lines = {row[0]: row[-1] for row in rows}
    assert lines["NSpgid:"] == lines["NSpid:"] != "1"
    assert lines["SigIgn:"] == lines["SigBlk:"] == "0" * 16


FAILURES = {
    "status": ("echo hello; exit 3", {}, "hooks.createContainer[0]: exit status 3, output: hello\n"),
    "signal": ("kill -TERM $$", {}, "hooks.createContainer[0]: killed by signal 15"),
    "time-out": ("echo x; sleep 99", {"seconds": 1}, "hooks.createContainer[0]: timed out, seconds: 1, output: x\n"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failing_hook_is_told_with_its_path_and_output(launch, rootfs, name):
    script, options, text = FAILURES[name]
    one = launch()
    one.bootstrap()
    one.give_plan(plan(rootfs, create_hook(script, **options)))
    with pytest.raises(ChildFailed) as failure:
        one.serve()
    assert (failure.value.operation, failure.value.path, failure.value.errno) == ("HOOK", SHELL, 0)
    assert failure.value.text == text
    assert one.wait() == 1


def test_a_hook_that_cannot_be_executed_has_its_errno(launch, rootfs):
    one = launch()
    one.bootstrap()
    one.give_plan(plan(rootfs, hook("hooks.createContainer[0]", "/none", ["x"])))
    with pytest.raises(ChildFailed) as failure:
        one.serve()
    assert (failure.value.errno, failure.value.text) == (2, "hooks.createContainer[0]: cannot be executed")


def test_the_group_of_a_failing_hook_is_killed_also_in_a_shared_pid_namespace(launch, rootfs, tmp_path):
    one = launch()
    one.bootstrap(USUAL & ~0x20000000)
    one.give_plan(plan(rootfs, create_hook(f"sleep 77 & echo $! > {tmp_path}/pid; exit 1")))
    with pytest.raises(ChildFailed):
        one.serve()
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and b"77" in cmdline(pid):
        time.sleep(0.02)
    assert b"77" not in cmdline(pid)


def test_a_hook_dies_with_the_init_also_in_a_shared_pid_namespace(launch, rootfs, tmp_path):
    one = launch()
    pid = one.bootstrap(USUAL & ~0x20000000)
    script = f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; exec sleep 77"
    one.give_plan(plan(rootfs, create_hook(script)))
    one.serve("HOOKS_REACHED")
    one.send("HOOKS_DONE")
    while not (tmp_path / "pid").exists():
        time.sleep(0.02)
    os.kill(pid, 9)
    hook_pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and b"77" in cmdline(hook_pid):
        time.sleep(0.02)
    assert b"77" not in cmdline(hook_pid)


def test_a_descendant_that_keeps_the_pipe_does_not_hold_the_launch_up(run, rootfs):
    assert run(plan(rootfs, create_hook("sleep 33 & echo ok > said"))).stdout == "ok\n"


def test_hooks_behind_the_gate_run_in_their_order_before_the_program(launch, rootfs):
    late = tuple(
        hook(f"hooks.startContainer[{number}]", SHELL, ["sh", "-c", f"echo {number} >> /said; cat >> /said"])
        for number in (0, 1)
    )
    one = launch()
    one.bootstrap()
    one.give_plan(plan(rootfs, late=late), gate=True)
    one.serve()
    assert not (rootfs / "said").exists()
    one.start()
    assert one.exec_error() is None
    one.wait()
    assert one.stdout == '0\n{"pid": 1}1\n{"pid": 1}'


def test_a_failing_hook_behind_the_gate_comes_over_the_error_fifo(launch, rootfs):
    one = launch()
    one.bootstrap()
    failing = hook("hooks.startContainer[0]", SHELL, ["sh", "-c", "echo no; exit 4"])
    one.give_plan(plan(rootfs, late=(failing,)), gate=True)
    one.serve()
    one.start()
    error = one.exec_error()
    assert error is not None
    assert (error.operation, error.path, error.text) == (
        "HOOK",
        SHELL,
        "hooks.startContainer[0]: exit status 4, output: no\n",
    )


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
