"""Reading and writing the files of resctrl; a refusal comes with the kernel's own words about it.

The words are in ``info/last_cmd_status``, one buffer of 512 bytes for the whole machine. They are reported only where
they are known to be ours: a command that got as far as being carried out clears the buffer first, so what is there
after it failed is about it; ``mkdir`` only adds to it, so what was there before is left out. A command that is refused
earlier (the group is gone, the text is longer than a page) leaves the words of somebody else's failure there. The
callers hold the :mod:`lock`.
"""

from __future__ import annotations

import errno
import os

from corelaunch.api import KernelError

_WRITE = os.O_WRONLY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_CLOEXEC
_CHUNK = 1 << 16

#: What write(2) gives before the kernel has looked at the command, so that the status is an older one's: kernfs knows
#: that the group is gone (ENODEV, ENOENT) or that the text is too long (E2BIG), and a signal may come first.
_BEFORE_THE_COMMAND = frozenset((errno.ENODEV, errno.ENOENT, errno.E2BIG, errno.EINTR, errno.ENOMEM))

#: How the kernel writes an empty status.
_NOTHING = "ok"

_ROOT_ONLY = "groups are made and filled by root, or by the owner that root gave their files"
_READ_ONLY = "mount -o remount,rw, or give the runtime a mount of its own that can be written"


def read(path: str) -> str:
    """The whole file. Raises OSError."""
    fd = os.open(path, _READ)
    try:
        chunks = []
        while chunk := os.read(fd, _CHUNK):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks).decode("ascii", "replace")


def value(path: str) -> str:
    """The file without blanks around it, "" if there is none."""
    try:
        return read(path).strip()
    except OSError:
        return ""


def figure(path: str, base: int = 10) -> int | None:
    """The file as a number, None if there is none or it is something else."""
    try:
        return int(value(path), base)
    except ValueError:
        return None


def status(root: str) -> str:
    """What ``info/last_cmd_status`` says now, "" for nothing."""
    text = value(f"{root}/info/last_cmd_status")
    return "" if text == _NOTHING else text


def write(root: str, path: str, text: str, what: str) -> None:
    """Write a command in one write(2): the kernel carries out each write by itself, all of it or nothing.

    Args:
        root: where the filesystem is mounted.
        path: the file.
        text: the command.
        what: what cannot be done if it is refused, for the error.

    Raises:
        KernelError: ``why`` has errno's words, the command and the kernel's words.
    """
    try:
        fd = os.open(path, _WRITE)
    except OSError as error:
        raise refusal(what, path, error, text) from error
    try:
        os.write(fd, text.encode())
    except OSError as error:
        words = "" if error.errno in _BEFORE_THE_COMMAND else status(root)
        raise refusal(what, path, error, text, words) from error
    finally:
        os.close(fd)


def added(before: str, after: str) -> str:
    """The words that a command which only adds to the status has added."""
    if after.startswith(before):
        return after[len(before) :].strip()
    return after  # somebody's command has cleared it meanwhile, so all that is there is new


def refusal(what: str, path: str, error: OSError, text: str = "", words: str = "") -> KernelError:
    """The error for a refusal by the kernel."""
    number = error.errno or 0
    why = os.strerror(number).lower()
    command = text.strip().replace("\n", "; ")
    if command:
        why += f" for {command!r}"
    if words:
        why += f": {words.replace(chr(10), '; ')}"
    hint = ""
    if number in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
        hint = _ROOT_ONLY
    elif number == errno.EROFS:
        hint = _READ_ONLY
    elif number in (errno.ENODEV, errno.ENOENT):
        hint = "the group was removed by somebody else, or resctrl was unmounted"
    return KernelError(what, where=path, why=why, hint=hint, errno=number)
