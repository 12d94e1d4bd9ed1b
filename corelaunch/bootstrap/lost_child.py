"""Reaping a stage 2 that its parent was never told of."""

from __future__ import annotations

import os
from _signal import SIGKILL

from ..kernel import pidfd, procfs


def reap(mark: str, seconds: float) -> None:
    """Kill and reap our child of that command name, if there is one: stage 0 was killed between clone and STAGE2.

    It sees the end of its pipe or of our socket and exits, but as our child it must be reaped, and among the children
    of a library's process it is known by its name alone.
    """
    for pid in procfs.pids():
        if procfs.command_name(pid) == mark and procfs.parent_pid(pid) == os.getpid():
            fd = pidfd.open(pid)
            try:
                pidfd.send_signal(fd, SIGKILL)
                pidfd.wait(fd, seconds)
            finally:
                os.close(fd)
