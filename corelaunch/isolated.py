"""The isolated interpreter of the command: what may be imported, and that nobody else could have written it.

No environment variable, user site, ``.pth`` file or working directory has a say in what is imported (plugin
hijacks: PYTHONPATH, HOME, the bundle as working directory).
"""

from __future__ import annotations

import gc
import posix
import sys

from .lazy_os import install as install_lazy_os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_WRITABLE_BY_OTHERS = 0o022
_STICKY = 0o1000
#: How a user namespace shows an owner that it does not map (/proc/sys/kernel/overflowuid).
_UNMAPPED = 65534


def start(directories: list[str], *, packed: bool = False) -> NoReturn:
    """Run the command line of this process with these directories on the import path, and exit.

    Args:
        directories: absolute paths; the first is the one that this package is in.
        packed: take the modules from their pack, which an installation has and a checkout has not.
    """
    if not (sys.flags.isolated and sys.flags.no_site):
        _fail("start it with the installed command, not with python -m (the environment could choose what is run)")
    if posix.geteuid() == 0:
        seen: set[str] = set()
        for directory in (f"{directories[0]}/corelaunch", *directories):
            _require_safe(directory, seen)
    sys.path[:] = [path for path in sys.path if path not in directories] + directories
    sys.argv[0] = "corelaunch"
    # A command ends before there is garbage worth collecting, and looking for it in all that was imported costs 1 ms.
    gc.disable()
    install_lazy_os()
    if packed:
        from . import code_pack, plugin_import

        code_pack.install(f"{directories[0]}/corelaunch")
        plugin_import.install(directories)
    try:
        from .cli.main import entry
    except ImportError as error:
        _fail(f"the installation is broken: {error}")
    entry()


def _require_safe(directory: str, seen: set[str]) -> None:
    """Refuse a directory where somebody else could put or exchange a module that root would run.

    Its parents count too: who may rename a directory may exchange it. In a sticky one (/tmp) nobody can.

    Args:
        seen: parents that were found safe before, and so are those above them.
    """
    path = directory
    while path == directory or path not in seen:
        try:
            status = posix.stat(path)
        except OSError as error:
            _fail(f"{path}: {error.strerror}")
        if status.st_mode & _WRITABLE_BY_OTHERS and (path == directory or not status.st_mode & _STICKY):
            _fail(f"{path} is writable by its group or by everybody; root runs code from there: chmod go-w it")
        if path == directory and status.st_uid != 0 and not (status.st_uid == _UNMAPPED and _in_user_namespace()):
            _fail(f"{path} belongs to user {status.st_uid}; root runs code from there: chown it to root")
        if path == "/":
            return
        if path != directory:
            seen.add(path)
        path = path.rpartition("/")[0] or "/"


def _in_user_namespace() -> bool:
    """Whether we are the root of a user namespace only: there the real root's files belong to nobody that is known."""
    fd = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, 4096).split() != [b"0", b"0", b"4294967295"]
    finally:
        posix.close(fd)


def _fail(why: str) -> NoReturn:
    posix.write(2, f"corelaunch: cannot start: {why}\n".encode("utf-8", "replace"))
    posix._exit(1)
