"""Find entry points by reading ``*.dist-info/entry_points.txt``: 0.4 ms where importlib.metadata costs 30.

There is no cache, so nothing can be out of date and nobody can poison it. Only the given directories are read:
those of ``sys.path``, which the isolated interpreter of the command keeps free of PYTHONPATH, the user's site and
the working directory. A test compares the result with importlib.metadata.
"""

from __future__ import annotations

import os
import stat
import sys

from ..errors import PluginError
from ..hookspecs import GROUPS
from ..records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KINDS = {group: kind for kind, group in GROUPS.items()}


class EntryPoint(Record):
    """One plugin as its distribution declares it, before anything of it is imported."""

    kind: str
    name: str
    #: "module" or "module:attribute".
    value: str
    distribution: str
    version: str
    #: Directory of the distribution's metadata.
    path: str

    @property
    def label(self) -> str:
        """Distribution and version, as errors and the journal name it: "corelaunch-cgroupfs 0.1.0"."""
        return f"{self.distribution} {self.version}"


def find(directories: Sequence[str]) -> list[EntryPoint]:
    """Every entry point of our groups in these directories; the first of two copies of a distribution counts.

    Raises:
        PluginError: we are root, and a plugin's metadata could have been written by somebody else.
    """
    found: list[EntryPoint] = []
    seen: set[str] = set()
    for directory in dict.fromkeys(directories):
        for metadata in _metadata_directories(directory):
            distribution, version = _split(metadata)
            key = distribution.replace("_", "-").lower()
            if key in seen:
                continue
            entries = list(_read(os.path.join(directory, metadata), key, version))
            if os.path.exists(os.path.join(directory, metadata)):
                seen.add(key)
            found.extend(entries)
    return found


def find_made_by(directories: Sequence[str], kind: str, name: str, label: str) -> EntryPoint | None:
    """The entry point of a distribution whose label a journal holds, without a look at the others; else None.

    Raises:
        PluginError: see :func:`find`.
    """
    distribution, _, version = label.partition(" ")
    metadata = f"{distribution.replace('-', '_')}-{version}.dist-info"
    for directory in directories:
        for entry in _read(os.path.join(directory, metadata), distribution, version):
            if (entry.kind, entry.name) == (kind, name):
                return entry
    return None


def plugin_directories() -> list[str]:
    """The directories of ``sys.path`` without those of the standard library, where no distribution is installed."""
    library = getattr(sys, "_stdlib_dir", "")
    return [path for path in sys.path if path not in (library, f"{library}/lib-dynload") and path[-4:] != ".zip"]


#: How a user namespace shows an owner that it does not map, as the real root (/proc/sys/kernel/overflowuid).
_UNMAPPED = 65534


def check_trusted(path: str) -> None:
    """Refuse, for root, a file or directory that somebody else could have written.

    Raises:
        PluginError: it, or the directory that holds it, is not root's or is writable by group or others.
    """
    if os.geteuid() != 0:
        return
    _require_roots(path)
    _require_roots(os.path.dirname(path) or ".")


def _require_roots(path: str) -> None:
    found = os.stat(path)
    if not _is_roots(found.st_uid) or (found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX):
        raise PluginError(
            "plugin refused",
            where=path,
            why="it belongs to, or can be written by, somebody other than root",
            hint="chown root and chmod go-w, or install it with pip as root",
        )


def _is_roots(uid: int) -> bool:
    if uid != _UNMAPPED:
        return uid == 0
    from ..kernel import procfs

    return procfs.in_user_namespace()


def check_code(entry: EntryPoint, module: str) -> None:
    """Refuse, for root and before anything of it is run, a plugin whose code somebody else could have written.

    Looked at are its metadata and, beside them, every package that leads to ``module``, with the files in it.

    Raises:
        PluginError: see :func:`check_trusted`.
    """
    if os.geteuid() != 0:
        return
    check_trusted(entry.path)
    place = os.path.dirname(entry.path)
    for part in module.split("."):
        place = os.path.join(place, part)
        for path in (place, f"{place}.py"):
            if os.path.exists(path):
                check_trusted(path)
        if os.path.isdir(place):
            for name in os.listdir(place):
                _require_roots(os.path.join(place, name))


def _metadata_directories(directory: str) -> list[str]:
    try:
        with os.scandir(directory or ".") as entries:
            # "~": pip moves what it is about to replace out of the way under such a name, and is not done yet.
            return sorted(e.name for e in entries if e.name.endswith(".dist-info") and not e.name.startswith("~"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []  # a zip file, a path entry that does not exist or is not for us: nothing is imported from there


def _split(metadata: str) -> tuple[str, str]:
    name, _, version = metadata[: -len(".dist-info")].partition("-")
    return name, version


def _read(path: str, distribution: str, version: str) -> Iterator[EntryPoint]:
    try:
        fd = os.open(os.path.join(path, "entry_points.txt"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        text = os.read(fd, os.fstat(fd).st_size).decode(errors="replace")
    finally:
        os.close(fd)
    if "corelaunch." not in text:
        return
    kind = None
    for line in text.split("\n"):
        line = line.strip()
        if line.startswith("["):
            kind = _KINDS.get(line.strip("[]").strip())
        elif kind and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield EntryPoint(kind, name.strip(), value.split("[")[0].strip(), distribution, version, path)
