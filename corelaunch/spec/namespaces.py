"""The kinds of namespace that a config may ask for, and their CLONE_NEW* bits (clone(2), namespaces(7))."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
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
