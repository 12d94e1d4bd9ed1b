"""What this host has for a cgroup manager, looked at by the contract itself: a manager's own word for it is not taken.

A manager that refuses what the host has is broken, whatever the refusal says; only what is missing here is a promise
that this host cannot check.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from corelaunch.api import KernelError, in_user_namespace, load_device_program

if TYPE_CHECKING:
    from .cgroup_stage import CgroupFiles

#: Member of linux.resources -> the controllers that bring it, on v1 and on v2.
CONTROLLERS = {
    "pids": ("pids", "pids"),
    "memory": ("memory", "memory"),
    "cpu": ("cpu", "cpu"),
    "blockIO": ("blkio", "io"),
    "hugepageLimits": ("hugetlb", "hugetlb"),
    "rdma": ("rdma", "rdma"),
}

#: Members that a feature of their own tells of; CgroupManager.limits_of is not about them.
OWN_FEATURES = ("devices", "rdma", "unified")

#: r0 = 1; exit -- a program that allows every device (Documentation/bpf/standardization/instruction-set.rst).
_ALLOW_ALL = b"\xb7\0\0\0\1\0\0\0\x95\0\0\0\0\0\0\0"


def missing_for_any_cgroup(files: CgroupFiles, features: frozenset[str]) -> str:
    """What the host lacks for a manager of these features to work at all; "" if it has everything."""
    if "systemd" in features or "systemd-user" in features:
        user = os.path.join(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent", "systemd/private")
        running = {
            "systemd": os.path.isdir("/run/systemd/system"),  # sd_booted(3)
            "systemd-user": os.path.exists(user),
        }
        if not any(there and feature in features for feature, there in running.items()):
            return "a running systemd"
    mounted = {"cgroup-v2" if name == "" else "cgroup-v1" for name in files.roots()}
    asked = {"cgroup-v1", "cgroup-v2"} & features
    if not asked & mounted:
        # Who does not say which of them it needs is believed where one of the two is missing.
        missing = sorted((asked or {"cgroup-v1", "cgroup-v2"}) - mounted)
        if missing:
            return f"a mounted hierarchy of {' and '.join(missing)}"
    if files.enforces and os.geteuid() != 0:
        return "the right to make cgroups"
    return ""


def missing_for(files: CgroupFiles, paths: Mapping[str, str], resources: Mapping[str, Any]) -> str:
    """What the host lacks for such limits of a cgroup with this placement; "" if it has everything."""
    for member, value in resources.items():
        missing = _missing(files, paths, member, value)
        if missing:
            return missing
    return ""


def _missing(files: CgroupFiles, paths: Mapping[str, str], member: str, value: Any) -> str:
    if member == "devices":
        return _missing_devices(files, paths)
    if member == "unified":
        names = sorted({name.partition(".")[0] for name in value} - _available(files, paths))
        return f"the controller {names[0]} in cgroup v2" if names else ""
    v1, v2 = CONTROLLERS.get(member, ("", ""))
    # Whoever places in the unified hierarchy alone has chosen v2, where a hybrid host has few controllers.
    on_v1 = v1 in files.roots() and set(paths) != {""}
    if v1 and not on_v1 and v2 not in _available(files, paths):
        return f"the controller {v2}" if set(paths) != {""} else f"the controller {v2} in cgroup v2"
    if member == "memory" and "swap" in value:
        path = f"{paths['memory']}/memory.memsw.limit_in_bytes" if "memory" in paths else ""
        path = path or f"{paths.get('', '')}/memory.swap.max"
        if os.path.isdir(os.path.dirname(path)) and not os.path.exists(path):
            return f"limits of swap ({os.path.basename(path)})"
    return ""


def _available(files: CgroupFiles, paths: Mapping[str, str]) -> set[str]:
    """Controllers of cgroup v2 that can be had here: at its root, for a user those that he was given."""
    if "" not in files.roots():
        return set()
    below = os.path.dirname(paths.get("") or "")
    directory = files.roots()[""] if os.geteuid() == 0 or not os.path.isdir(below) else below
    try:
        return set(files.read(f"{directory}/cgroup.controllers").split())
    except (OSError, KeyError):  # KeyError: FakeCgroups has no controllers there
        return set()


def _missing_devices(files: CgroupFiles, paths: Mapping[str, str]) -> str:
    if "devices" in files.roots() and set(paths) != {""}:
        return ""
    if in_user_namespace():
        return "device programs outside of the first user namespace"
    try:
        os.close(load_device_program("cl_probe", _ALLOW_ALL))
    except KernelError as error:
        return f"device programs of cgroups (bpf(2): {os.strerror(error.errno).lower()})"
    return ""
