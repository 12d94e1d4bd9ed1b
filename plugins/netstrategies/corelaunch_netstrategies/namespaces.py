"""Network namespaces as a parent sees them: the container's by descriptor, its own by number, others by holder.

Nothing here enters a namespace.
"""

from __future__ import annotations

import errno
import os
import select

from corelaunch.api import KernelError, Record, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from corelaunch.api import ProcessHandle

# A namespace belongs to a thread; /proc/self would be the main thread's.
_OWN = "/proc/thread-self/ns/net"


class NamespaceIdentity(Record):
    """What tells one network namespace from all others that live now: device and inode of its nsfs file."""

    device: int
    inode: int


class ContainerNamespace:
    """An open descriptor of the network namespace of a process; a context manager.

    Raises (on entering):
        KernelError: the process is gone (ESRCH), or its pid belongs to another process by now.
    """

    def __init__(self, process: ProcessHandle) -> None:
        self._process = process
        self.fd = -1

    def __enter__(self) -> Self:
        path = f"/proc/{self._process.pid}/ns/net"
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError.of("cannot open the container's network namespace", error, where=path) from error
        # After the open: a process that lives now and started then has had this pid all along.
        if not _lives(self._process):
            self.__exit__()
            raise KernelError("the container's process is gone", where=f"pid {self._process.pid}", errno=errno.ESRCH)
        return self

    def __exit__(self, *_error: object) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def identity(self) -> NamespaceIdentity:
        """Which namespace it is."""
        status = os.fstat(self.fd)
        return NamespaceIdentity(status.st_dev, status.st_ino)


    def links(self) -> set[str]:
        """Names of the interfaces in it, as the process has them in its /proc/PID/net/dev (proc(5)).

        Raises:
            KernelError: the process is gone.
        """
        path = f"/proc/{self._process.pid}/net/dev"
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().split("\n")
        except OSError as error:
            raise KernelError.of("cannot list the container's interfaces", error, where=path) from error
        if not _lives(self._process):
            raise KernelError("the container's process is gone", where=f"pid {self._process.pid}", errno=errno.ESRCH)
        # Two lines of headings; then "  name: counters". No name has a colon (dev_valid_name() of net/core/dev.c).
        return {line.partition(":")[0].strip() for line in lines[2:] if ":" in line}


def own_identity() -> NamespaceIdentity:
    """The network namespace of the calling thread."""
    status = os.stat(_OWN)
    return NamespaceIdentity(status.st_dev, status.st_ino)


def find_holder(inode: int) -> str:
    """Something that keeps the network namespace of this inode number alive, "" if nothing visible does.

    Looks at processes (``/proc/PID/ns/net``) and at bind mounts as ``ip netns add`` makes them; a namespace that
    only an open descriptor holds is not found.
    """
    for entry in os.listdir("/proc"):
        path = f"/proc/{entry}/ns/net"
        try:
            if entry.isdigit() and os.stat(path).st_ino == inode:
                return path
        except OSError:
            # It exited in between, or it is a zombie: either way it holds nothing.
            continue
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            fields = line.split()
            if fields[3] == f"net:[{inode}]":
                return fields[4]
    return ""


def _lives(process: ProcessHandle) -> bool:
    if process.pidfd >= 0:
        exited = select.poll()
        exited.register(process.pidfd, select.POLLIN)
        if exited.poll(0):
            return False
    return start_time(process.pid) == process.start_time
