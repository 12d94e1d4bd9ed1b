"""pidfd: waiting, signalling and naming processes that cannot be mistaken for others."""

from __future__ import annotations

import os
import signal

import pytest

from corelaunch.kernel import native, pidfd

pytestmark = pytest.mark.usefixtures("no_leaked_fds")


def test_an_exit_status_is_returned_as_it_is(busybox: int) -> None:
    _, handle = native.spawn(busybox, [b"sh", b"-c", b"exit 42"], [], [0, 1, 2])
    assert pidfd.wait(handle, 10) == 42
    os.close(handle)


def test_a_death_by_signal_is_128_and_its_number(busybox: int) -> None:
    _, handle = native.spawn(busybox, [b"sleep", b"20"], [], [0, 1, 2])
    pidfd.send_signal(handle, signal.SIGTERM)
    assert pidfd.wait(handle, 10) == 143
    os.close(handle)


def test_a_process_that_runs_on_is_none_after_the_timeout(busybox: int) -> None:
    _, handle = native.spawn(busybox, [b"sleep", b"20"], [], [0, 1, 2])
    assert pidfd.wait(handle, 0.05) is None
    assert not pidfd.poll_exit(handle, 0)
    pidfd.send_signal(handle, signal.SIGKILL)
    pidfd.wait(handle)
    os.close(handle)


def test_a_reaped_process_has_pid_minus_one_and_takes_no_signal(busybox: int) -> None:
    _, handle = native.spawn(busybox, [b"true"], [], [0, 1, 2])
    pidfd.wait(handle, 10)
    assert pidfd.pid_of(handle) == -1
    with pytest.raises(ProcessLookupError):
        pidfd.send_signal(handle, signal.SIGTERM)
    with pytest.raises(ChildProcessError):
        pidfd.wait(handle, 10)
    os.close(handle)


def test_a_process_that_is_not_our_child_cannot_be_reaped() -> None:
    handle = pidfd.open(os.getppid())
    with pytest.raises(ChildProcessError):
        pidfd.wait(handle)
    os.close(handle)


def test_another_kind_of_descriptor_names_no_process() -> None:
    with pytest.raises(OSError, match="not a pidfd"):
        pidfd.pid_of(0)
