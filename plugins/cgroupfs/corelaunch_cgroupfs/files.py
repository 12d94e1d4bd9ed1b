"""Reading and writing the control files of cgroups, with errors that say which file refused which value.

Directories of a cgroup filesystem are made by the kernel and hold no links; what comes from a config is checked to
be one path component before it is used as a name (:func:`component`). Files are opened without following links all
the same, so that a path that is not in a cgroup filesystem cannot lead elsewhere.
"""

from __future__ import annotations

import errno
import os

from corelaunch.api import ConfigError, KernelError, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rollback import Writes

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


class Controls:
    """The control files of one directory, written for one part of ``linux.resources``.

    Attributes:
        directory: the cgroup, in one hierarchy.
        where: JSON path that the values come from, for errors.
        writes: what notes each write, None if it need not be set back.
    """

    def __init__(self, directory: str, where: str, writes: Writes | None = None) -> None:
        self.directory = directory
        self.where = where
        self.writes = writes

    def path(self, name: str) -> str:
        """The control file of this name."""
        return f"{self.directory}/{name}"

    def has(self, name: str) -> bool:
        """Whether this kernel has such a control here."""
        return os.access(self.path(name), os.F_OK)

    def read(self, name: str) -> str:
        """Its value; KernelError if it cannot be read."""
        return read_checked(self.path(name))

    def set(self, name: str, value: str, hint: str = "") -> None:
        """Write a control; see :meth:`set_each`."""
        self.set_each(name, [value], hint)

    def set_each(self, name: str, values: Sequence[str], hint: str = "") -> None:
        """Write values to a control one after the other, each in a write(2) of its own.

        Raises:
            Unsupported: this kernel has no such control here.
            KernelError: the kernel refuses; the error has path, value and errno.
        """
        value = ""
        try:
            fd = os.open(self.path(name), WRITE)
            try:
                for value in values:
                    if self.writes is not None:
                        self.writes.note(self.path(name), value)
                    os.write(fd, value.encode())
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno == errno.ENOENT and os.path.isdir(self.directory):
                raise Unsupported(
                    f"no control {name}",
                    where=self.where,
                    why=f"not in {self.directory}: this kernel has none, or it is off",
                ) from error
            raise KernelError.of(f"cannot set {name} to {value!r}", error, where=self.path(name), hint=hint) from error

    def set_first(self, names: tuple[str, ...], value: str) -> None:
        """Write the first of several controls that this kernel has."""
        self.set(next((name for name in names if self.has(name)), names[-1]), value)
