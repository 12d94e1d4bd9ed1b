"""``mounts`` of the config -> MOUNT, BIND and ATTACH operations, in the order of the config."""

from __future__ import annotations

from posixpath import isabs, join, normpath

from ..errors import ConfigError
from ..kernel.native import lib
from ..spec.id_mappings import text_of
from ..spec.mount_options import RDONLY, MountOptions
from ..spec.mounts import cleaned
from .cgroup_mounts import cgroup_mounts
from .dev import DevicePlan
from .operation import IdMap, Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .facts import Facts

#: Filesystems whose target must not be reached through a link (CVE-2019-19921, CVE-2023-27561).
_PLAIN_TARGETS = ("proc", "sysfs")
#: Filesystems whose superblock is the kernel's own and shared: "ro" is a matter of the mount alone.
_SHARED_SUPERBLOCKS = ("cgroup", "cgroup2", "devtmpfs")


class MountPlan:
    """The operations that make the container's mounts, and what is left to do at the end.

    Attributes:
        operations: in order, up to the hooks point.
        read_only: paths that become read-only only after everything has been put into them.
    """

    def __init__(self, config: Mapping[str, Any], facts: Facts, warnings: list[str]) -> None:
        """Plan all mounts of a checked config; sentences for the user are added to ``warnings``.

        Raises:
            ConfigError, Unsupported: a mount that cannot be planned.
        """
        self._facts = facts
        self._warnings = warnings
        self.operations: list[Operation] = []
        self.read_only: list[str] = []
        entries: Sequence[Mapping[str, Any]] = config.get("mounts") or ()
        options = [MountOptions(m.get("options") or (), f"mounts[{i}]") for i, m in enumerate(entries)]
        destinations = [cleaned(mount["destination"]) for mount in entries]
        held: int | None = None
        foreign = False
        for index, destination in enumerate(destinations):
            if destination == "/dev":
                # A bind, or the host's own devtmpfs, is somebody else's directory: nothing is made in it.
                foreign = foreign or options[index].bind or entries[index].get("type") == "devtmpfs"
                held = index if entries[index].get("type") == "tmpfs" and not options[index].bind else None
        devices = None if foreign else DevicePlan(config, destinations, held, facts)
        for index, mount in enumerate(entries):
            holds = devices if index == held else None
            self.operations += self._mount(index, mount, destinations[index], options[index], holds)
        if devices is not None:
            self.operations += devices.late()

    def _mount(
        self,
        index: int,
        mount: Mapping[str, Any],
        destination: str,
        options: MountOptions,
        devices: DevicePlan | None,
    ) -> Iterator[Operation]:
        where = f"mounts[{index}]"
        if options.bind:
            yield self._bind(mount, destination, options, where)
        elif mount.get("type") == "cgroup":
            yield from cgroup_mounts(destination, options, self._facts, where, self._warnings)
        elif devices is None:
            yield self._fresh(mount, destination, options)
        else:
            yield self._fresh(mount, destination, options, hold=True)
            yield from devices.held()
            yield Operation(lib.CL_OP_ATTACH, "", "", destination, numbers=(0, options.propagation))

    def _fresh(
        self, mount: Mapping[str, Any], destination: str, options: MountOptions, hold: bool = False
    ) -> Operation:
        kind = mount.get("type") or ""
        attributes = options.set
        flags = _proc_flag(destination)
        if kind in _PLAIN_TARGETS:
            flags |= lib.CL_FLAG_PLAIN_TARGET
        if attributes & RDONLY:
            if kind == "tmpfs" or destination == "/dev":
                attributes &= ~RDONLY
                self.read_only.append(destination)
            elif kind not in _SHARED_SUPERBLOCKS:
                flags |= lib.CL_FLAG_SUPER_READONLY
        if options.copy_up:
            flags |= lib.CL_FLAG_COPY_UP
        data = options.superblock + _data(kind, options.data)
        # What is held gets its propagation where it is attached.
        numbers = (attributes, 0 if hold else options.propagation, len(data))
        if hold:
            flags |= lib.CL_FLAG_HOLD
        source = mount.get("source") or kind
        return Operation(lib.CL_OP_MOUNT, kind, source, destination, data, flags=flags, numbers=numbers)

    def _bind(self, mount: Mapping[str, Any], destination: str, options: MountOptions, where: str) -> Operation:
        source = mount.get("source") or ""
        if not isabs(source):
            if not self._facts.bundle:
                why = f"{source!r} is relative, and there is no bundle to start from"
                raise ConfigError("config.json", where=f"{where}.source", why=why, hint="write it absolute")
            source = normpath(join(self._facts.bundle, source))
        if options.superblock:
            self._warnings.append(f"{where}.options: {', '.join(options.superblock)}: means nothing for a bind")
        flags = _proc_flag(destination) | (lib.CL_FLAG_RECURSIVE if options.recursive else 0)
        id_map = _id_map(mount, options)
        if self._facts.sources_from_parent or id_map is not None:
            flags |= lib.CL_FLAG_FROM_PARENT
        numbers = (options.attributes, options.tree_attributes, options.propagation)
        return Operation(lib.CL_OP_BIND, "", source, destination, flags=flags, numbers=numbers, id_map=id_map)


def _id_map(mount: Mapping[str, Any], options: MountOptions) -> IdMap | None:
    if not (options.id_mapped or mount.get("uidMappings")):
        return None
    return IdMap(text_of(mount.get("uidMappings")), text_of(mount.get("gidMappings")), options.id_mapped_tree)


def _proc_flag(destination: str) -> int:
    # The check has refused every destination below /proc but those of the fixed list.
    return lib.CL_FLAG_ALLOW_PROC if destination == "/proc" or destination.startswith("/proc/") else 0


def _data(kind: str, words: Sequence[str]) -> list[str]:
    """Each option of the filesystem by itself: mount(2) takes them joined by commas, so they come joined at times."""
    if kind == "overlay":  # paths with escaped commas
        return list(words)
    return [part for word in words for part in word.split(",") if part]
