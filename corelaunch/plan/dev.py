"""/dev: device nodes and links, and the tmpfs that they are made in.

A tmpfs of the config for /dev is filled while it is detached: nothing of the image lies on the way, so no link of
the image can lead a mknod to the host (CVE-2026-41579, CVE-2026-47766). The kernel refuses to mount on a detached
mount before 6.15, so in a user namespace, where mknod is refused and nodes are binds of the host's, empty files are
made in it and the binds follow when it is attached.
"""

from __future__ import annotations

import stat
from posixpath import dirname

from ..kernel.native import lib
from ..records import Record
from ..spec.mounts import cleaned
from .operation import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from .facts import Facts

_FORMATS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
_DEFAULT_MODE = 0o666

#: Devices that every container has (runtime-spec, config-linux.md, "Default Devices"); /dev/console and /dev/ptmx
#: are made otherwise.
_DEFAULTS = (
    ("/dev/null", 1, 3),
    ("/dev/random", 1, 8),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/zero", 1, 5),
    ("/dev/urandom", 1, 9),
)

#: runtime-spec, config-linux.md, "Dev symbolic links"
_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
)


class Node(Record):
    """A device node, named pipe included."""

    #: Cleaned absolute path in the container.
    path: str
    #: With S_IFMT.
    mode: int
    major: int
    minor: int
    uid: int = 0
    gid: int = 0


def nodes(config: Mapping[str, Any]) -> list[Node]:
    """The nodes of the container: the default ones, then those of the config, which win on the same path."""
    found: dict[str, Node] = {}
    for name, major, minor in _DEFAULTS:
        found[name] = Node(name, stat.S_IFCHR | _DEFAULT_MODE, major, minor)
    for device in (config.get("linux") or {}).get("devices") or ():
        path = cleaned(device["path"])
        if path == "/dev/ptmx":
            continue  # always the link to the container's own devpts
        mode = device.get("fileMode")
        # fileMode may come with the type bits of stat(2): podman sends it so.
        bits = _FORMATS[device["type"]] | (_DEFAULT_MODE if mode is None else mode & 0o7777)
        found[path] = Node(
            path,
            bits,
            device.get("major") or 0,
            device.get("minor") or 0,
            device.get("uid") or 0,
            device.get("gid") or 0,
        )
    return list(found.values())


class DevicePlan:
    """How the nodes and links of one container are made.

    Args:
        config: a checked config.
        mounts: cleaned destinations of its mounts, in order.
        held: index of the mount that is the tmpfs of /dev, None if there is none.
    """

    def __init__(self, config: Mapping[str, Any], mounts: Sequence[str], held: int | None, facts: Facts) -> None:
        self._facts = facts
        found = nodes(config)
        taken = {node.path for node in found}
        links = [(path, target) for path, target in _LINKS if path not in taken]
        if facts.kcore and "/dev/core" not in taken:
            links.append(("/dev/core", "/proc/kcore"))
        links.append(("/dev/ptmx", "pts/ptmx"))
        if held is None:
            self._held: list[Node] = []
            self._late, self._links, self._held_links = found, links, []
        else:
            # What lies below a later mount would be covered by it: such a node is made in that mount.
            covers = tuple(f"{path}/" for path in mounts[held + 1 :] if path.startswith("/dev/"))
            self._held, self._late = [], []
            for node in found:
                early = node.path.startswith("/dev/") and not node.path.startswith(covers)
                (self._held if early else self._late).append(node)
            self._held_links, self._links = links, []

    def held(self) -> Iterator[Operation]:
        """What is made in the tmpfs of /dev while it is detached; paths begin at its root."""
        yield from self._make(self._held, lib.CL_FLAG_IN_HELD, len("/dev"))
        for path, target in self._held_links:
            yield Operation(lib.CL_OP_SYMLINK, target, path[len("/dev") :], flags=lib.CL_FLAG_IN_HELD)

    def late(self) -> Iterator[Operation]:
        """What is made through the rootfs, after all mounts."""
        yield from self._make(self._late, 0, 0)
        for path, target in self._links:
            yield Operation(lib.CL_OP_SYMLINK, target, path)
        if self._facts.binds_nodes:
            flags = lib.CL_FLAG_FROM_PARENT if self._facts.sources_from_parent else 0
            for node in (*self._held, *self._late):
                if not stat.S_ISFIFO(node.mode):
                    yield Operation(lib.CL_OP_BIND, "", node.path, node.path, flags=flags)

    def _make(self, found: Iterable[Node], flags: int, cut: int) -> Iterator[Operation]:
        seen: set[str] = set()
        for node in found:
            path = node.path[cut:]
            for directory in _ancestors(path):
                if directory not in seen:
                    seen.add(directory)
                    yield Operation(lib.CL_OP_DIRECTORY, directory, flags=flags, numbers=(0o755,))
            if self._facts.binds_nodes and not stat.S_ISFIFO(node.mode):
                yield Operation(lib.CL_OP_FILE, path, flags=flags, numbers=(0o644,))
            else:
                numbers = (node.mode, node.major << 32 | node.minor, node.uid << 32 | node.gid)
                yield Operation(lib.CL_OP_NODE, path, flags=flags, numbers=numbers)


def _ancestors(path: str) -> list[str]:
    found: list[str] = []
    parent = dirname(path)
    while parent not in ("", "/"):
        found.append(parent)
        parent = dirname(parent)
    return found[::-1]
