"""Putting a process into its groups, with all its threads."""

from __future__ import annotations

import errno
import os
import time

from corelaunch.api import KernelError, start_time

from . import files
from .lock import SECONDS, Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corelaunch.api import ProcessHandle, RdtPlacement

_WHAT = "cannot add process to CLOS"
#: A process that makes threads faster than they are moved; what it makes afterwards is born in the group.
_ROUNDS = 16


def add_process(root: str, placement: RdtPlacement, process: ProcessHandle) -> None:
    """Write it to the CLOS and then to the monitoring group, which takes only what is in its CLOS.

    The kernel reads pids in the namespace of the writer, as handles have them. It moves one thread at a time, and
    new threads and children are born in the group of their maker.

    Raises:
        KernelError: the process is gone (ESRCH), or a group is.
        DeadlineExceeded: somebody holds the lock.
    """
    with Lock(root, time.monotonic() + SECONDS):
        for group in filter(None, (placement.clos, placement.monitoring)):
            moved: set[int] = set()
            for _ in range(_ROUNDS):
                left = _threads(process, group) - moved
                if not left:
                    break
                for thread in left:
                    _move(root, group, thread, process)
                moved |= left


def _threads(process: ProcessHandle, group: str) -> set[int]:
    # Looked at each time: the pid may be another process's by now.
    if start_time(process.pid) == process.start_time:
        try:
            return {int(name) for name in os.listdir(f"/proc/{process.pid}/task")}
        except FileNotFoundError:
            pass
    raise KernelError(_WHAT, where=group, why=f"process {process.pid} is gone", errno=errno.ESRCH)


def _move(root: str, group: str, thread: int, process: ProcessHandle) -> None:
    try:
        files.write(root, f"{group}/tasks", f"{thread}\n", _WHAT)
    except KernelError as error:
        if error.errno != errno.ESRCH or thread == process.pid:
            raise
        # a thread that has ended meanwhile
