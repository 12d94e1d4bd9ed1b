"""The mount table of a process (/proc/PID/mountinfo, proc(5)) and the cgroup hierarchies in it (cgroups(7))."""

from __future__ import annotations

import os

from ..records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What cgroup v1 lists among its superblock options beside the controllers.
_NOT_CONTROLLERS = frozenset(
    ("rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods", "none", "all")
)


class Mount(Record):
    """One line of the table. Paths are decoded; options are as the kernel writes them."""

    mount_id: int
    parent_id: int
    #: "major:minor" of the filesystem.
    device: str
    #: The directory of the filesystem that is mounted.
    root: str
    mountpoint: str
    options: tuple[str, ...]
    #: "shared:N", "master:N", "propagate_from:N", "unbindable"
    propagation: tuple[str, ...]
    fstype: str
    source: str
    super_options: tuple[str, ...]


class Hierarchy(Record):
    """A mounted cgroup hierarchy.

    ``controllers`` of a v1 hierarchy are its own ("cpu", "cpuacct", "name=systemd"). Those of cgroup v2, version 2,
    are () here: each directory has its own, in cgroup.controllers.
    """

    controllers: tuple[str, ...]
    mountpoint: str
    root: str
    version: int


def parse(text: str) -> Iterator[Mount]:
    """The mounts of the text of a mountinfo file, in its order.

    Raises:
        ValueError: a line is not of that format.
    """
    for line in filter(None, text.split("\n")):  # not splitlines(): a path may hold a form feed
        fields = line.split(" ")
        try:
            end = fields.index("-", 6)
            fstype, source, super_options = fields[end + 1 : end + 4]
            yield Mount(
                int(fields[0]),
                int(fields[1]),
                fields[2],
                _unescape(fields[3]),
                _unescape(fields[4]),
                tuple(fields[5].split(",")),
                tuple(fields[6:end]),
                fstype,
                _unescape(source),
                tuple(super_options.split(",")),
            )
        except (ValueError, IndexError):
            raise ValueError(f"not a line of mountinfo: {line!r}") from None


def mounts(pid: int | str = "self") -> list[Mount]:
    """All mounts of a process."""
    return list(parse(_read(pid)))


def mounts_of_type(fstype: str, pid: int | str = "self") -> list[Mount]:
    """The mounts of one filesystem type, in the table's order; of a table of thousands only these lines are parsed."""
    mark = f" - {fstype} "
    return list(parse("\n".join(line for line in _read(pid).split("\n") if mark in line)))


def cgroup_hierarchies(pid: int | str = "self") -> list[Hierarchy]:
    """The cgroup hierarchies that are mounted; of a hierarchy that is mounted twice the first counts.

    The table of a busy host has thousands of lines, so only those of cgroups are parsed.
    """
    lines = [line for line in _read(pid).split("\n") if " - cgroup" in line]
    found: dict[tuple[str, ...], Hierarchy] = {}
    for mount in parse("\n".join(lines)):
        if mount.fstype == "cgroup2":
            found.setdefault(("",), Hierarchy((), mount.mountpoint, mount.root, 2))
        elif mount.fstype == "cgroup":
            controllers = tuple(
                option
                for option in mount.super_options
                if option not in _NOT_CONTROLLERS and not option.startswith("release_agent=")
            )
            found.setdefault(controllers, Hierarchy(controllers, mount.mountpoint, mount.root, 1))
    return list(found.values())


def _unescape(field: str) -> str:
    """Undo the kernel's octal escapes of blank, tab, newline and backslash."""
    if "\\" not in field:
        return field
    first, *rest = field.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def _read(pid: int | str) -> str:
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return os.fsdecode(file.read())
