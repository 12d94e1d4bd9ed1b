"""The lock that applications take on the resctrl filesystem (Documentation/filesystems/resctrl.rst, "Locking").

flock(2) on its root: exclusive to change groups, shared to read several files that belong together. The kernel does
not ask for it, and one write needs none, but only under it a status in ``info/last_cmd_status`` is known to be that
of our own command, a group that we find is not half-made, and what is compared is what is joined. libvirt and
intel-cmt-cat take the same lock.
"""

from __future__ import annotations

import os
import time

from corelaunch.api import DeadlineExceeded, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

#: How long a command waits that core gave no deadline.
SECONDS = 10.0
_POLL_SECONDS = 0.005


def patience(deadline: float, seconds: float = SECONDS) -> float:
    """Until when to wait at most ``seconds`` in a call with a deadline: at its end core speaks, who knows no reason."""
    now = time.monotonic()
    return now + min(seconds, max(0.0, deadline - now) / 2)


class Lock:
    """Nobody else who keeps to the convention changes groups meanwhile; a context manager.

    Args:
        root: where the filesystem is mounted.
        deadline: ``time.monotonic()`` value.
        shared: only to read.

    Raises (on entering):
        DeadlineExceeded: somebody else held it until then; the error names the process.
        KernelError: the root cannot be opened.
    """

    def __init__(self, root: str, deadline: float, *, shared: bool = False) -> None:
        self._root = root
        self._deadline = deadline
        self._shared = shared
        self._fd = -1

    def __enter__(self) -> Self:
        from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock

        try:
            self._fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError.of("cannot lock resctrl", error, where=self._root) from error
        try:
            while True:
                try:
                    flock(self._fd, (LOCK_SH if self._shared else LOCK_EX) | LOCK_NB)
                    return self
                except BlockingIOError:
                    if time.monotonic() > self._deadline:
                        raise self._refusal() from None
                    time.sleep(_POLL_SECONDS)
        except BaseException:  # an interrupt, too: who does not enter does not leave
            self.__exit__()
            raise

    def __exit__(self, *_error: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def pause(self, seconds: float) -> None:
        """Let others in for a while."""
        self.__exit__()
        time.sleep(seconds)
        self.__enter__()

    def _refusal(self) -> DeadlineExceeded:
        holder = self._holder()
        why = f"process {holder} holds the lock" if holder else "another process holds the lock"
        hint = "flock(2) on the root of resctrl is for the moment of a change; end the process, or let it finish"
        return DeadlineExceeded("cannot lock resctrl", where=self._root, why=why, hint=hint)

    def _holder(self) -> int:
        """Pid of the process that has it (/proc/locks, proc(5)), 0 if it is out of sight."""
        found = os.fstat(self._fd)
        mark = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        try:
            with open("/proc/locks", encoding="ascii", errors="replace") as file:
                for line in file:
                    fields = line.split()
                    if mark in fields and "->" not in fields:
                        return int(fields[fields.index(mark) - 1])
        except (OSError, ValueError):
            pass
        return 0
