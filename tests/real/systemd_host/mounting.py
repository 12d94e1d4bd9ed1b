"""mount(2) and umount2(2)."""

from __future__ import annotations

import ctypes
import os

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SHARED = 1 << 20
MNT_DETACH = 2

_LIBC = ctypes.CDLL(None, use_errno=True)


def mount(kind: str, target: str, flags: int = 0, data: str = "", source: str = "") -> None:
    """Mount a file system of ``kind``, or bind ``source``; OSError says what the kernel said."""
    words = (source or kind or "none", target, kind or None)
    encoded = [None if word is None else word.encode() for word in words]
    if _LIBC.mount(*encoded, ctypes.c_ulong(flags), data.encode() or None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {kind or source}: {os.strerror(ctypes.get_errno())}", target)


def unmount(target: str) -> None:
    """Take away what is mounted at ``target``, with all below; whoever uses it keeps it."""
    if _LIBC.umount2(target.encode(), MNT_DETACH) != 0:
        raise OSError(ctypes.get_errno(), f"umount: {os.strerror(ctypes.get_errno())}", target)
