"""Namespaces that are joined by path: opened once, looked at through the descriptor, and that descriptor is joined."""

from __future__ import annotations

import os
from fcntl import ioctl

from ..errors import ConfigError
from .namespaces import with_article

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .namespaces import Join

#: ioctl_ns(2): the CLONE_NEW* of a descriptor of nsfs.
_NS_GET_NSTYPE = 0xB703


def open_namespace(join: Join) -> int:
    """Open a namespace for setns(2).

    Raises:
        ConfigError: it is not there, not a namespace, of another kind, or our own where that cannot be joined.
    """
    path, where, proc_name = join.path, join.where, join.proc_name
    try:
        # Only looked at first: opening a FIFO would wait, opening a device can do anything.
        seen = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            ours = os.stat(f"/proc/self/ns/{proc_name}")
            found = os.fstat(seen)
            # nsfs is one filesystem for the whole kernel.
            if found.st_dev != ours.st_dev:
                raise ConfigError(
                    "config.json",
                    where=where,
                    why=f"{path!r} is not a namespace",
                    hint="name a file below /proc/PID/ns, or a bind mount of one",
                )
            fd = os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(seen)
    except OSError as error:
        raise ConfigError(
            "config.json", where=where, why=f"{path!r}: {os.strerror(error.errno or 0).lower()}", errno=error.errno or 0
        ) from error
    why = ""
    if ioctl(fd, _NS_GET_NSTYPE) != join.bit:
        why = f"{path!r} is not {with_article(join.kind)} namespace"
    elif join.foreign and found.st_ino in (ours.st_ino, _of_first_process(proc_name)):
        why = f"{path!r} is the host's own {join.kind} namespace: {join.foreign}"
    if why:
        os.close(fd)
        raise ConfigError("config.json", where=where, why=why)
    return fd


def _of_first_process(proc_name: str) -> int:
    """Inode of the namespace of process 1, 0 if we may not see it: ours need not be the host's."""
    try:
        return os.stat(f"/proc/1/ns/{proc_name}").st_ino
    except OSError:
        return 0
