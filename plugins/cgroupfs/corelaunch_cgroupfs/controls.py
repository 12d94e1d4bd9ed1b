"""The control files of a cgroup, written for one part of ``linux.resources``: errors say which file refused what."""

from __future__ import annotations

import errno
import os

from corelaunch.api import KernelError, Unsupported

from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rollback import Writes


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
        return files.read_checked(self.path(name))

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
            fd = os.open(self.path(name), files.WRITE)
            try:
                for value in values:
                    if self.writes is not None:
                        self.writes.note(self.path(name), value)
                    os.write(fd, value.encode())
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno == errno.ENOENT and os.path.isdir(self.directory):
                from .controllers import why_missing

                why = why_missing(self.directory, name)
                raise Unsupported(f"no control {name}", where=self.where, why=why) from error
            raise KernelError.of(f"cannot set {name} to {value!r}", error, where=self.path(name), hint=hint) from error

    def set_first(self, names: tuple[str, ...], value: str) -> None:
        """Write the first of several controls that this kernel has."""
        self.set(next((name for name in names if self.has(name)), names[-1]), value)
