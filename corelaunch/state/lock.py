"""Who may change a container: flock on its journal, and who holds it.

The kernel drops an flock when its holder dies, so no lock outlives a kill -9. The holder's pid and start time are
kept beside it, for ``delete --force``, which must be able to say who is in the way and, in the end, to stop it.
"""

from __future__ import annotations

import fcntl
import os
import time
from errno import ENOENT

from ..api import ProcessHandle
from ..errors import DeadlineExceeded
from ..kernel import procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .journal import Journal

_HOLDER = "holder"
_POLL_SECONDS = 0.02


def take(journal: Journal, *, exclusive: bool, wait_seconds: float) -> None:
    """Lock an open journal; the lock goes with the descriptor.

    Raises:
        DeadlineExceeded: somebody else held it for all of ``wait_seconds``; ``why`` names the holder.
        FileNotFoundError: the journal was removed meanwhile.
    """
    operation = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(journal.fd, operation)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = read_holder(os.path.dirname(journal.path))
                raise DeadlineExceeded(
                    "container is busy",
                    where=os.path.basename(os.path.dirname(journal.path)),
                    why=f"process {holder.pid} is working on it" if holder else "another process is working on it",
                    hint="wait for it, or use delete --force",
                ) from None
            time.sleep(_POLL_SECONDS)
    # Deleted while we waited, or already another container's of the same id: its holder is none of our business.
    here, ours = os.lstat(journal.path), os.fstat(journal.fd)
    if (here.st_dev, here.st_ino) != (ours.st_dev, ours.st_ino):
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), journal.path)
    if exclusive:
        _write_holder(os.path.dirname(journal.path))


def release(journal: Journal) -> None:
    """Unlock an open journal."""
    fcntl.flock(journal.fd, fcntl.LOCK_UN)


def _write_holder(directory: str) -> None:
    text = f"{os.getpid()} {procfs.start_time(os.getpid())}".encode()
    fd = os.open(
        os.path.join(directory, _HOLDER), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def read_holder(directory: str) -> ProcessHandle | None:
    """The process that last took the exclusive lock, if it is still alive; it may have released it since."""
    try:
        fd = os.open(os.path.join(directory, _HOLDER), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        words = os.read(fd, 64).split()
    finally:
        os.close(fd)
    if len(words) != 2 or not (words[0].isdigit() and words[1].isdigit()):
        return None
    handle = ProcessHandle(int(words[0]), int(words[1]))
    return handle if procfs.start_time(handle.pid) == handle.start_time else None
