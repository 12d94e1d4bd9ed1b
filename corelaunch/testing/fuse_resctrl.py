"""A resctrl file system for machines without the hardware: the model of ``resctrl_model``, mounted through FUSE.

    with mounted(directory, resctrl_machine.RDT):
        manager = MyRdtManager(root=directory)

What is done to it are real system calls, from any process. It needs root, /dev/fuse, libfuse3 and ``pip install
mfusepy``. It differs from the real one in its type (``fuse.resctrl``, so it must be told where it is), in
/proc/PID/cpu_resctrl_groups (knows nothing of it), and in that the children of a process are not in its group.

``.control`` in its root, which the real one has not, takes what counters are to say: ``GROUP FILE TEXT``, for example
``a mon_data/mon_L3_00/llc_occupancy Unavailable``.
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import resctrl_machine
from .resctrl_model import Group, ResctrlModel

#: How long the server may take to mount.
_PATIENCE = 10.0
_CONTROL = "/.control"
#: Machines by the name in ``resctrl_machine``, for the command line of the server.
_MACHINES: Mapping[str, resctrl_machine.Machine] = {
    name: value for name, value in vars(resctrl_machine).items() if isinstance(value, resctrl_machine.Machine)
}


def lacks() -> str:
    """What this machine lacks for it, "" if nothing."""
    if os.geteuid() != 0:
        return "root, to mount a FUSE file system"
    if not os.path.exists("/dev/fuse"):
        return "/dev/fuse"
    try:
        import mfusepy  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        return "mfusepy (pip install mfusepy)"
    except OSError as error:
        return f"libfuse3 ({error})"
    return ""


@contextmanager
def mounted(directory: Path, machine: resctrl_machine.Machine) -> Iterator[str]:
    """Mount it on a directory, served by a process of its own; yields the path. It is unmounted with all groups."""
    name = next(name for name, value in _MACHINES.items() if value is machine)
    before = directory.stat().st_dev
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    server = subprocess.Popen(
        [sys.executable, "-m", __name__, str(directory), name], stdin=subprocess.PIPE, env=environment
    )
    try:
        deadline = time.monotonic() + _PATIENCE
        while directory.stat().st_dev == before:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the FUSE server did not mount {directory} (exit code {server.poll()})")
            time.sleep(0.005)
        yield str(directory)
    finally:
        assert server.stdin is not None
        server.stdin.close()  # the server unmounts and ends
        server.wait(_PATIENCE)


class ResctrlOperations:
    """What libfuse asks for, in the words of mfusepy. One thread serves it, so nothing is locked."""

    use_ns = True
    #: Files are known by the number that ``open`` gave them, so that they outlive their group (ENODEV).
    flag_nopath = True
    flag_nullpath_ok = True

    def __init__(self, model: ResctrlModel) -> None:
        self.model = model
        self._inodes: dict[str, int] = {}
        self._last_inode = 1
        self._modes: dict[str, int] = {}
        self._open: dict[int, tuple[Group, str]] = {}
        self._open_directories: dict[int, str] = {}
        self._last_directory = 0
        self._attributes: dict[str, dict[str, bytes]] = {}

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """Sizes are 0, as the real one's."""
        is_directory = path is not None and self.model.directories(path) is not None
        if path is None or path == _CONTROL:
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1}
        if not is_directory and not self.model.is_file(path):
            raise self._error(errno.ENOENT)
        if is_directory:
            group, rest = self.model.find(path)
            mode = stat.S_IFDIR | (0o755 if group is not self.model.root and not rest else 0o555)
        else:
            mode = stat.S_IFREG | (0o644 if self.model.writable(path) else 0o444)
        links = 2 if is_directory else 1
        return {"st_mode": self._modes.get(path, mode), "st_nlink": links, "st_ino": self._inode(path)}

    def opendir(self, path: str) -> int:
        """A number for the directory."""
        self._last_directory += 1
        self._open_directories[self._last_directory] = path
        return self._last_directory

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        """Names, with their inodes: readdir(3) passes over what has none."""
        directory = self._open_directories[fh]
        names = self.model.directories(directory) or []
        return [(name, {"st_ino": self._inode(f"{directory.rstrip('/')}/{name}")}, 0) for name in (".", "..", *names)]

    def releasedir(self, path: str, fh: int) -> int:
        """Forget the number."""
        self._open_directories.pop(fh, None)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        """Make a group."""
        self.model.mkdir(path)
        return 0

    def rmdir(self, path: str) -> int:
        """Remove a group, full or not."""
        self.model.rmdir(path)
        for known in (self._inodes, self._attributes, self._modes):
            for name in [name for name in known if name == path or name.startswith(f"{path}/")]:
                del known[name]
        return 0

    def open(self, path: str, flags: int) -> int:
        """A number for the file."""
        if path != _CONTROL and flags & os.O_ACCMODE != os.O_RDONLY and not self.model.writable(path):
            raise self._error(errno.EACCES)  # the kernel's own check lets root pass
        number = max(self._open, default=0) + 1
        self._open[number] = (self.model.root, ".control") if path == _CONTROL else self.model.find(path)
        return number

    def release(self, path: str, fh: int) -> int:
        """Forget the number."""
        self._open.pop(fh, None)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """From an offset."""
        return self.model.read(*self._open[fh]).encode()[offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Each write is a command; offsets mean nothing."""
        import mfusepy

        group, name = self._open[fh]
        text = bytes(data).decode("latin-1")
        if name == ".control":
            self._control(text)
        else:
            self.model.write(group, name, text, mfusepy.fuse_get_context()[2])
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """Taken, and without effect."""
        return 0

    def chmod(self, path: str, mode: int) -> int:
        """Taken."""
        self._modes[path] = mode
        return 0

    def unlink(self, path: str) -> int:
        """No file goes by itself."""
        raise self._error(errno.EPERM)

    def rename(self, old: str, new: str) -> int:
        """No group is renamed."""
        raise self._error(errno.EPERM)

    def symlink(self, target: str, source: str) -> int:
        """There are none."""
        raise self._error(errno.EPERM)

    def link(self, target: str, source: str) -> int:
        """Nor these."""
        raise self._error(errno.EPERM)

    def create(self, path: str, mode: int, fi: object = None) -> int:
        """Nobody makes files."""
        raise self._error(errno.EACCES)

    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
        """One attribute."""
        self._check_space(name)
        try:
            return self._attributes.get(path, {})[name]
        except KeyError:
            raise self._error(errno.ENODATA) from None

    def listxattr(self, path: str) -> list[str]:
        """Their names."""
        return sorted(self._attributes.get(path, {}))

    def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> int:
        """Set one: the kernel has the name spaces trusted and security."""
        self._check_space(name)
        found = self._attributes.setdefault(path, {})
        if options & os.XATTR_CREATE and name in found:
            raise self._error(errno.EEXIST)
        found[name] = bytes(value)
        return 0

    def removexattr(self, path: str, name: str) -> int:
        """Remove one."""
        self.getxattr(path, name)
        del self._attributes[path][name]
        return 0

    def _check_space(self, name: str) -> None:
        if not name.startswith(("trusted.", "security.")):
            raise self._error(errno.ENOTSUP)

    def _inode(self, path: str) -> int:
        if path not in self._inodes:
            self._inodes[path] = self._last_inode
            self._last_inode += 1
        return self._inodes[path]

    def _control(self, text: str) -> None:
        group, file, value = text.strip().split(" ", 2)
        self.model.find(group)[0].counters[file] = value

    def _error(self, number: int) -> OSError:
        return OSError(number, os.strerror(number))


def serve(directory: str, machine: resctrl_machine.Machine) -> None:
    """Mount, and serve until standard input ends."""
    import mfusepy

    threading.Thread(target=_unmount_at_end_of_input, args=(directory,), daemon=True).start()
    mfusepy.FUSE(
        ResctrlOperations(ResctrlModel(machine)),
        directory,
        foreground=True,
        nothreads=True,
        direct_io=True,
        use_ino=True,
        # The kernel would remember names and attributes of groups that are gone.
        entry_timeout=0,
        attr_timeout=0,
        negative_timeout=0,
        fsname="resctrl",
        subtype="resctrl",
        allow_other=True,
        default_permissions=True,
    )


def _unmount_at_end_of_input(directory: str) -> None:
    sys.stdin.read()
    # Lazily: a test that failed may have left a file open.
    subprocess.run(["umount", "-l", directory], check=False)
    os._exit(0)  # FUSE's loop ends only when the last such file is closed


if __name__ == "__main__":
    serve(sys.argv[1], _MACHINES[sys.argv[2]])
