"""The cgroup files of a host, as contract tests and reference managers use them: the kernel's, or a fake of them.

``fake_cgroup.FakeCgroups`` has the same methods; a table in the tests holds both to the same refusals.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from corelaunch.api import cgroup_hierarchies


class KernelCgroups:
    """The cgroup filesystems that are mounted here. Every method raises OSError as the system call does.

    Attributes:
        enforces: whether limits are more than numbers in files.
    """

    enforces = True

    def roots(self) -> Mapping[str, str]:
        """Mount point per controller; "" is the unified hierarchy."""
        return {
            controller: hierarchy.mountpoint
            for hierarchy in cgroup_hierarchies()
            for controller in hierarchy.controllers or ("",)
        }

    def mkdir(self, path: str) -> None:
        """Make a cgroup."""
        os.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Remove a cgroup without processes and children."""
        os.rmdir(path)

    def children(self, path: str) -> list[str]:
        """Names of the cgroups directly below; [] if it is gone."""
        try:
            with os.scandir(path) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:  # a service manager may remove it at any moment
            return []

    def read(self, path: str) -> str:
        """A control file, without the newline at its end."""
        with open(path, encoding="utf-8") as file:
            return file.read().rstrip("\n")

    def write(self, path: str, value: str) -> None:
        """Write a control file in one write(2)."""
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)

    def processes(self, path: str) -> list[int]:
        """Pids of one cgroup, without those below; [] if it is gone."""
        try:
            return [int(pid) for pid in self.read(f"{path}/cgroup.procs").split()]
        except FileNotFoundError:
            return []
        except OSError as error:
            if error.errno == errno.ENODEV:  # removed while it was read
                return []
            raise
