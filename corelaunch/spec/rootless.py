"""What an ordinary user may ask of a container (user_namespaces(7)); imported only when one does."""

from __future__ import annotations

from .id_mappings import maps_own_id_alone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .findings import Findings, Where

#: What makes supplementary groups possible.
GROUPS_HINT = "map a range of /etc/subgid in linux.gidMappings, or leave them out"

_LINUX: Where = ((), "linux")


def check(config: Mapping[str, Any], uid: int, gid: int, findings: Findings) -> None:
    """Refuse what needs root, each with its own reason. ``uid`` and ``gid`` are the user's."""
    section: Mapping[str, Any] = config.get("linux") or {}
    if not any(entry["type"] == "user" for entry in section.get("namespaces") or ()):
        findings.refuse(
            (_LINUX, "namespaces"),
            f"rootless container requires user namespaces, and we are user {uid}",
            'add {"type": "user"} with linux.uidMappings and gidMappings, as "spec --rootless" writes them',
        )
    for index, mount in enumerate(config.get("mounts") or ()):
        if mount.get("uidMappings") or {"idmap", "ridmap"}.intersection(mount.get("options") or ()):
            findings.refuse((((), "mounts"), index), "id-mapped mounts need root", "leave the mappings out")
    groups = (config["process"].get("user") or {}).get("additionalGids")
    if groups and maps_own_id_alone(section.get("gidMappings") or (), gid):
        where: Where = ((((), "process"), "user"), "additionalGids")
        findings.refuse(where, "cannot set any additional groups in a rootless container", GROUPS_HINT)
