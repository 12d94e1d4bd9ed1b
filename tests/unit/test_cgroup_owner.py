"""Who a container's cgroup is delegated to."""

from __future__ import annotations

from typing import Any

import pytest

from corelaunch.cgroup_owner import owner_of

MAPPED = {"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 10}]}


def config(*namespaces: str, uid: int = 0, **linux: Any) -> dict[str, Any]:
    found = [{"type": kind} for kind in namespaces]
    return {"process": {"user": {"uid": uid, "gid": 0}}, "linux": {"namespaces": found, **linux}}


@pytest.mark.parametrize(
    ("content", "owner"),
    [
        (config("cgroup"), 0),
        (config("cgroup", uid=7), 7),
        (config("cgroup", "user", **MAPPED), 100000),
        (config("cgroup", "user", uid=7, **MAPPED), 100007),
        (config("cgroup", "user", uid=70, **MAPPED), -1),
        (config("user", **MAPPED), -1),
        (config(), -1),
    ],
)
def test_it_is_the_first_process_by_its_uid_on_the_host(content: dict[str, Any], owner: int) -> None:
    assert owner_of(content) == owner


def test_a_cgroup_namespace_that_is_joined_is_not_the_containers_own() -> None:
    joined = config()
    joined["linux"]["namespaces"] = [{"type": "cgroup", "path": "/proc/1/ns/cgroup"}]
    assert owner_of(joined) == -1
