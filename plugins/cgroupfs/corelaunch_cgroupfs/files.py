"""Reading and writing the files of cgroups, each in one system call of its kind.

Directories of a cgroup filesystem are made by the kernel and hold no links; what comes from a config is checked to
be one path component before it is used as a name (:func:`component`). Files are opened without following links all
the same, so that a path that is not in a cgroup filesystem cannot lead elsewhere.
"""

from __future__ import annotations

import os

from corelaunch.api import ConfigError, KernelError

READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
WRITE = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_CHUNK = 65536


def component(name: str, where: str) -> str:
    """Return ``name`` if it is one component of a path.

    Raises:
        ConfigError: it is empty, ``.``, ``..``, longer than the kernel takes, or has a ``/``, NUL or newline in it.
    """
    if name in ("", ".", "..") or any(c in name for c in "/\0\n") or len(os.fsencode(name)) > 255:
        raise ConfigError("invalid name in a cgroup path", where=where, why=repr(name))
    return name


def read(path: str) -> str:
    """The whole file, without the newline at its end.

    Raises:
        OSError: as open(2) and read(2).
    """
    fd = os.open(path, READ)
    try:
        chunks = []
        while chunk := os.read(fd, _CHUNK):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks).decode().rstrip("\n")


def read_checked(path: str) -> str:
    """As :func:`read`; KernelError instead of OSError."""
    try:
        return read(path)
    except OSError as error:
        raise KernelError.of("cannot read cgroup", error, where=path) from error


def write(path: str, value: str) -> None:
    """Write a value in one write(2), as the kernel wants it.

    Raises:
        OSError: as open(2) and write(2); its ``filename`` is the path in either case.
    """
    fd = os.open(path, WRITE)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def number(path: str) -> int:
    """The number in a file; -1 if there is no such file or it says ``max``."""
    try:
        text = read(path)
    except OSError:
        return -1
    return -1 if text == "max" else int(text)


def keys(path: str) -> dict[str, int]:
    """A file of ``key number`` lines (memory.stat, cpu.stat); {} if there is no such file."""
    try:
        lines = read(path).split("\n")
    except OSError:
        return {}
    return {key: int(value) for key, blank, value in (line.partition(" ") for line in lines) if blank}
