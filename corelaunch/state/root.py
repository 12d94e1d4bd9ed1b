"""The state root and the directory of one container in it.

The root is 0700 and ours: whoever could write there could make ``delete`` kill processes and remove cgroups.
It is opened once, without following a symlink, and each container is reached through that descriptor.
"""

from __future__ import annotations

import os
import stat

from ..errors import ContainerExists, ContainerNotFound, CorelaunchError, InvalidId, KernelError
from ..kernel import procfs

DEFAULT_ROOT = "/run/corelaunch"

#: Letters of a container id; the same set as runc (and nothing that a shell, a path or a cgroup file minds).
_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")

#: NAME_MAX leaves room for what the state directory and the cgroup managers put around an id.
_ID_LIMIT = 255 - 32


def check_id(container_id: str) -> str:
    """Return the id if it can name a container.

    Raises:
        InvalidId: empty, ``.``, ``..``, too long, or a letter outside ``[A-Za-z0-9_+.-]``.
    """
    good = container_id and container_id not in (".", "..") and len(container_id) <= _ID_LIMIT
    if not good or not _ID_LETTERS.issuperset(container_id):
        raise InvalidId(container_id)
    return container_id


def default_root() -> str:
    """Where state is kept when nobody says: /run/corelaunch for root, the user's runtime directory otherwise.

    An XDG_RUNTIME_DIR that is empty is one that is not set: engines set it so.

    Raises:
        CorelaunchError: an ordinary user without XDG_RUNTIME_DIR; /tmp would be open to others, so it is no answer.
    """
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() == 0 and not (runtime_dir and _is_an_ordinary_user_outside()):
        return DEFAULT_ROOT
    if not runtime_dir:
        raise CorelaunchError(
            "no state root",
            why="XDG_RUNTIME_DIR is not set",
            hint="set it, or give --root a directory that only you can write",
        )
    return os.path.join(runtime_dir, "corelaunch")


def _is_an_ordinary_user_outside() -> bool:
    """Whether we, root, are so in a user namespace only, and were not somebody's root before (as runc decides it)."""
    return os.environ.get("USER") != "root" and procfs.in_user_namespace()


class StateRoot:
    """The directory below which every container has its own.

    Args:
        path: absolute or relative to the current directory; "" means :func:`default_root`.
    """

    def __init__(self, path: str = "") -> None:
        self.path = os.path.abspath(path or default_root())
        self._in_runtime_dir = not path and self.path != DEFAULT_ROOT
        if self.path == "/":
            raise CorelaunchError("cannot use / as the state root", hint="give --root a directory of its own")

    def directory(self, container_id: str) -> str:
        """Path of a container's state directory (which may not exist)."""
        return os.path.join(self.path, check_id(container_id))

    def prepare(self) -> None:
        """Make the root if it is missing, and refuse one that others could write.

        Raises:
            CorelaunchError: it is not a directory, not ours, or writable by others.
        """
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            try:
                os.makedirs(self.path, 0o700, exist_ok=True)
                if self._in_runtime_dir:
                    # The sticky bit keeps cleaners of the runtime directory away (XDG base directory spec).
                    os.chmod(self.path, 0o1700)
                found = os.lstat(self.path)
            except OSError as error:
                raise KernelError.of("cannot make the state root", error, where=self.path) from error
        if not stat.S_ISDIR(found.st_mode):
            raise CorelaunchError("cannot use the state root", where=self.path, why="it is not a directory")
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise CorelaunchError(
                "cannot use the state root",
                where=self.path,
                why="it belongs to, or can be written by, somebody else",
                hint="chown it to the user that runs corelaunch and chmod 0700",
            )

    def claim(self, container_id: str) -> str:
        """Make the state directory of a new container; the mkdir decides who gets the id. Returns its path.

        Raises:
            ContainerExists: somebody was faster.
        """
        directory = self.directory(container_id)
        try:
            os.mkdir(directory, 0o711)
        except FileExistsError:
            raise ContainerExists(container_id, hint="delete it first, or choose another id") from None
        except OSError as error:
            raise KernelError.of("cannot make the state directory", error, where=directory) from error
        return directory

    def existing(self, container_id: str) -> str:
        """Path of a container's state directory.

        Raises:
            ContainerNotFound: there is none.
        """
        path = self.directory(container_id)
        try:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                return path
        except OSError:
            pass
        raise ContainerNotFound(container_id)

    def ids(self) -> list[str]:
        """Ids of all containers that have a directory, sorted; [] if the root does not exist."""
        try:
            with os.scandir(self.path) as entries:
                names = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return sorted(n for n in names if n not in (".", "..") and _ID_LETTERS.issuperset(n))
