"""Directories that are made once for a name and kept while they are used: images, templates.

Each has a lock file beside it. Whoever uses a directory holds its lock shared, so it is not removed under a running
guest of any checkout; whoever makes or removes it holds the lock alone. A directory appears under its name only when
it is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .keeper import kept


def cache_directory() -> Path:
    """Where images and templates are kept: $XDG_CACHE_HOME/corelaunch/vm or ~/.cache/corelaunch/vm."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "corelaunch" / "vm"


def digest(*parts: str | bytes) -> str:
    """16 hex digits that stand for the parts in their order."""
    hashed = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hashed.update(len(data).to_bytes(8, "little") + data)  # or ("ab", "c") were ("a", "bc")
    return hashed.hexdigest()[:16]


@contextmanager
def held(directory: Path, make: Callable[[Path], None], *, anew: bool = False) -> Iterator[Path]:
    """Give the directory until the end of the block, after making it if it is missing.

    Args:
        make: fills the directory that it is given, which stands beside the final one until it is whole.
        anew: make it even if it exists; a guest that runs from the old one is not disturbed, its files are open.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(_lock_file(directory), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        # Shared and alone are not exchanged in one step, so what was seen under the one is looked at again.
        while anew or not directory.exists():
            fcntl.flock(lock, fcntl.LOCK_EX)
            if anew or not directory.exists():
                _make(directory, make)
            anew = False
            fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(lock)
        yield directory
    finally:
        os.close(lock)


def trim(parent: Path, prefix: str, keep: int) -> list[Path]:
    """Remove what begins with ``prefix``, is not in use and is not among the ``keep`` that were used last."""
    locks = sorted(parent.glob(f".{prefix}*.lock"), key=lambda path: path.stat().st_mtime, reverse=True)
    removed = []
    for path in locks[keep:]:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # in use
        else:
            directory = parent / path.name.removeprefix(".").removesuffix(".lock")
            _remove_unfinished(directory)
            if directory.exists():
                shutil.rmtree(directory)
                removed.append(directory)
        finally:
            os.close(lock)  # the file stays: another may be waiting with it open
    return removed


def say(text: str) -> None:
    """One line on stderr: what takes so long."""
    print(f"vm: {text}", file=sys.stderr, flush=True)


def _make(directory: Path, make: Callable[[Path], None]) -> None:
    _remove_unfinished(directory)  # of a run that was killed: the lock is ours alone
    fresh = directory.with_name(f"{directory.name}.{os.getpid()}.new")
    try:
        with kept(fresh):
            make(fresh)
            if directory.exists():
                directory.rename(fresh.with_suffix(".old.new"))
            fresh.rename(directory)  # and so out of the keeper's reach
    finally:
        _remove_unfinished(directory)


def _remove_unfinished(directory: Path) -> None:
    for path in directory.parent.glob(f"{directory.name}.*.new"):
        shutil.rmtree(path, ignore_errors=True)  # the keeper of a killed run may be at it, too


def _lock_file(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.lock")
