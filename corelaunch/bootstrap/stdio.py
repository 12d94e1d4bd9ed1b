"""Standard streams and FIFOs of a child, and where its descriptors pointed before it could change them."""

from __future__ import annotations

import os

from ..records import Record

#: FIFOs in the state directory: ``start`` releases the init over the first and reads its last error from the second.
START_FIFO = "start.fifo"
ERROR_FIFO = "error.fifo"


class ProcessIO(Record):
    """Descriptors that become 0, 1 and 2 of the process; they stay the caller's and stay open."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


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
