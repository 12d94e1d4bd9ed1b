"""Programs of others, and files that say which to run: found, and refused if somebody else could have written them."""

from __future__ import annotations

import os

from corelaunch.api import ConfigError, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def check_trusted(path: str) -> None:
    """Refuse what somebody else could have written: a program, or a file that says which programs to run and how.

    For root it must be root's, for an ordinary user root's or his own; so must every directory above it, both as
    written and where links lead.

    Raises:
        ConfigError: it is not, or it is not an absolute path.
        KernelError: it is not there (ENOENT).
    """
    if not os.path.isabs(path):
        raise ConfigError("not trusted", where=path, why="it is not an absolute path")
    for place in {os.path.abspath(path), os.path.realpath(path)}:
        while True:
            _check_owner(place)
            if place == "/":
                break
            place = os.path.dirname(place)


def _check_owner(path: str) -> None:
    try:
        found = os.stat(path)
    except OSError as error:
        raise KernelError.of("cannot look at", error, where=path) from error
    sticky_directory = found.st_mode & 0o1000 and found.st_mode & 0o040000
    if found.st_uid not in {0, os.geteuid()} or (found.st_mode & 0o022 and not sticky_directory):
        raise ConfigError(
            "not trusted",
            where=path,
            why="it belongs to, or can be written by, somebody else",
            hint=f"chown root {path} && chmod go-w {path}",
        )


def find(name: str, directories: Sequence[str], package: str) -> str:
    """The absolute path, without links, of a program that may be trusted.

    Args:
        directories: where to look; the first one that has it counts.
        package: which Debian package has it, for the error.

    Raises:
        ConfigError: it is in none of them, or somebody else could have written it.
    """
    for directory in directories:
        path = os.path.join(directory, name)
        if os.path.exists(path):
            check_trusted(path)
            if not os.access(path, os.X_OK) or os.path.isdir(path):
                raise ConfigError("not a program", where=path, why="it cannot be executed", hint=f"chmod +x {path}")
            return os.path.realpath(path)
    why = f"it is not in {', '.join(directories)}"
    raise ConfigError(f"no program {name!r}", why=why, hint=f"apt install {package}" if package else "")
