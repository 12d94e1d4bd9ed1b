"""A lock of one network namespace, for what the kernel does not do in one step."""

from __future__ import annotations

import os
import time

from corelaunch.api import DeadlineExceeded, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_POLL_SECONDS = 0.005


class NamespaceLock:
    """Nobody else who takes the same lock in this network namespace is at work meanwhile; a context manager.

    It is flock(2) on a file of /proc/sys that belongs to the network namespace, whatever state roots the runtimes have;
    it goes with its holder, leaves no file, and an ordinary user, who cannot open that file, cannot hold it. Runtimes
    in different pid namespaces have different /proc and so different locks.

    Args:
        deadline: ``time.monotonic()`` value.
        shared: others who take it so may be at work, too.

    Raises (on entering):
        DeadlineExceeded: somebody else held it until ``deadline``.
        KernelError: /proc/sys is read-only here.
    """

    #: The file, and what cannot be done without it.
    file = ""
    cannot = ""

    def __init__(self, deadline: float, *, shared: bool = False) -> None:
        self._deadline, self._shared = deadline, shared
        self._fd = -1

    def __enter__(self) -> Self:
        from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock

        try:
            self._fd = os.open(self.file, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError.of(self.cannot, error, where=self.file) from error
        try:
            while True:
                try:
                    flock(self._fd, (LOCK_SH if self._shared else LOCK_EX) | LOCK_NB)
                    return self
                except BlockingIOError:
                    if time.monotonic() > self._deadline:
                        why, hint = "another runtime holds it", f"fuser {self.file} names its process"
                        raise DeadlineExceeded(self.cannot, where=self.file, why=why, hint=hint) from None
                    time.sleep(_POLL_SECONDS)
        except BaseException:  # an interrupt, too: who does not enter does not leave
            self.__exit__()
            raise

    def __exit__(self, *_error: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
