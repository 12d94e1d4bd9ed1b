"""Standard streams and FIFOs of a child, and where its descriptors pointed before it could change them."""

from __future__ import annotations

import os
from fcntl import ioctl

from ..errors import KernelError, ProtocolError, UsageError
from ..records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: FIFOs in the state directory: ``start`` releases the init over the first and reads its last error from the second.
START_FIFO = "start.fifo"
ERROR_FIFO = "error.fifo"

#: ioctl_tty(2): the number of a pty, which only its master tells.
_TIOCGPTN = 0x80045430


class ProcessIO(Record):
    """Descriptors that become 0, 1, 2, 3, … of the process; they stay the caller's and stay open.

    The process gets these and no others: which numbers they have with the caller does not matter.
    """

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2
    #: Further descriptors, which become 3, 4, … in this order.
    preserved: Sequence[int] = ()
    #: How many of ``preserved``, from the first on, are sockets to accept from: the process gets LISTEN_FDS and
    #: LISTEN_PID for them (sd_listen_fds(3)). Only for the init of a container.
    listening: int = 0

    def check(self) -> None:
        """Refuse what cannot be handed over, before anything is made.

        Raises:
            KernelError: a descriptor is not open; which one, and which it was to become.
            UsageError: more are to be listened on than there are.
        """
        for number, fd in enumerate((self.stdin, self.stdout, self.stderr, *self.preserved)):
            try:
                os.get_inheritable(fd)
            except OSError as error:
                what = f"cannot hand over descriptor {fd}"
                raise KernelError.of(what, error, where=f"as descriptor {number} of the process") from None
        if not 0 <= self.listening <= len(self.preserved):
            why = f"{self.listening} of {len(self.preserved)} preserved descriptors"
            raise UsageError("not as many descriptors to listen on", why=why)


def external_descriptors(pid: int) -> tuple[str, str, str]:
    """Targets of fds 0, 1, 2 of a process, for checkpoint (runc's getPipeFds).

    EPERM is no error: a non-dumpable process, or one in a user namespace that we do not own, does not show them.
    """
    targets = []
    for number in range(3):
        try:
            targets.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except OSError:
            targets.append("")
    return targets[0], targets[1], targets[2]


def checked_master(fd: int) -> int:
    """The descriptor, if it is the master of a pty: what is done with it must not be done with a file of the host.

    Raises:
        ProtocolError: it is something else; it is closed.
    """
    try:
        ioctl(fd, _TIOCGPTN, b"\0" * 4)
    except OSError:
        os.close(fd)
        raise ProtocolError("the child sent no console", why="its descriptor is no pty master") from None
    return fd


def open_fifos(directory: str) -> tuple[int, int]:
    """Make both FIFOs of a container and open them for its init: (start, error).

    O_RDWR, so that opening never blocks and the init itself keeps each FIFO alive: it needs only read, write and
    close after its seccomp filter is in place, and no path of the host.
    """
    fds = []
    try:
        for name in (START_FIFO, ERROR_FIFO):
            path = os.path.join(directory, name)
            os.mkfifo(path, 0o600)
            fds.append(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW))
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return fds[0], fds[1]
