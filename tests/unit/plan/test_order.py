"""The order of a plan, as rules that hold for every config, and what the process part is made of."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corelaunch.default_config import default_config
from corelaunch.kernel.native import lib
from corelaunch.plan import Operation, Plan, setns_plan
from corelaunch.plan.environment import environment
from corelaunch.plan.init_plan import init_plan
from corelaunch.spec.check import check_config
from corelaunch.spec.mount_options import MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE

#: Points and steps in the only order that is right; each line says why in native/protocol.h or security.md 1.5.
ORDER = (
    "KEYRING LOOPBACK HOST_PROPAGATION ROOTFS HOOKS_POINT PIVOT ROOT_PROPAGATION REOPEN_NULL MAKE_CWD CONSOLE REMOUNT "
    "UMASK HOSTNAME DOMAINNAME SYSCTL READONLY_PATH MASK_PATH NO_NEW_PRIVS SCHEDULER IO_PRIORITY PERSONALITY "
    "MEMORY_POLICY READY_POINT EXEC_LABEL CAP_BOUNDING USER CAPS CAP_AMBIENT FIND_EXECUTABLE CLOSE_FDS END_SYNC "
    "WAIT_START EXEC"
).split()
ONCE = ("ROOTFS", "HOOKS_POINT", "PIVOT", "READY_POINT", "USER", "CAPS", "END_SYNC", "WAIT_START", "EXEC")
BUILDING = ("MOUNT", "BIND", "ATTACH", "NODE", "DIRECTORY", "SYMLINK", "FILE")

_MAPS = [{"containerID": 0, "hostID": 1, "size": 70000}]
_MOUNTS = [
    {"destination": "/a", "type": "tmpfs", "options": ["ro"]},
    {"destination": "/dev", "type": "tmpfs"},
    {"destination": "/dev/b", "source": "/x", "options": ["rbind", "ro"]},
    {"destination": "/dev", "source": "/x", "options": ["bind"]},
    {"destination": "/proc", "type": "proc"},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]},
]


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    config = copy.deepcopy(default_config())
    process, linux = config["process"], config["linux"]
    kinds = ["mount", *draw(st.sets(st.sampled_from(["pid", "network", "ipc", "uts", "cgroup", "user", "time"])))]
    linux["namespaces"] = [{"type": kind} for kind in kinds]
    if "user" in kinds:
        linux["uidMappings"] = linux["gidMappings"] = _MAPS
    if "uts" not in kinds:
        del config["hostname"]
    elif draw(st.booleans()):
        config["domainname"] = "x"
    linux["sysctl"] = {"net.core.somaxconn": "1"} if "network" in kinds else {}
    config["root"]["readonly"] = draw(st.booleans())
    config["mounts"] = draw(st.lists(st.sampled_from(_MOUNTS), max_size=8))
    linux["devices"] = draw(st.lists(st.sampled_from([{"path": "/dev/b/c", "type": "p"}, {"path": "/o", "type": "p"}])))
    linux["rootfsPropagation"] = draw(st.sampled_from(["", "private", "rslave", "shared", "runbindable"]))
    linux["personality"] = draw(st.sampled_from([None, {"domain": "LINUX32"}]))
    linux["memoryPolicy"] = draw(st.sampled_from([None, {"mode": "MPOL_LOCAL"}]))
    process["noNewPrivileges"] = draw(st.booleans())
    process["scheduler"] = draw(st.sampled_from([None, {"policy": "SCHED_IDLE"}]))
    process["ioPriority"] = draw(st.sampled_from([None, {"class": "IOPRIO_CLASS_IDLE"}]))
    return config


def planned(config: dict[str, Any], **options: Any) -> Plan:
    given: dict[str, Any] = {"cgroup_paths": {}, "terminal": False, "keyring": "k", "hierarchies": (), "kcore": False}
    from corelaunch.kernel.mountinfo import Hierarchy

    given["hierarchies"] = (Hierarchy(("pids",), "/sys/fs/cgroup/pids", "/", 1),)
    return init_plan(config, "/rootfs", **{**given, **options})


@given(configs(), st.booleans(), st.booleans())
def test_every_plan_keeps_the_order(config: dict[str, Any], terminal: bool, seccomp: bool) -> None:
    check_config(config)
    plan = planned(config, terminal=terminal, seccomp=(b"12345678", 0) if seccomp else None)
    names = [operation.name for operation in plan.operations]
    known = [name for name in names if name in ORDER]
    assert known == sorted(known, key=ORDER.index)
    assert all(names.count(name) == 1 for name in ONCE)
    first, last = names.index("ROOTFS"), names.index("HOOKS_POINT")
    assert {name for i, name in enumerate(names) if first < i < last} <= set(BUILDING)
    assert not {name for i, name in enumerate(names) if i > last} & set(BUILDING)
    assert [i for i, name in enumerate(names) if name == "CHDIR"] == [names.index("USER") - 1, names.index("USER") + 1]
    assert ("CONSOLE" in names) == terminal == plan.has_console
    check_held(plan)
    check_seccomp(names, seccomp, config["process"]["noNewPrivileges"])


def check_held(plan: Plan) -> None:
    held = False
    for operation in plan.operations:
        if operation.flags & lib.CL_FLAG_IN_HELD:
            assert held
        elif held:
            assert operation.name == "ATTACH"
            held = False
        if operation.flags & lib.CL_FLAG_HOLD:
            assert operation.name == "MOUNT"
            held = True
    assert not held


def check_seccomp(names: list[str], wanted: bool, no_new_privileges: bool) -> None:
    assert names.count("SECCOMP") == wanted
    if not wanted:
        return
    at = names.index("SECCOMP")
    if no_new_privileges:
        # from here on only close, read, write and execve are needed
        assert names[at + 1 :] == ["END_SYNC", "WAIT_START", "EXEC"]
    else:
        assert names[at - 1] == "READY_POINT"
        assert names[at + 1] == "CAP_BOUNDING"


@given(config=configs(), terminal=st.booleans(), seccomp=st.booleans())
def test_the_init_accepts_every_plan(refusal: Any, config: dict[str, Any], terminal: bool, seccomp: bool) -> None:
    compiled = (bytes(16), 0) if seccomp else None
    assert refusal(planned(config, terminal=terminal, seccomp=compiled).encode()) == ""
    joining = setns_plan(config["process"], config, terminal=terminal, seccomp=compiled, keyring="k")
    assert refusal(joining.encode()) == ""


def test_the_init_refuses_a_plan_in_another_order(config: dict[str, Any], plan_of: Any, refusal: Any) -> None:
    plan: Plan = plan_of(config)
    assert refusal(plan.encode()) == ""
    names = [operation.name for operation in plan.operations]
    late = list(plan.operations)
    late.insert(names.index("PIVOT") + 1, late.pop(names.index("BIND")))
    assert refusal(Plan(late).encode()) == "an operation comes at the wrong point"


@given(configs())
def test_every_plan_can_be_encoded_described_and_carried_out_by_index(config: dict[str, Any]) -> None:
    plan = planned(config)
    assert len(plan.describe().splitlines()) == len(plan.operations)
    assert plan.encode()[:4] == lib.CL_PLAN_MAGIC.to_bytes(4, "little")
    for number, operation in enumerate(plan.operations):
        if operation.flags & lib.CL_FLAG_FROM_PARENT:
            assert plan.source(number)[0].startswith("/")


def by_name(plan: Plan) -> dict[str, Operation]:
    return {operation.name: operation for operation in plan.operations}


@pytest.mark.parametrize(
    ("word", "host", "root"),
    [
        ("", MS_SLAVE | MS_REC, 0),
        ("rprivate", 0x40000 | MS_REC, 0),
        ("slave", MS_SLAVE | MS_REC, 0),
        ("shared", MS_SHARED, MS_SHARED),
        ("rshared", MS_SHARED | MS_REC, MS_SHARED | MS_REC),
        ("unbindable", MS_SLAVE | MS_REC, MS_UNBINDABLE),
    ],
)
def test_rootfs_propagation_is_the_hosts_before_and_the_roots_after(
    config: dict[str, Any], plan_of: Any, word: str, host: int, root: int
) -> None:
    config["linux"]["rootfsPropagation"] = word
    operations = by_name(plan_of(config))
    assert operations["HOST_PROPAGATION"].number(0) == host
    assert ("ROOT_PROPAGATION" in operations) == bool(root)
    if root:
        assert operations["ROOT_PROPAGATION"].number(0) == root


def test_without_a_mount_namespace_the_root_is_changed_and_nothing_is_mounted(
    config: dict[str, Any], plan_of: Any, refusal: Any
) -> None:
    config["linux"]["namespaces"] = [{"type": "pid"}]
    del config["mounts"], config["linux"]["maskedPaths"], config["linux"]["readonlyPaths"]
    config["root"]["readonly"] = False
    del config["hostname"]
    check_config(config)
    plan = plan_of(config, terminal=True, no_pivot=True)
    operations = by_name(plan)
    assert operations["ROOTFS"].flags == operations["PIVOT"].flags == lib.CL_FLAG_CHROOT
    assert operations["CONSOLE"].flags == 0
    assert not {"MOUNT", "BIND", "HOST_PROPAGATION", "REMOUNT"} & set(operations)
    assert "NODE" in operations
    assert refusal(plan.encode()) == ""
    joining = setns_plan(config["process"], config, terminal=False, chroot=True)
    flags = lib.CL_FLAG_CHROOT | lib.CL_FLAG_FROM_PARENT
    first, second = joining.operations[:2]
    assert (first.name, first.flags, second.name, second.flags) == ("ROOTFS", flags, "PIVOT", lib.CL_FLAG_CHROOT)
    assert refusal(joining.encode()) == ""


def test_joined_namespaces_are_not_made_and_nothing_is_set_up_in_them(config: dict[str, Any], plan_of: Any) -> None:
    kinds = {entry["type"]: entry for entry in config["linux"]["namespaces"]}
    kinds["network"]["path"] = "/run/netns/x"
    kinds["ipc"]["path"] = "/run/ipcns/x"
    config["linux"]["namespaces"].append({"type": "user", "path": "/run/userns/x"})
    check_config(config)
    plan = plan_of(config)
    assert [(join.kind, join.path) for join in plan.joins] == [
        ("user", "/run/userns/x"),
        ("ipc", "/run/ipcns/x"),
        ("network", "/run/netns/x"),
    ]
    assert plan.joined == sum(join.bit for join in plan.joins)
    assert not plan.joined & plan.new_namespaces
    operations = by_name(plan)
    assert "LOOPBACK" not in operations
    # As in a user namespace that is made: nodes are binds.
    assert "NODE" not in operations
    assert (plan.uid_map, plan.joined_maps) == (None, ())


def test_options_of_the_launch_reach_their_operations(config: dict[str, Any], plan_of: Any) -> None:
    plan = plan_of(config, no_pivot=True, preserve_fds=3, keyring=None, wait_start=False, terminal=True)
    operations = by_name(plan)
    assert operations["PIVOT"].flags == lib.CL_FLAG_NO_PIVOT
    assert operations["CLOSE_FDS"].number(0) == 6
    assert "KEYRING" not in operations
    assert "WAIT_START" not in operations
    sized = by_name(plan_of(config, terminal=True, console_size={"height": 25, "width": 80}))["CONSOLE"]
    assert (sized.number(0), sized.flags) == (25 << 16 | 80, lib.CL_FLAG_BIND_CONSOLE)


def test_loopback_is_brought_up_only_in_a_new_network_namespace(config: dict[str, Any], plan_of: Any) -> None:
    assert "LOOPBACK" in by_name(plan_of(config))
    config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "network"]
    assert "LOOPBACK" not in by_name(plan_of(config))


def test_groups_are_set_even_when_there_are_none(config: dict[str, Any], plan_of: Any) -> None:
    user = by_name(plan_of(config))["USER"]
    assert (user.flags, user.blob) == (lib.CL_FLAG_SET_GROUPS, b"")


def test_an_absent_capability_set_is_empty(config: dict[str, Any], plan_of: Any) -> None:
    config["process"]["capabilities"] = {"bounding": ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE", "CAP_FUTURE"]}
    operations = by_name(plan_of(config))
    assert operations["CAP_BOUNDING"].number(0) == 1 | 1 << 40
    assert operations["CAPS"].numbers == (0, 0, 0)
    del config["process"]["capabilities"]
    assert by_name(plan_of(config))["CAP_BOUNDING"].number(0) == 0


def test_only_what_is_permitted_and_inheritable_becomes_ambient(config: dict[str, Any], plan_of: Any) -> None:
    config["process"]["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_CHOWN", "CAP_KILL"],
    }
    assert by_name(plan_of(config))["CAP_AMBIENT"].number(0) == 1 << 5


def test_labels_are_asked_for_after_ready(config: dict[str, Any], plan_of: Any) -> None:
    config["process"] |= {"apparmorProfile": "box", "selinuxLabel": "system_u:object_r:box_t:s0"}
    labels = [one for one in plan_of(config).operations if one.name == "EXEC_LABEL"]
    assert [one.texts for one in labels] == [
        ("apparmor/exec", "exec box"),
        ("exec", "system_u:object_r:box_t:s0"),
    ]


@pytest.mark.parametrize(("given_umask", "planned_umask"), [(None, 0o22), (0, 0), (0o77, 0o77)])
def test_umask_is_022_unless_the_config_says_otherwise(
    config: dict[str, Any], plan_of: Any, given_umask: int | None, planned_umask: int
) -> None:
    if given_umask is not None:
        config["process"]["user"]["umask"] = given_umask
    assert by_name(plan_of(config))["UMASK"].number(0) == planned_umask


@pytest.mark.parametrize(("own", "containers", "umask"), [(None, None, 0o22), (None, 0o77, 0o77), (0, 0o77, 0)])
def test_umask_of_exec_is_its_own_else_the_containers_else_022(
    config: dict[str, Any], own: int | None, containers: int | None, umask: int
) -> None:
    config["process"]["user"]["umask"] = containers
    plan = setns_plan({"args": ["x"], "user": {"umask": own}}, config, terminal=False)
    assert by_name(plan)["UMASK"].number(0) == umask


@pytest.mark.parametrize(
    ("entries", "variables", "path", "home"),
    [
        ([], [], "", True),
        (["A=1", "B=2", "A=3"], ["B=2", "A=3"], "", True),
        (["HOME=/x"], ["HOME=/x"], "", False),
        (["HOME=", "A=1"], ["A=1"], "", True),
        (["HOME=/x", "HOME="], [], "", True),
        (["PATH=/a", "PATH=/b"], ["PATH=/b"], "/b", True),
        (["A=x=y", "B="], ["A=x=y", "B="], "", True),
    ],
)
def test_the_last_of_two_variables_counts_and_an_empty_home_is_none(
    entries: list[str], variables: list[str], path: str, home: bool
) -> None:
    assert environment(entries) == (variables, path, home)


def test_a_sysctl_becomes_a_file_below_proc_sys(config: dict[str, Any], plan_of: Any) -> None:
    config["linux"]["sysctl"] = {"net/ipv4/conf/eth0.1/mtu": "1", "net.ipv4.conf.eth0/1.rp_filter": "2"}
    written = [one.texts for one in plan_of(config).operations if one.name == "SYSCTL"]
    assert written == [("net/ipv4/conf/eth0.1/mtu", "1"), ("net/ipv4/conf/eth0.1/rp_filter", "2")]


def test_scheduling_becomes_the_structs_of_the_kernel(config: dict[str, Any], plan_of: Any) -> None:
    config["process"]["scheduler"] = {
        "policy": "SCHED_DEADLINE",
        "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"],
        "runtime": 1,
        "deadline": 2,
        "period": 3,
    }
    config["process"]["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 5}
    config["linux"]["personality"] = {"domain": "LINUX32"}
    config["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "flags": ["MPOL_F_STATIC_NODES"], "nodes": "0-1,64"}
    operations = by_name(plan_of(config))
    scheduler = operations["SCHEDULER"].blob
    assert [int.from_bytes(scheduler[i : i + 4], "little") for i in range(0, 48, 4)] == [
        48,
        6,
        3,
        0,
        0,
        0,
        1,
        0,
        2,
        0,
        3,
        0,
    ]
    assert operations["IO_PRIORITY"].number(0) == 2 << 13 | 5
    assert operations["PERSONALITY"].number(0) == 8
    policy = operations["MEMORY_POLICY"]
    assert policy.numbers == (2 | 1 << 15, 1025)
    assert int.from_bytes(policy.blob, "little") == 0b11 | 1 << 64
    assert len(policy.blob) * 8 >= 1025 + 63, "the kernel and the decoder read whole words"
