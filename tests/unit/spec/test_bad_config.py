"""Everything that a config can get wrong, as a table: change -> JSON path, reason."""

from __future__ import annotations

from typing import Any

import pytest

from corelaunch.errors import ConfigError, CorelaunchError, Unsupported
from corelaunch.spec.check import check_config, find, find_errors

GONE = object()
USER = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user")]
MAPS = [{"containerID": 0, "hostID": 100000, "size": 1000}]


def put(config: dict[str, Any], path: str, value: Any) -> None:
    """Set ``a.b[0].c`` in a config; objects on the way are made, GONE removes."""
    keys: list[str | int] = []
    for part in path.split("."):
        name, *indexes = part.replace("]", "").split("[")
        keys.append(name)
        keys.extend(int(index) for index in indexes)
    at: Any = config
    for key in keys[:-1]:
        at = at.setdefault(key, {}) if isinstance(at, dict) else at[key]
    if value is GONE:
        del at[keys[-1]]
    else:
        at[keys[-1]] = value


# change (path, value), ..., then where the error is and what it says
SHAPE = [
    ("ociVersion", GONE, "ociVersion", "must be set"),
    ("ociVersion", 1, "ociVersion", "must be a string, not an integer"),
    ("ociVersion", "1.0", "ociVersion", '"1.0" is not a version'),
    ("ociVersion", "2.0.0", "ociVersion", '"2.0.0" is not supported'),
    ("ociVersion", "1.x.0", "ociVersion", "is not a version"),
    ("root", GONE, "root", "must be set"),
    ("root", "rootfs", "root", "must be an object, not a string"),
    ("root.path", GONE, "root.path", "must be set"),
    ("root.path", "", "root.path", "must not be empty"),
    ("root.path", "a\0b", "root.path", "contains a NUL character"),
    ("root.readonly", 1, "root.readonly", "must be a boolean, not an integer"),
    ("process", GONE, "process", "must be set"),
    ("process.terminal", "true", "process.terminal", "must be a boolean, not a string"),
    ("process.consoleSize", {"height": 10}, "process.consoleSize.width", "must be set"),
    ("process.consoleSize", {"height": 70000, "width": 1}, "process.consoleSize.height", "not in the range 0 to 65535"),
    ("process.user.uid", "0", "process.user.uid", "must be an integer, not a string"),
    ("process.user.uid", 1.0, "process.user.uid", "must be an integer, not a number with a fraction"),
    ("process.user.uid", True, "process.user.uid", "must be an integer, not a boolean"),
    ("process.user.uid", -1, "process.user.uid", "-1 is not in the range"),
    ("process.user.gid", 2**32 - 1, "process.user.gid", "is not in the range"),
    ("process.user.umask", 0o1000, "process.user.umask", "is not in the range 0 to 511"),
    ("process.user.additionalGids", [0, "1"], "process.user.additionalGids[1]", "must be an integer"),
    ("process.args", GONE, "process.args", "must be set"),
    ("process.args", [], "process.args", "must not be empty"),
    ("process.args", [""], "process.args[0]", "must not be empty"),
    ("process.args", "sh", "process.args", "must be an array, not a string"),
    ("process.args", ["sh", 1], "process.args[1]", "must be a string, not an integer"),
    ("process.args", ["sh", "a\0"], "process.args[1]", "contains a NUL character"),
    ("process.args", ["sh", None], "process.args[1]", "must be a string, not null"),
    ("process.env", ["A=1", "B"], "process.env[1]", "'B' has no '='"),
    ("process.env", ["=1"], "process.env[0]", "'=1' has no name"),
    ("process.env", ["A=\0"], "process.env[0]", "contains a NUL character"),
    ("process.cwd", GONE, "process.cwd", "must be set"),
    ("process.cwd", "tmp", "process.cwd", "'tmp' is not an absolute path"),
    ("process.rlimits[0].type", "RLIMIT_X", "process.rlimits[0].type", 'unknown rlimit "RLIMIT_X"'),
    ("process.rlimits[0].soft", 2000, "process.rlimits[0]", "the soft limit 2000 is above the hard limit 1024"),
    ("process.rlimits[0].hard", GONE, "process.rlimits[0].hard", "must be set"),
    (
        "process.rlimits",
        [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2,
        "process.rlimits[1].type",
        "duplicate rlimit RLIMIT_CPU",
    ),
    ("process.oomScoreAdj", 1001, "process.oomScoreAdj", "not in the range -1000 to 1000"),
    ("process.capabilities.bounding", "CAP_KILL", "process.capabilities.bounding", "must be an array"),
    ("process.capabilities.permitted", [], "process.capabilities.effective[0]", "CAP_AUDIT_WRITE is not in permitted"),
    ("process.scheduler", {}, "process.scheduler.policy", "must be set"),
    ("process.scheduler", {"policy": "SCHED_X"}, "process.scheduler.policy", "unknown scheduling policy"),
    ("process.scheduler", {"policy": "SCHED_FIFO", "nice": 1}, "process.scheduler.nice", "is not for SCHED_FIFO"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "priority": 1}, "process.scheduler.priority", "is not for"),
    ("process.scheduler", {"policy": "SCHED_RR", "runtime": 1}, "process.scheduler.runtime", "is not for SCHED_RR"),
    ("process.scheduler", {"policy": "SCHED_RR", "nice": -21}, "process.scheduler.nice", "not in the range -20 to 19"),
    ("process.scheduler", {"policy": "SCHED_RR", "flags": ["X"]}, "process.scheduler.flags[0]", "unknown scheduler"),
    ("process.ioPriority", {"class": "X"}, "process.ioPriority.class", "unknown I/O priority class"),
    ("process.execCPUAffinity", "0", "process.execCPUAffinity", "must be an object"),
    ("process.execCPUAffinity", {"initial": 0}, "process.execCPUAffinity.initial", "must be a string"),
    ("process.execCPUAffinity", {"final": "x"}, "process.execCPUAffinity.final", "'x' is neither a CPU nor a range"),
    ("process.execCPUAffinity", {"final": "3-1"}, "process.execCPUAffinity.final", "range '3-1' ends before it begins"),
    ("process.execCPUAffinity", {"final": "1,,2"}, "process.execCPUAffinity.final", "'' is neither a CPU nor a range"),
    ("process.execCPUAffinity", {"final": "-1"}, "process.execCPUAffinity.final", "'-1' is neither a CPU nor a range"),
    ("process.execCPUAffinity", {"final": "8192"}, "process.execCPUAffinity.final", "there is no CPU 8192"),
    ("process.execCPUAffinity", {"final": "0-9999999999"}, "process.execCPUAffinity.final", "there is no CPU 99999"),
    (
        "process.ioPriority",
        {"class": "IOPRIO_CLASS_BE", "priority": 8},
        "process.ioPriority.priority",
        "not in the range 0 to 7",
    ),
    ("hostname", "x" * 65, "hostname", "longer than the kernel's 64 bytes"),
    ("annotations", {"": "x"}, 'annotations[""]', "an annotation needs a name"),
    ("annotations", {"a.b": 1}, 'annotations["a.b"]', "must be a string"),
    ("hooks.prestart", [{"path": "bin/x"}], "hooks.prestart[0].path", "is not an absolute path"),
    ("hooks.poststop", [{"args": []}], "hooks.poststop[0].path", "must be set"),
    ("hooks.poststart", [{"path": "/x", "timeout": 0}], "hooks.poststart[0].timeout", "0 is not in the range 1"),
    ("hooks.createRuntime", [{"path": "/x", "env": ["A"]}], "hooks.createRuntime[0].env[0]", "NAME=value"),
    ("mounts", {}, "mounts", "must be an array, not an object"),
    ("mounts[0].destination", GONE, "mounts[0].destination", "must be set"),
    ("mounts[0].destination", "/", "mounts[0].destination", "the root of the container cannot be mounted on"),
    ("mounts[0].destination", "/a/..", "mounts[0].destination", "the root of the container cannot be mounted on"),
    ("mounts[3].destination", "/proc/self/attr", "mounts[3].destination", "it is inside /proc"),
    ("mounts[3].destination", "/sys/../proc/1", "mounts[3].destination", "it is inside /proc"),
    ("mounts[3].destination", "/proc", "mounts[3].destination", "tmpfs is not of type proc"),
    ("mounts[3].type", GONE, "mounts[3].type", "must name a filesystem"),
    ("mounts[3].type", "bind", "mounts[3].type", "must name a filesystem"),
    ("mounts[3].options", ["rbind", "size=1k"], "mounts[3].options", '"size=1k" is not an option of a bind'),
    ("mounts[3].options", ["slave", "shared"], "mounts[3].options", "more than one propagation type"),
    ("mounts[3].options", ["remount", "ro"], "mounts[3].options", "a new mount cannot be a remount"),
    ("mounts[3].options", ["rro"], "mounts[3].options", "recursive options are for binds"),
    ("mounts[2].options", ["tmpcopyup"], "mounts[2].options", '"tmpcopyup" is for tmpfs'),
    ("mounts[3]", {"destination": "/x", "options": ["bind"]}, "mounts[3].source", "must be set for a bind"),
    ("linux.namespaces[1].type", "net", "linux.namespaces[1].type", 'unknown namespace "net"'),
    ("linux.namespaces[1].type", "pid", "linux.namespaces[1].type", 'duplicate namespace "pid"'),
    ("linux.namespaces[1].type", GONE, "linux.namespaces[1].type", "must be set"),
    ("linux.namespaces[1].path", "ns/net", "linux.namespaces[1].path", "is not an absolute path"),
    ("linux.devices", [{"path": "/dev/x", "type": "x"}], "linux.devices[0].type", 'unknown device type "x"'),
    ("linux.devices", [{"path": "x", "type": "p"}], "linux.devices[0].path", "is not an absolute path"),
    ("linux.devices", [{"path": "/x", "type": "c", "major": 1}], "linux.devices[0].minor", "must be set for type"),
    ("linux.devices", [{"path": "/x", "type": "p", "fileMode": 2**16}], "linux.devices[0].fileMode", "in the range"),
    ("linux.devices", [{"path": "/x", "type": "p", "major": 4096}], "linux.devices[0].major", "in the range 0 to 4095"),
    ("linux.devices", [{"path": "/dev/.", "type": "p"}], "linux.devices[0].path", "is a directory of the container"),
    ("linux.cgroupsPath", "/a/../../b", "linux.cgroupsPath", "leads upwards"),
    ("linux.cgroupsPath", "a\nb", "linux.cgroupsPath", "control character"),
    ("linux.resources.devices", [{"allow": True}], "linux.resources.devices[0].access", "must be set"),
    ("linux.resources.devices", [{"access": "x"}], "linux.resources.devices[0].access", "not made of r, w and m"),
    ("linux.resources.devices", [{"access": "r", "type": "z"}], "linux.resources.devices[0].type", "unknown device"),
    ("linux.resources.pids", {"limit": "1"}, "linux.resources.pids.limit", "must be an integer, not a string"),
    ("linux.resources.memory", {"limit": 2**63}, "linux.resources.memory.limit", "is not in the range"),
    ("linux.resources.unified", {"../x": "1"}, 'linux.resources.unified["../x"]', "not the name of a cgroup v2 file"),
    ("linux.resources.unified", {"a.b/c": "1"}, 'linux.resources.unified["a.b/c"]', "not the name of a cgroup v2"),
    ("linux.resources.unified", {"memory": "1"}, "linux.resources.unified.memory", "not the name of a cgroup v2 file"),
    (
        "linux.resources.hugepageLimits",
        [{"pageSize": "../2MB", "limit": 1}],
        "linux.resources.hugepageLimits[0].pageSize",
        "is not a page size",
    ),
    ("linux.rootfsPropagation", "rshard", "linux.rootfsPropagation", 'unknown propagation "rshard"'),
    ("linux.maskedPaths", ["proc/kcore"], "linux.maskedPaths[0]", "is not an absolute path"),
    ("linux.readonlyPaths", [1], "linux.readonlyPaths[0]", "must be a string"),
    ("linux.intelRdt.closID", "../x", "linux.intelRdt.closID", "is not the name of a group"),
    ("linux.intelRdt.schemata", "MB:0=1", "linux.intelRdt.schemata", "must be an array"),
    ("linux.intelRdt.schemata", ["L3:0=1", "L3:0=1\nMB:0=1"], "linux.intelRdt.schemata[1]", "contains a line break"),
    ("linux.intelRdt.memBwSchema", "L3:0=1", "linux.intelRdt.memBwSchema", 'does not start with "MB:"'),
    ("linux.intelRdt.memBwSchema", "MB:0=1\nL3:0=1", "linux.intelRdt.memBwSchema", "contains a line break"),
    ("linux.personality", {"domain": "BSD"}, "linux.personality.domain", "unknown personality domain"),
    ("linux.memoryPolicy", {"mode": "MPOL_X"}, "linux.memoryPolicy.mode", "unknown memory policy mode"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND"}, "linux.memoryPolicy.nodes", "must be set for MPOL_BIND"),
    ("linux.memoryPolicy", {"mode": "MPOL_LOCAL", "nodes": "0"}, "linux.memoryPolicy.nodes", "must not be set"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "3-1"}, "linux.memoryPolicy.nodes", "not a range"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "x"}, "linux.memoryPolicy.nodes", "not a number"),
    ("linux.timeOffsets", {"realtime": {}}, "linux.timeOffsets.realtime", 'unknown clock "realtime"'),
    ("linux.seccomp", {}, "linux.seccomp.defaultAction", "must be set"),
    ("linux.seccomp", {"defaultAction": "ALLOW"}, "linux.seccomp.defaultAction", 'unknown seccomp action "ALLOW"'),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["X86"]},
        "linux.seccomp.architectures[0]",
        'unknown seccomp architecture "X86"',
    ),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_KILL"}]},
        "linux.seccomp.syscalls[0].names",
        "must not be empty",
    ),
    (
        "linux.seccomp",
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {"names": ["a"], "action": "SCMP_ACT_KILL", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}
            ],
        },
        "linux.seccomp.syscalls[0].args[0].index",
        "6 is not in the range 0 to 5",
    ),
    (
        "linux.seccomp",
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["a"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": 0, "op": "=="}]}],
        },
        "linux.seccomp.syscalls[0].args[0].op",
        'unknown seccomp operator "=="',
    ),
    ("linux.netDevices", [], "linux.netDevices", "must be an object, not an array"),
    ("linux.netDevices", {"eth1": "eth0"}, "linux.netDevices.eth1", "must be an object, not a string"),
    ("linux.netDevices", {"lo": {}}, "linux.netDevices.lo", "a loopback of its own"),
    ("linux.netDevices", {"eth%d": {}}, 'linux.netDevices["eth%d"]', "is not the name of an interface"),
    ("linux.netDevices", {"eth1": {"name": "a/b"}}, "linux.netDevices.eth1.name", "is not the name of an interface"),
    ("linux.netDevices", {"eth1": {"name": "x" * 16}}, "linux.netDevices.eth1.name", "longer than the kernel's 15"),
    ("linux.netDevices", {"a": {"name": "x" * 14 + "%d"}}, "linux.netDevices.a.name", "longer than the kernel's 15"),
    ("linux.netDevices", {"eth1": {"name": "all"}}, "linux.netDevices.eth1.name", "is not the name of an interface"),
    ("linux.netDevices", {"eth1": {"name": "à"}}, "linux.netDevices.eth1.name", "is not the name of an interface"),
    ("linux.netDevices", {"eth1": {"name": "%d0"}}, "linux.netDevices.eth1.name", "is not the name of an interface"),
    ("linux.netDevices", {"eth1": {"name": 1}}, "linux.netDevices.eth1.name", "must be a string"),
    (
        "linux.netDevices",
        {"eth1": {"name": "eth2"}, "eth2": {}},
        "linux.netDevices.eth2",
        "'eth1' has the same name 'eth2' in the container",
    ),
    ("linux.uidMappings", [{"containerID": 0, "hostID": 0}], "linux.uidMappings[0].size", "must be set"),
    (
        "linux.uidMappings",
        [{"containerID": 0, "hostID": 2**32 - 2, "size": 2}],
        "linux.uidMappings[0]",
        "go beyond the largest id",
    ),
    (
        "linux.gidMappings",
        [{"containerID": 0, "hostID": 5, "size": 2}, {"containerID": 1, "hostID": 9, "size": 1}],
        "linux.gidMappings[1]",
        "containerIDs overlap with those of line 0",
    ),
    (
        "linux.gidMappings",
        [{"containerID": one, "hostID": one, "size": 1} for one in range(341)],
        "linux.gidMappings",
        "341 lines, the kernel takes 340",
    ),
]


@pytest.mark.parametrize(("path", "value", "where", "why"), SHAPE, ids=[f"{c[0]}: {c[3]}" for c in SHAPE])
def test_a_wrong_value_is_refused_with_its_json_path(
    config: dict[str, Any], path: str, value: Any, where: str, why: str
) -> None:
    put(config, path, value)
    with pytest.raises(ConfigError) as caught:
        check_config(config)
    assert caught.value.where == where
    assert why in caught.value.why
    assert "\n" not in str(caught.value)
    assert find_errors(config)[0].where == where


NOTIFIES = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}
MOUNTED = ("mounts", "linux.maskedPaths", "linux.readonlyPaths")
RULES: list[tuple[list[tuple[str, Any]], str, str]] = [
    ([("linux.namespaces", [{"type": "mount"}])], "hostname", "cannot be set without a uts namespace"),
    (
        [("hostname", GONE), ("domainname", "x"), ("linux.namespaces", [{"type": "mount"}])],
        "domainname",
        "cannot be set without a uts namespace",
    ),
    (
        [("linux.seccomp", {"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"})],
        "linux.seccomp.defaultAction",
        "cannot be used as default action",
    ),
    ([("linux.seccomp", {**NOTIFIES, "listenerPath": "x"})], "linux.seccomp.listenerPath", "not an absolute path"),
    (
        [("linux.seccomp", {**NOTIFIES, "listenerPath": "/" + "x" * 107})],
        "linux.seccomp.listenerPath",
        "longer than the 107 bytes",
    ),
    ([("linux.seccomp", NOTIFIES)], "linux.seccomp.listenerPath", "must be set: syscalls[0] has SCMP_ACT_NOTIFY"),
    (
        [
            (
                "linux.seccomp",
                {
                    **NOTIFIES,
                    "listenerPath": "/x",
                    "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"}],
                },
            )
        ],
        "linux.seccomp.syscalls[0].names",
        "cannot be used for the write syscall",
    ),
    ([("linux.namespaces", [{"type": "uts"}])], "linux.maskedPaths", "cannot be done without a mount namespace"),
    (
        [("linux.namespaces", [{"type": "uts"}]), ("linux.maskedPaths", GONE), ("linux.readonlyPaths", GONE)],
        "mounts",
        "cannot be done without a mount namespace",
    ),
    (
        [("linux.namespaces", [{"type": "uts"}]), *((path, GONE) for path in MOUNTED)],
        "root.readonly",
        "cannot be done without a mount namespace",
    ),
    (
        [
            ("linux.namespaces", [{"type": "uts"}, {"type": "user", "path": "/x"}]),
            ("root.readonly", False),
            *((path, GONE) for path in MOUNTED),
        ],
        "linux.namespaces",
        "device nodes cannot be made in a user namespace",
    ),
    ([("linux.timeOffsets", {"monotonic": {"secs": 1}})], "linux.timeOffsets", "without a time namespace"),
    (
        [("linux.netDevices", {"eth1": {}}), ("linux.namespaces", [{"type": "mount"}, {"type": "uts"}])],
        "linux.netDevices",
        "without a network namespace",
    ),
    (
        [
            ("linux.namespaces", [{"type": "mount"}, {"type": "uts"}, {"type": "time", "path": "/x"}]),
            ("linux.timeOffsets", {"monotonic": {"secs": 1}}),
        ],
        "linux.timeOffsets",
        "joined by path",
    ),
    ([("linux.uidMappings", MAPS)], "linux.uidMappings", "mean nothing without a user namespace"),
    ([("linux.namespaces", USER), ("linux.uidMappings", MAPS)], "linux.gidMappings", "must be set with a user"),
    (
        [
            ("linux.namespaces", USER),
            ("linux.gidMappings", MAPS),
            ("linux.uidMappings", [{"containerID": 1, "hostID": 5, "size": 1}]),
        ],
        "linux.uidMappings",
        "id 0 of the container must be mapped",
    ),
    (
        [
            ("linux.namespaces", USER),
            ("linux.gidMappings", MAPS),
            ("linux.uidMappings", MAPS),
            ("process.user", {"uid": 1000, "gid": 0}),
        ],
        "process.user.uid",
        "1000 is not in linux.uidMappings",
    ),
    (
        [
            ("linux.namespaces", USER),
            ("linux.gidMappings", MAPS),
            ("linux.uidMappings", MAPS),
            ("process.user.additionalGids", [5, 1000]),
        ],
        "process.user.additionalGids[1]",
        "1000 is not in linux.gidMappings",
    ),
    (
        [
            ("linux.namespaces", USER),
            ("linux.gidMappings", MAPS),
            ("linux.uidMappings", MAPS),
            ("mounts[1].options", ["mode=755,uid=1000"]),
        ],
        "mounts[1].options",
        '"uid=1000": 1000 is not in linux.uidMappings',
    ),
    ([("mounts[1].options", ["idmap"])], "mounts[1].options", "id-mapped mounts are for binds"),
    ([("mounts[1].uidMappings", MAPS)], "mounts[1].uidMappings", "id-mapped mounts are for binds"),
    (
        [("mounts[1].options", ["bind"]), ("mounts[1].gidMappings", MAPS)],
        "mounts[1].gidMappings",
        "uidMappings and gidMappings go together",
    ),
    (
        [("mounts[1].options", ["rbind", "ridmap"])],
        "mounts[1].options",
        '"ridmap": neither the mount nor the container has id mappings',
    ),
    (
        [("mounts[1].options", ["bind"]), ("mounts[1].uidMappings", [{"containerID": 0, "hostID": 0, "size": 0}])],
        "mounts[1].uidMappings[0].size",
        "",
    ),
]


@pytest.mark.parametrize(("changes", "where", "why"), RULES, ids=[f"{c[1]}: {c[2]}" for c in RULES])
def test_parts_that_contradict_each_other_are_refused(
    config: dict[str, Any], changes: list[tuple[str, Any]], where: str, why: str
) -> None:
    for path, value in changes:
        put(config, path, value)
    with pytest.raises(ConfigError) as caught:
        check_config(config)
    assert (caught.value.where, why in caught.value.why) == (where, True), caught.value


LATER = [
    ("linux.mountLabel", "system_u:x", "linux.mountLabel", "labels of mounts"),
]


@pytest.mark.parametrize(("path", "value", "where", "why"), LATER, ids=[case[0] for case in LATER])
def test_what_comes_later_is_refused_by_name_and_never_ignored(
    config: dict[str, Any], path: str, value: Any, where: str, why: str
) -> None:
    put(config, path, value)
    with pytest.raises(Unsupported) as caught:
        check_config(config)
    assert caught.value.where == where
    assert why in caught.value.why
    assert "comes with a later release" in caught.value.why or "come with a later release" in caught.value.why


SYSCTLS = [
    ({"kernel.hostname": "x"}, "the hostname is not a sysctl of a container"),
    ({"kernel.core_pattern": "x"}, "not a sysctl of a namespace"),
    ({"vm.swappiness": "1"}, "not a sysctl of a namespace"),
    ({"kernel.shm_rmid_forced": "1+kernel.core_pattern=|/x"}, "the value must consist of integers"),
    ({"net.ipv4.ip_forward": "1\n0"}, "the value has a control character"),
    ({"user.max_pid_namespaces": "1"}, "not allowed without a user namespace of its own"),
    ({"net": "1"}, "not a sysctl key"),
    ({"net..x": "1"}, "cannot be part of a sysctl key"),
    ({"net/../kernel/core_pattern": "1"}, "cannot be part of a sysctl key"),
    ({"net.ipv4 .x": "1"}, "cannot be part of a sysctl key"),
    ({"net/./x": "1"}, "cannot be part of a sysctl key"),
]


@pytest.mark.parametrize(("sysctl", "why"), SYSCTLS, ids=[str(case[0]) for case in SYSCTLS])
def test_a_sysctl_outside_the_namespaces_is_refused(config: dict[str, Any], sysctl: dict[str, str], why: str) -> None:
    config["linux"]["sysctl"] = sysctl
    with pytest.raises(ConfigError) as caught:
        check_config(config)
    assert caught.value.where.startswith("linux.sysctl")
    assert why in caught.value.why


@pytest.mark.parametrize(("kind", "key"), [("ipc", "kernel.msgmax"), ("network", "net.core.somaxconn")])
def test_a_sysctl_needs_the_namespace_that_it_belongs_to(config: dict[str, Any], kind: str, key: str) -> None:
    config["linux"]["sysctl"] = {key: "1"}
    assert check_config(config) == []
    config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != kind]
    with pytest.raises(ConfigError, match=f"namespace of its own.*{kind}"):
        check_config(config)


def test_all_errors_are_found_in_the_order_of_the_document(config: dict[str, Any]) -> None:
    config["process"]["user"]["uid"] = "0"
    config["process"]["cwd"] = "x"
    config["linux"]["namespaces"][0]["type"] = "x"
    assert [error.where for error in find_errors(config)] == [
        "process.user.uid",
        "process.cwd",
        "linux.namespaces[0].type",
    ]


def test_an_unknown_key_is_ignored_but_kept_for_validate(config: dict[str, Any]) -> None:
    config["process"]["colour"] = 1
    config["windows"] = {"layerFolders": 3}
    assert check_config(config) == []
    assert find(config).unknown == ["process.colour"]


def test_null_is_as_good_as_absent(config: dict[str, Any]) -> None:
    config["hooks"] = None
    config["process"]["apparmorProfile"] = None
    config["linux"]["seccomp"] = None
    assert check_config(config) == []


WARNINGS = [
    ("process.capabilities.bounding", ["CAP_X"], "process.capabilities.bounding[0]: unknown capability 'CAP_X'"),
    ("mounts[3].destination", "opt/x", "mounts[3].destination: 'opt/x' is not absolute: taken as /opt/x"),
    ("process.consoleSize", {"height": 1, "width": 1}, "process.consoleSize: ignored without a terminal"),
    ("linux.personality", {"domain": "LINUX", "flags": ["X"]}, "linux.personality.flags: no flag is defined"),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read", "close"], "action": "SCMP_ACT_ALLOW"}]},
        "linux.seccomp.syscalls: execve, write: not allowed",
    ),
]


@pytest.mark.parametrize(("path", "value", "text"), WARNINGS, ids=[case[0] for case in WARNINGS])
def test_what_is_taken_otherwise_than_it_says_is_warned_of(
    config: dict[str, Any], path: str, value: Any, text: str
) -> None:
    put(config, path, value)
    warnings = check_config(config)
    assert len(warnings) == 1
    assert warnings[0].startswith(text)


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.0.0-rc5-dev", "1.3.0", "1.3.0+dev", "1.99.0"])
def test_every_version_one_of_the_spec_is_read(config: dict[str, Any], version: str) -> None:
    config["ociVersion"] = version
    assert check_config(config) == []


def test_files_of_proc_that_lxcfs_serves_can_be_mounted_on(config: dict[str, Any]) -> None:
    config["mounts"].append({"destination": "/proc/meminfo", "source": "/x", "options": ["bind"]})
    assert check_config(config) == []


def test_every_error_says_what_document_it_is_about(config: dict[str, Any]) -> None:
    config["process"]["user"]["uid"] = "0"
    with pytest.raises(CorelaunchError) as caught:
        check_config(config)
    assert str(caught.value) == "config.json: process.user.uid: must be an integer, not a string"
