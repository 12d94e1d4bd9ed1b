"""Mounts, /dev and cgroup mounts of a plan."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from corelaunch.errors import ConfigError, Unsupported
from corelaunch.kernel.mountinfo import Hierarchy
from corelaunch.kernel.native import lib
from corelaunch.plan import Operation, Plan
from corelaunch.spec.mount_options import MS_PRIVATE, MS_REC, RDONLY

USER = {"type": "user"}
MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
BIND_DEV = {"destination": "/dev", "type": "bind", "source": "/host/dev", "options": ["rbind"]}


def named(plan: Plan, *names: str) -> list[Operation]:
    return [operation for operation in plan.operations if operation.name in names]


def on(plan: Plan, target: str) -> Operation:
    return next(one for one in plan.operations if one.name in ("MOUNT", "BIND") and one.text(2) == target)


def index(plan: Plan, name: str, position: int, text: str) -> int:
    return next(i for i, one in enumerate(plan.operations) if one.name == name and one.text(position) == text)


def mount(config: dict[str, Any], destination: str) -> dict[str, Any]:
    return next(one for one in config["mounts"] if one["destination"] == destination)


def in_user_namespace(config: dict[str, Any]) -> None:
    config["linux"]["namespaces"].append(USER)
    config["linux"]["uidMappings"] = config["linux"]["gidMappings"] = MAPS


def test_mounts_keep_the_order_of_the_config(config: dict[str, Any], plan_of: Any) -> None:
    config["mounts"] = [{"destination": f"/m{number}", "type": "tmpfs", "source": "x"} for number in (3, 1, 2)] + [
        {"destination": "/m1", "source": "/x", "options": ["bind"]}
    ]
    assert [one.text(2) for one in named(plan_of(config), "MOUNT", "BIND")] == ["/m3", "/m1", "/m2", "/m1"]


def test_a_destination_is_cleaned_and_cannot_lead_out(config: dict[str, Any], plan_of: Any) -> None:
    config["mounts"] = [{"destination": path, "type": "tmpfs"} for path in ("//a//b/", "c", "/../../d/./e")]
    assert [one.text(2) for one in named(plan_of(config), "MOUNT")] == ["/a/b", "/c", "/d/e"]


def test_a_read_only_tmpfs_is_filled_first_and_made_read_only_at_the_end(config: dict[str, Any], plan_of: Any) -> None:
    for destination in ("/dev", "/dev/shm"):
        mount(config, destination)["options"].append("ro")
    plan = plan_of(config)
    assert not on(plan, "/dev").number(0) & RDONLY
    assert not on(plan, "/dev/shm").number(0) & RDONLY
    remounts = named(plan, "REMOUNT")
    assert [(one.text(0), one.number(0)) for one in remounts] == [("/dev", RDONLY), ("/dev/shm", RDONLY), ("/", RDONLY)]


def test_a_read_only_sysfs_is_read_only_in_its_superblock_too(config: dict[str, Any], plan_of: Any) -> None:
    sysfs = on(plan_of(config), "/sys")
    assert sysfs.number(0) & RDONLY
    assert sysfs.flags == lib.CL_FLAG_SUPER_READONLY | lib.CL_FLAG_PLAIN_TARGET


def test_proc_is_mounted_only_on_a_plain_directory(config: dict[str, Any], plan_of: Any) -> None:
    assert on(plan_of(config), "/proc").flags == lib.CL_FLAG_PLAIN_TARGET | lib.CL_FLAG_ALLOW_PROC


def test_only_the_files_of_the_fixed_list_may_be_on_proc(config: dict[str, Any], plan_of: Any) -> None:
    config["mounts"] += [
        {"destination": "/proc/meminfo", "source": "/x", "options": ["bind"]},
        {"destination": "/opt/proc", "source": "/x", "options": ["bind"]},
    ]
    plan = plan_of(config)
    assert on(plan, "/proc/meminfo").flags == lib.CL_FLAG_ALLOW_PROC
    assert on(plan, "/opt/proc").flags == 0


def test_a_bind_changes_only_the_attributes_that_were_named(config: dict[str, Any], plan_of: Any) -> None:
    config["mounts"] += [
        {"destination": "/a", "source": "/x", "options": ["bind"]},
        {"destination": "/b", "source": "/x", "options": ["rbind", "ro", "exec", "rnosuid", "rprivate"]},
    ]
    plan = plan_of(config)
    assert on(plan, "/a").numbers == (0, 0, 0)
    assert on(plan, "/b").numbers == (RDONLY | 8 << 32, 2, MS_PRIVATE | MS_REC)
    assert on(plan, "/b").flags == lib.CL_FLAG_RECURSIVE


def test_a_relative_bind_source_starts_at_the_bundle(config: dict[str, Any], plan_of: Any) -> None:
    config["mounts"].append({"destination": "/a", "source": "../data", "options": ["bind"]})
    assert on(plan_of(config, bundle="/srv/bundle"), "/a").text(1) == "/srv/data"
    with pytest.raises(ConfigError, match=r"mounts\[7\]\.source: '../data' is relative"):
        plan_of(config)


def test_options_that_come_joined_by_commas_are_parted(config: dict[str, Any], plan_of: Any) -> None:
    config["mounts"].append({"destination": "/a", "type": "tmpfs", "options": ["size=1k,mode=700", "sync"]})
    config["mounts"].append({"destination": "/b", "type": "overlay", "options": ["lowerdir=/a\\,b:/c"]})
    plan = plan_of(config)
    assert on(plan, "/a").texts_at(3) == ["sync", "size=1k", "mode=700"]
    assert on(plan, "/a").number(2) == 3
    assert on(plan, "/b").texts_at(3) == ["lowerdir=/a\\,b:/c"]


def test_a_word_of_the_superblock_on_a_bind_is_warned_of(config: dict[str, Any], plan_of: Any) -> None:
    config["mounts"].append({"destination": "/a", "source": "/x", "options": ["bind", "sync"]})
    assert plan_of(config).warnings == ("mounts[7].options: sync: means nothing for a bind",)


# -- /dev ----------------------------------------------------------------------------------------------------------


def test_the_tmpfs_of_dev_gets_only_nodes_directories_and_links_while_it_is_held(
    config: dict[str, Any], plan_of: Any
) -> None:
    config["linux"]["devices"] = [{"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200}]
    plan = plan_of(config)
    start = index(plan, "MOUNT", 2, "/dev")
    end = index(plan, "ATTACH", 2, "/dev")
    inside = plan.operations[start + 1 : end]
    assert plan.operations[start].flags & lib.CL_FLAG_HOLD
    assert {one.name for one in inside} == {"NODE", "DIRECTORY", "SYMLINK"}
    assert all(one.flags == lib.CL_FLAG_IN_HELD for one in inside)
    assert [one.text(0) for one in inside if one.name == "DIRECTORY"] == ["/net"]
    assert not [one for one in plan.operations[end:] if one.flags & lib.CL_FLAG_IN_HELD]
    assert end < index(plan, "MOUNT", 2, "/dev/pts")


def test_a_bound_dev_is_left_as_it_is(config: dict[str, Any], plan_of: Any) -> None:
    config["mounts"][1] = BIND_DEV
    config["linux"]["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]
    assert not named(plan_of(config), "NODE", "SYMLINK", "DIRECTORY", "FILE", "ATTACH")


def test_the_devtmpfs_of_the_host_is_left_as_it_is(config: dict[str, Any], plan_of: Any) -> None:
    config["mounts"][1] = {"destination": "/dev", "type": "devtmpfs", "options": ["ro"]}
    plan = plan_of(config)
    assert not named(plan, "NODE", "SYMLINK", "DIRECTORY", "FILE", "ATTACH")
    assert not on(plan, "/dev").flags & lib.CL_FLAG_SUPER_READONLY


def test_without_a_dev_mount_the_nodes_go_through_the_rootfs_after_all_mounts(
    config: dict[str, Any], plan_of: Any
) -> None:
    config["mounts"] = [one for one in config["mounts"] if not one["destination"].startswith("/dev")]
    plan = plan_of(config)
    nodes = named(plan, "NODE", "SYMLINK", "DIRECTORY")
    assert [one.text(0) for one in nodes][:2] == ["/dev", "/dev/null"]
    assert {one.flags for one in nodes} == {0}
    last_mount = max(i for i, one in enumerate(plan.operations) if one.name in ("MOUNT", "BIND"))
    assert plan.operations[last_mount + 1] is nodes[0]


def test_a_device_of_the_config_wins_over_the_default_one(config: dict[str, Any], plan_of: Any) -> None:
    config["linux"]["devices"] = [
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o20640, "uid": 7, "gid": 8}
    ]
    nulls = [one for one in named(plan_of(config), "NODE") if one.text(0) == "/null"]
    assert [one.numbers for one in nulls] == [(stat.S_IFCHR | 0o640, 1 << 32 | 3, 7 << 32 | 8)]


@pytest.mark.parametrize(
    ("kind", "bits"), [("c", stat.S_IFCHR), ("u", stat.S_IFCHR), ("b", stat.S_IFBLK), ("p", stat.S_IFIFO)]
)
def test_a_device_has_the_type_of_the_config(config: dict[str, Any], plan_of: Any, kind: str, bits: int) -> None:
    config["linux"]["devices"] = [{"path": "/dev/x", "type": kind, "major": 9, "minor": 300}]
    node = next(one for one in named(plan_of(config), "NODE") if one.text(0) == "/x")
    assert node.numbers == (bits | 0o666, 9 << 32 | 300, 0)


def test_ptmx_is_always_the_link_to_the_own_devpts(config: dict[str, Any], plan_of: Any) -> None:
    config["linux"]["devices"] = [{"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2}]
    plan = plan_of(config)
    assert [one.text(0) for one in named(plan, "SYMLINK") if one.text(1) == "/ptmx"] == ["pts/ptmx"]
    assert not [one for one in named(plan, "NODE") if one.text(0).endswith("ptmx")]


def test_a_device_below_a_later_mount_is_made_in_that_mount(config: dict[str, Any], plan_of: Any) -> None:
    config["linux"]["devices"] = [
        {"path": "/dev/shm/x", "type": "p"},
        {"path": "/opt/fifo", "type": "p"},
    ]
    plan = plan_of(config)
    for path in ("/dev/shm/x", "/opt/fifo"):
        at = index(plan, "NODE", 0, path)
        assert plan.operations[at].flags == 0
        assert at > index(plan, "MOUNT", 2, "/dev/shm")


def test_in_a_user_namespace_a_node_is_an_empty_file_and_a_bind_by_the_parent(
    config: dict[str, Any], plan_of: Any
) -> None:
    in_user_namespace(config)
    config["linux"]["devices"] = [{"path": "/dev/pipe", "type": "p"}]
    plan = plan_of(config)
    assert [one.text(0) for one in named(plan, "NODE")] == ["/pipe"]
    files = [one.text(0) for one in named(plan, "FILE")]
    assert files == ["/null", "/random", "/full", "/tty", "/zero", "/urandom"]
    attached = index(plan, "ATTACH", 2, "/dev")
    for file in files:
        at = index(plan, "BIND", 2, f"/dev{file}")
        assert at > attached
        assert plan.operations[at].flags == lib.CL_FLAG_FROM_PARENT
        assert plan.source(at) == (f"/dev{file}", False)


def test_in_a_user_namespace_the_parent_clones_every_source(config: dict[str, Any], plan_of: Any) -> None:
    in_user_namespace(config)
    config["mounts"].append({"destination": "/a", "source": "/x", "options": ["rbind"]})
    plan = plan_of(config)
    assert all(one.flags & lib.CL_FLAG_FROM_PARENT for one in named(plan, "BIND", "ROOTFS"))
    assert plan.source(index(plan, "ROOTFS", 0, "/bundle/rootfs")) == ("/bundle/rootfs", True)
    assert plan.source(index(plan, "BIND", 2, "/a")) == ("/x", True)


def test_without_kcore_there_is_no_core_link(config: dict[str, Any], plan_of: Any) -> None:
    assert [one for one in named(plan_of(config), "SYMLINK") if one.text(1) == "/core"]
    assert not [one for one in named(plan_of(config, kcore=False), "SYMLINK") if one.text(1) == "/core"]


# -- cgroup mounts -------------------------------------------------------------------------------------------------


def test_v1_without_a_cgroup_namespace_binds_the_own_cgroup_of_each_hierarchy(
    config: dict[str, Any], plan_of: Any
) -> None:
    plan = plan_of(config)
    binds = [one for one in named(plan, "BIND") if one.text(2).startswith("/sys/fs/cgroup/")]
    assert [one.text(1) for one in binds] == [
        "/sys/fs/cgroup/cpu/box",
        "/sys/fs/cgroup/cpuacct/box",
        "/sys/fs/cgroup/memory/box",
        "/sys/fs/cgroup/pids/box",
        "/sys/fs/cgroup/systemd/box",
    ]
    assert all(one.number(0) & RDONLY for one in binds)
    mount(config, "/sys/fs/cgroup")["options"].remove("ro")
    assert not on(plan_of(config), "/sys/fs/cgroup/pids").number(0) & RDONLY


def test_v1_in_a_cgroup_namespace_mounts_each_hierarchy_anew(config: dict[str, Any], plan_of: Any) -> None:
    config["linux"]["namespaces"].append({"type": "cgroup"})
    plan = plan_of(config, cgroup_paths={})
    fresh = [one for one in named(plan, "MOUNT") if one.text(0) == "cgroup"]
    assert [(one.text(1), one.text(2), list(one.texts_at(3))) for one in fresh][-2:] == [
        ("cgroup", "/sys/fs/cgroup/pids", ["pids"]),
        ("systemd", "/sys/fs/cgroup/systemd", ["name=systemd"]),
    ]
    assert all(one.number(0) == 15 for one in fresh), "ro,nosuid,nodev,noexec"
    assert not named(plan, "BIND")


@pytest.mark.parametrize("namespace", [False, True])
def test_controllers_that_are_mounted_together_get_links(config: dict[str, Any], plan_of: Any, namespace: bool) -> None:
    if namespace:
        config["linux"]["namespaces"].append({"type": "cgroup"})
    together = Hierarchy(("cpu", "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct", "/", 1)
    plan = plan_of(config, hierarchies=(together,))
    assert on(plan, "/sys/fs/cgroup/cpu,cpuacct")
    links = {one.text(1): one.text(0) for one in named(plan, "SYMLINK") if one.text(1).startswith("/sys")}
    assert links == {"/sys/fs/cgroup/cpu": "cpu,cpuacct", "/sys/fs/cgroup/cpuacct": "cpu,cpuacct"}


def test_a_hierarchy_in_which_the_container_has_no_cgroup_is_left_out_with_a_warning(
    config: dict[str, Any], plan_of: Any
) -> None:
    plan = plan_of(config, cgroup_paths={"pids": "/sys/fs/cgroup/pids/box"})
    assert [one.text(2) for one in named(plan, "BIND")] == ["/sys/fs/cgroup/pids"]
    why = "left out, as the container has no cgroup there"
    assert plan.warnings == (f"mounts[6]: {why}: cpu, cpuacct, memory, systemd",)


def test_v2_is_one_mount_that_may_fall_back_to_the_own_cgroup_only(config: dict[str, Any], plan_of: Any) -> None:
    unified = (Hierarchy((), "/sys/fs/cgroup", "/", 2),)
    plan = plan_of(config, hierarchies=unified, cgroup_paths={"": "/sys/fs/cgroup/box"})
    cgroup = on(plan, "/sys/fs/cgroup")
    assert (cgroup.text(0), cgroup.text(1)) == ("cgroup2", "/sys/fs/cgroup/box")
    assert cgroup.flags == lib.CL_FLAG_FALLBACK_BIND
    assert cgroup.number(0) & RDONLY
    bare = on(plan_of(config, hierarchies=unified, cgroup_paths={}), "/sys/fs/cgroup")
    assert (bare.text(1), bare.flags) == ("cgroup", 0)


def test_a_host_without_cgroups_is_an_error_of_the_mount(config: dict[str, Any], plan_of: Any) -> None:
    with pytest.raises(Unsupported, match=r"no cgroup filesystem mounted: mounts\[6\]"):
        plan_of(config, hierarchies=())


def test_the_hierarchies_of_the_host_are_looked_up_only_for_a_cgroup_mount(
    config: dict[str, Any], plan_of: Any, monkeypatch: pytest.MonkeyPatch, hybrid: tuple[Hierarchy, ...]
) -> None:
    asked = []

    def look_up() -> tuple[Hierarchy, ...]:
        asked.append(1)
        return hybrid

    monkeypatch.setattr("corelaunch.kernel.mountinfo.cgroup_hierarchies", look_up)
    plan_of(config, hierarchies=None)
    assert asked == [1]
    config["mounts"].pop()
    plan_of(config, hierarchies=None)
    assert asked == [1]
