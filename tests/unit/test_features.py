"""features: the shape that runc gives it, and that everything it lists works."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from typing import Any

import pytest

from corelaunch.features import features
from corelaunch.kernel import seccomp
from corelaunch.plugins.registry import Registry
from corelaunch.spec import check
from corelaunch.spec.mount_options import MountOptions

#: Every member that an engine may look for, with its type; a list's item stands for all.
SHAPE: dict[str, Any] = {
    "ociVersionMin": str,
    "ociVersionMax": str,
    "hooks": [str],
    "mountOptions": [str],
    "linux": {
        "namespaces": [str],
        "capabilities": [str],
        "cgroup": {"v1": bool, "v2": bool, "systemd": bool, "systemdUser": bool, "rdma": bool},
        "seccomp": {
            "enabled": bool,
            "actions": [str],
            "operators": [str],
            "archs": [str],
            "knownFlags": [str],
            "supportedFlags": [str],
        },
        "apparmor": {"enabled": bool},
        "selinux": {"enabled": bool},
        "intelRdt": {"enabled": bool, "schemata": bool, "monitoring": bool},
        "memoryPolicy": {"modes": [str], "flags": [str]},
        "mountExtensions": {"idmap": {"enabled": bool}},
        "netDevices": {"enabled": bool},
    },
    "annotations": {},
    "potentiallyUnsafeConfigAnnotations": [str],
}

CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "root": {"path": "rootfs"},
    "process": {"args": ["true"], "cwd": "/"},
    "linux": {"namespaces": [{"type": "mount"}]},
}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return features(Registry())


def differences(value: Any, shape: Any, where: str = "") -> list[str]:
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where} is no object"]
        missing = [f"{where}.{name} is missing" for name in shape if name not in value]
        more = [f"{where}.{name} is not known" for name in value if shape and name not in shape]
        inside = [differences(value[name], shape[name], f"{where}.{name}") for name in shape if name in value]
        return [*missing, *more, *(line for lines in inside for line in lines)]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where} is no array"]
        return [line for index, item in enumerate(value) for line in differences(item, shape[0], f"{where}[{index}]")]
    return [] if type(value) is shape else [f"{where} is {type(value).__name__}"]


def errors_of(**parts: Any) -> list[str]:
    return [str(error) for error in check.find_errors({**copy.deepcopy(CONFIG), **parts})]


def test_it_has_the_members_of_runcs_and_their_types(found: dict[str, Any]) -> None:
    assert differences(found, SHAPE) == []
    assert json.loads(json.dumps(found)) == found


@pytest.mark.skipif(not shutil.which("runc"), reason="no runc to compare with")
def test_every_member_of_the_installed_runc_is_there(found: dict[str, Any]) -> None:
    theirs = json.loads(subprocess.run(["runc", "features"], capture_output=True, check=True).stdout)

    def members(value: dict[str, Any], prefix: str = "") -> set[str]:
        inside = {f"{prefix}{key}" for key in value}
        return inside.union(*(members(v, f"{prefix}{k}.") for k, v in value.items() if isinstance(v, dict)))

    assert {m for m in members(theirs) - members(found) if not m.startswith("annotations.")} == set()
    ours = set(found["mountOptions"])
    # What only remounts or belongs to the filesystem has no place in a new mount.
    assert set(theirs["mountOptions"]) - ours <= {"remount", "acl", "noacl"}, sorted(set(theirs["mountOptions"]) - ours)
    assert set(found["linux"]["capabilities"]) >= set(theirs["linux"]["capabilities"])
    assert set(found["linux"]["namespaces"]) >= set(theirs["linux"]["namespaces"])


def test_every_mount_option_is_parsed_and_is_no_data_of_the_filesystem(found: dict[str, Any]) -> None:
    assert "rro" in found["mountOptions"]
    for word in found["mountOptions"]:
        options = MountOptions([word], "mounts[0]")
        assert options.data == [], word
        mount: dict[str, Any] = {"destination": "/mnt", "source": "/", "type": "bind"}
        mount["options"] = [*({word, "bind"} - {"rbind"})]
        if word in ("idmap", "ridmap"):
            mount["uidMappings"] = mount["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        assert errors_of(mounts=[mount]) == [] or word == "tmpcopyup"


def test_what_is_said_of_id_mapped_mounts_is_so(found: dict[str, Any]) -> None:
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    linux = {"namespaces": [{"type": "mount"}, {"type": "user"}], "uidMappings": maps, "gidMappings": maps}
    mount = {"destination": "/mnt", "source": "/", "type": "bind", "options": ["bind", "idmap"]}
    try:
        MountOptions(["bind", "idmap"], "mounts[0]")
        works = errors_of(linux=linux, mounts=[mount]) == []
    except Exception:  # noqa: BLE001
        works = False
    assert found["linux"]["mountExtensions"]["idmap"]["enabled"] == works


def test_every_hook_is_accepted_and_those_that_are_not_listed_are_refused(found: dict[str, Any]) -> None:
    every = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    assert set(found["hooks"]) <= set(every)
    for name in every:
        assert (errors_of(hooks={name: [{"path": "/bin/true"}]}) == []) == (name in found["hooks"]), name


def test_every_seccomp_word_compiles_and_what_is_not_listed_is_refused(found: dict[str, Any]) -> None:
    listed = found["linux"]["seccomp"]
    assert listed["enabled"] == seccomp.available()
    if not listed["enabled"]:
        return
    for action in listed["actions"]:
        default = "SCMP_ACT_ERRNO" if action == "SCMP_ACT_ALLOW" else "SCMP_ACT_ALLOW"
        rule = {"names": ["getpid"], "action": action}
        assert seccomp.compile({"defaultAction": default, "listenerPath": "/x", "syscalls": [rule]})[0]
    for operator in listed["operators"]:
        argument = {"index": 0, "value": 1, "valueTwo": 1, "op": operator}
        rule = {"names": ["close"], "action": "SCMP_ACT_ERRNO", "args": [argument]}
        assert seccomp.compile({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})[0]
    for arch in listed["archs"]:
        assert seccomp.compile({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch]})[0]
    for flag in listed["supportedFlags"]:
        # Each by what it adds; one of them means something only beside a listener.
        rule = {"names": ["getpid"], "action": "SCMP_ACT_NOTIFY"}
        profile = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x", "syscalls": [rule]}
        assert seccomp.compile({**profile, "flags": [flag]})[1] != seccomp.compile({**profile, "flags": []})[1]
    assert set(listed["supportedFlags"]) <= set(listed["knownFlags"])


def test_cgroups_and_rdt_are_what_the_installed_managers_claim() -> None:
    nothing = features(Registry([]))
    assert set(nothing["linux"]["cgroup"].values()) == {False}
    assert set(nothing["linux"]["intelRdt"].values()) == {False}

    class Claims:
        features = frozenset({"cgroup-v2", "systemd", "systemd-user", "schemata"})

    class Few(Registry):
        def names(self, kind: str) -> list[str]:
            return ["one"]

        def load(self, kind: str, name: str, *, made_by: str = "") -> Any:
            return Claims()

    some = features(Few([]))
    cgroup = {"v1": False, "v2": True, "systemd": True, "systemdUser": True, "rdma": False}
    assert some["linux"]["cgroup"] == cgroup
    assert some["linux"]["intelRdt"] == {"enabled": True, "schemata": True, "monitoring": False}
    assert "org.systemd.property." in some["potentiallyUnsafeConfigAnnotations"]


def test_annotations_that_are_dangerous_are_named(found: dict[str, Any]) -> None:
    assert "org.corelaunch.networks" in found["potentiallyUnsafeConfigAnnotations"]
    assert found["annotations"]["org.opencontainers.runc.checkpoint.enabled"] == "false"
