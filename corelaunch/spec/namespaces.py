"""The kinds of namespace that a config may ask for, and their CLONE_NEW* bits (clone(2), namespaces(7))."""

from __future__ import annotations

from ..kernel.procfs import CLONE_NEWNS as CLONE_NEWNS
from ..kernel.procfs import NAMESPACES
from ..records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

CLONE_NEWTIME = 0x00000080
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

#: linux.namespaces[].type of the runtime-spec.
CLONE_BITS: dict[str, int] = {
    "pid": CLONE_NEWPID,
    "network": CLONE_NEWNET,
    "mount": CLONE_NEWNS,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "user": CLONE_NEWUSER,
    "cgroup": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
}


class Join(Record):
    """One namespace that a container joins by its path."""

    kind: str
    path: str
    #: JSON path of ``path``.
    where: str
    #: Why it must not be the runtime's own, "" if it may be.
    foreign: str = ""

    @property
    def bit(self) -> int:
        """Its CLONE_NEW*."""
        return CLONE_BITS[self.kind]

    @property
    def proc_name(self) -> str:
        """Its name below /proc/PID/ns."""
        return NAMESPACES[self.bit]


def with_article(kind: str) -> str:
    """ "a network", "an ipc": for sentences about a kind of namespace."""
    return f"{'an' if kind == 'ipc' else 'a'} {kind}"


def add_namespace(kind: str) -> str:
    """The hint of an error about a namespace that is missing."""
    return f'add {{"type": "{kind}"}} to linux.namespaces'


def new_namespaces(config: Mapping[str, Any]) -> int:
    """CLONE_NEW* bits of the namespaces that the container gets new (those without a path) in a checked config."""
    bits = 0
    for entry in (config.get("linux") or {}).get("namespaces") or ():
        if not entry.get("path"):
            bits |= CLONE_BITS[entry["type"]]
    return bits


def joined_namespaces(config: Mapping[str, Any]) -> tuple[Join, ...]:
    """The namespaces that the container joins (those with a path) in a checked config, in runc's order."""
    section: Mapping[str, Any] = config.get("linux") or {}
    found = [
        Join(entry["type"], entry["path"], f"linux.namespaces[{index}].path", _foreign(entry["type"], section))
        for index, entry in enumerate(section.get("namespaces") or ())
        if entry.get("path")
    ]
    return tuple(sorted(found, key=lambda join: _ORDER.index(join.bit)))


def _foreign(kind: str, section: Mapping[str, Any]) -> str:
    if kind == "user":
        return "setns(2) does not take it"
    if kind == "mount":
        return "pivot_root(2) would give every process in it another root"
    if section.get("sysctl"):
        from .sysctl import namespace_of, path_of

        if any(namespace_of(path_of(key)) == kind for key in section["sysctl"]):
            return "linux.sysctl would change the host"
    return ""


_ORDER = tuple(NAMESPACES)
