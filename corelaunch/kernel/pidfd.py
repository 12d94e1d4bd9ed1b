"""Processes by pidfd (pidfd_open(2)): a number may be reused by another process, a descriptor may not."""

from __future__ import annotations

import errno
import os
import select
from _signal import pidfd_send_signal

_INT_MAX = 2**31 - 1

#: pidfd_open(pid): a close-on-exec descriptor; ProcessLookupError if there is no such process.
open = os.pidfd_open


def send_signal(pidfd: int, signal: int) -> None:
    """Send a signal (0 only asks whether it could be sent).

    Raises:
        ProcessLookupError: the process has ended and was reaped.
        PermissionError: it is not ours to signal.
    """
    pidfd_send_signal(pidfd, signal)


def poll_exit(pidfd: int, timeout: float | None) -> bool:
    """Wait up to ``timeout`` seconds (None: for ever) for the end of any process; True if it has ended.

    A zombie has ended. The process need not be our child, and is not reaped.
    """
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    # poll(2) takes milliseconds in an int, less than 25 days: who waits longer than that waits for ever.
    milliseconds = None if timeout is None or timeout > _INT_MAX / 1000 else max(0, round(timeout * 1000))
    return bool(poller.poll(milliseconds))


def wait(pidfd: int, timeout: float | None = None) -> int | None:
    """Wait for the end of a child of ours and reap it.

    Returns:
        Its exit status, 128 + N if signal N ended it; None if it still runs after ``timeout`` seconds.

    Raises:
        ChildProcessError: it is not our child, or somebody else has reaped it.
    """
    if timeout is not None and not poll_exit(pidfd, timeout):
        return None
    return _status(os.waitid(os.P_PIDFD, pidfd, os.WEXITED))


def exit_status(pidfd: int) -> int:
    """As :func:`wait`, of a child that has ended, without reaping it: its pid, and its group's, stay taken.

    Raises:
        ChildProcessError: as in :func:`wait`.
    """
    return _status(os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT))


def _status(result: os.waitid_result | None) -> int:
    if result is None:
        raise ChildProcessError("waitid returned no child")
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def pid_of(pidfd: int) -> int:
    """The pid of the process in our pid namespace, as the kernel says (/proc/self/fdinfo, proc(5)).

    Returns:
        0 if it is in no pid namespace of ours, -1 if it has ended and was reaped.

    Raises:
        OSError: EINVAL, the descriptor is not a pidfd.
    """
    fd = os.open(f"/proc/self/fdinfo/{pidfd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, 4096).decode()
    finally:
        os.close(fd)
    for line in text.split("\n"):
        if line.startswith("Pid:"):
            return int(line[4:])
    raise OSError(errno.EINVAL, "not a pidfd", str(pidfd))
