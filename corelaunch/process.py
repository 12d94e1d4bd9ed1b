"""A process of a container, as the Python API hands it out."""

from __future__ import annotations

import os

from .api import ProcessHandle
from .errors import DeadlineExceeded, WrongStatus
from .kernel import pidfd, procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Process:
    """The init of a container, or a process that was executed in it.

    Attributes:
        pid: in the caller's pid namespace.
        start_time: field 22 of /proc/PID/stat; with the pid it names this process and no other.
        pidfd: a descriptor of the process; :meth:`close` closes it and the master.
        master_fd: the master of its pty, -1 if it has none or it went over a console socket.
        external_descriptors: where fds 0, 1, 2 pointed when it was started.
    """

    def __init__(
        self,
        handle: ProcessHandle,
        *,
        child: bool,
        master_fd: int = -1,
        external_descriptors: Sequence[str] = ("", "", ""),
    ) -> None:
        self.pid = handle.pid
        self.start_time = handle.start_time
        self.pidfd = handle.pidfd
        self.master_fd = master_fd
        self.external_descriptors = tuple(external_descriptors)
        self._child = child
        self._status: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            its exit status, or 128 + N if signal N ended it. For a process that is not our child (the container
            was made by another process), and one that ``delete`` has reaped, only the end is known: -1.

        Raises:
            DeadlineExceeded: it still runs after ``timeout``.
        """
        if self._status is None:
            if self._child:
                try:
                    self._status = pidfd.wait(self.pidfd, timeout)
                except ChildProcessError:
                    self._status = -1  # reaped already, by a delete through another object
            elif pidfd.poll_exit(self.pidfd, timeout):
                self._status = -1
            if self._status is None:
                raise DeadlineExceeded("process still runs", where=str(self.pid), why=f"after {timeout:g} s")
        return self._status

    @property
    def exit_status(self) -> int:
        """What :meth:`wait` has returned, -1 before it has."""
        return -1 if self._status is None else self._status

    def signal(self, number: int) -> None:
        """Send it a signal.

        Raises:
            WrongStatus: it is gone.
        """
        try:
            pidfd.send_signal(self.pidfd, number)
        except ProcessLookupError:
            raise WrongStatus("os: process already finished", where=str(self.pid)) from None

    def close(self) -> None:
        """Close the pidfd and the pty master; the process itself goes on."""
        for fd in (self.pidfd, self.master_fd):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self.master_fd = -1

    def __del__(self) -> None:
        """Close what nobody can close any more: a program that drops its containers must not run out of descriptors."""
        if os is not None:  # None while the interpreter itself ends
            self.close()


def find(handle: ProcessHandle | None, external_descriptors: Sequence[str]) -> Process | None:
    """The process that ``handle`` names, opened; None if it is gone.

    The start time is compared after the open: from then on the pidfd cannot change hands.
    """
    if handle is None:
        return None
    try:
        fd = pidfd.open(handle.pid)
    except ProcessLookupError:
        return None
    if procfs.start_time(handle.pid) != handle.start_time:
        os.close(fd)
        return None
    return Process(handle.replace(pidfd=fd), child=False, external_descriptors=external_descriptors)
