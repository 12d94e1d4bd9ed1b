"""Who owns a container's cgroup v2: whoever its first process is, if he sees it and may write (runtime-spec).

A nested runtime or a systemd in the container then makes cgroups of its own below it. Imported only for a container
that may write to a mount of the cgroup filesystem.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def owner_of(config: Mapping[str, Any]) -> int:
    """Host uid of the container's first process; -1 if the cgroup is not his to manage.

    It is his with a cgroup namespace of the container's own, where what he sees ends at his cgroup (cgroups(7),
    "Cgroup delegation").
    """
    linux = config.get("linux") or {}
    own = {one["type"] for one in linux.get("namespaces") or () if not one.get("path")}
    if "cgroup" not in own:
        return -1
    uid: int = (config["process"].get("user") or {}).get("uid") or 0
    if "user" not in own:
        return uid if linux.get("uidMappings") is None else _mapped(uid, linux["uidMappings"])
    return _mapped(uid, linux.get("uidMappings") or ())


def _mapped(uid: int, mappings: Any) -> int:
    for one in mappings:
        if one["containerID"] <= uid < one["containerID"] + one["size"]:
            return int(one["hostID"] + uid - one["containerID"])
    return -1
