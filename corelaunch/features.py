"""What this installation can do, for engines: ``features`` (runtime-spec, features.md).

Nothing here is a promise of its own. What a config may hold is found by asking the checks that a launch uses, and what
a cgroup or RDT manager can do is what the installed ones claim.
"""

from __future__ import annotations

import os

from . import SPEC_VERSION, __version__
from .backends import BEST_EFFORT, OFF, REQUIRED
from .errors import CorelaunchError
from .kernel import seccomp
from .kernel.release import version
from .preparation import DEVICE_STRATEGY, NETWORKS_ANNOTATION
from .spec import check, mount_options
from .spec.capabilities import BITS
from .spec.namespaces import CLONE_BITS
from .spec.scheduling import MEMORY_FLAGS, MEMORY_MODES
from .spec.seccomp import ACTIONS, NOTIFY, OPERATORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .plugins.registry import Registry

#: The oldest version of the runtime-spec whose configs are understood.
OLDEST_SPEC = "1.0.0"

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")

#: Properties of systemd units may be set by annotation, where there is a manager that makes units.
SYSTEMD_PROPERTY = "org.systemd.property."

#: First kernel (major, minor) with a flag of seccomp(2), of those that are newer than the oldest kernel we run on.
_NEWER_FLAGS = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": (5, 19)}


def features(registry: Registry) -> dict[str, Any]:
    """The features object; plugins that cannot be loaded count as not installed (``plugins`` says why)."""
    cgroups = _claims(registry, "cgroup_manager")
    unsafe = [NETWORKS_ANNOTATION]
    if "systemd" in cgroups:
        unsafe.append(SYSTEMD_PROPERTY)
    return {
        "ociVersionMin": OLDEST_SPEC,
        "ociVersionMax": SPEC_VERSION,
        "hooks": [name for name in HOOKS if _is_accepted(hooks={name: [{"path": "/bin/true"}]})],
        "mountOptions": mount_options.known_words(),
        "linux": {
            "namespaces": sorted(kind for kind in CLONE_BITS if _is_accepted(linux=_namespaces(kind))),
            "capabilities": list(BITS),
            "cgroup": {
                "v1": "cgroup-v1" in cgroups,
                "v2": "cgroup-v2" in cgroups,
                "systemd": "systemd" in cgroups,
                "systemdUser": "systemd-user" in cgroups,
                "rdma": "rdma" in cgroups,
            },
            "seccomp": _seccomp(),
            "apparmor": {"enabled": True},
            # Labels of processes are set, those of mounts may not be: the whole counts.
            "selinux": {"enabled": _is_accepted(linux={"mountLabel": "system_u:object_r:container_file_t:s0"})},
            "intelRdt": _rdt(_claims(registry, "rdt_manager")),
            "memoryPolicy": {"modes": sorted(MEMORY_MODES), "flags": sorted(MEMORY_FLAGS)},
            "mountExtensions": {"idmap": {"enabled": _id_mapped_mounts()}},
            "netDevices": {"enabled": _net_devices(registry)},
        },
        "annotations": _annotations(),
        "potentiallyUnsafeConfigAnnotations": sorted(unsafe),
    }


def _is_accepted(**parts: Any) -> bool:
    """Whether a small config with these parts passes the checks of a launch."""
    config = {
        "ociVersion": OLDEST_SPEC,
        "root": {"path": "rootfs"},
        "process": {"args": ["true"], "cwd": "/"},
        "mounts": [],
        "linux": _namespaces(),
        **parts,
    }
    return not check.find_errors(config)


def _namespaces(*kinds: str) -> dict[str, Any]:
    """A ``linux`` object with a mount namespace, these others, and what they need."""
    linux: dict[str, Any] = {"namespaces": [{"type": kind} for kind in dict.fromkeys(("mount", *kinds))]}
    if "user" in kinds:
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    return linux


def _net_devices(registry: Registry) -> bool:
    linux = {**_namespaces("network"), "netDevices": {"eth0": {}}}
    return DEVICE_STRATEGY in registry.names("network_strategy") and _is_accepted(linux=linux)


def _id_mapped_mounts() -> bool:
    mount = {"destination": "/mnt", "source": "/", "type": "bind", "options": ["bind", "idmap"]}
    try:
        mount_options.MountOptions(mount["options"], "mounts[0]")
    except CorelaunchError:
        return False
    return _is_accepted(linux=_namespaces("user"), mounts=[mount])


def _claims(registry: Registry, kind: str) -> set[str]:
    """All that the installed managers of a kind claim together."""
    found: set[str] = set()
    for name in registry.names(kind):
        try:
            found |= registry.load(kind, name).features
        except CorelaunchError:
            continue
    return found


def _rdt(claims: set[str]) -> dict[str, bool]:
    return {"enabled": bool(claims), "schemata": "schemata" in claims, "monitoring": "monitoring" in claims}


def _seccomp() -> dict[str, Any]:
    if not seccomp.available():
        return {"enabled": False}
    actions = sorted(action for action in ACTIONS if _is_compiled(_rule(action)))
    flags = seccomp.flags()
    return {
        "enabled": True,
        "actions": actions,
        "operators": sorted(OPERATORS),
        "archs": sorted(arch for arch in seccomp.architectures() if _is_compiled(_architecture(arch))),
        "knownFlags": flags,
        "supportedFlags": [flag for flag in flags if _kernel_has(flag, notify=NOTIFY in actions)],
    }


def _rule(action: str) -> dict[str, Any]:
    """A profile with a rule of this action; libseccomp refuses a rule that does what happens anyway."""
    other = "SCMP_ACT_ALLOW" if action != "SCMP_ACT_ALLOW" else "SCMP_ACT_ERRNO"
    # The path is for an action that needs a listener, and is nothing to all others.
    return {"defaultAction": other, "listenerPath": "/x", "syscalls": [{"names": ["getpid"], "action": action}]}


def _architecture(name: str) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [name]}


def _is_compiled(profile: Mapping[str, Any]) -> bool:
    """Whether a profile passes the check and libseccomp."""
    try:
        seccomp.compile(profile)
    except CorelaunchError:
        return False
    return _is_accepted(linux={**_namespaces(), "seccomp": profile})


def _kernel_has(flag: str, *, notify: bool) -> bool:
    """Whether this kernel takes a flag; one that is about notifications is of no use without them."""
    if flag.endswith("_WAIT_KILLABLE_RECV") and not notify:
        return False
    return version(os.uname().release) >= _NEWER_FLAGS.get(flag, (0, 0))


def _annotations() -> dict[str, str]:
    found = {
        "org.corelaunch.version": __version__,
        # How much a container's cgroup matters; --rootless chooses, plan and state show it.
        "org.corelaunch.cgroupModes": f"{REQUIRED},{BEST_EFFORT},{OFF}",
        # Engines that look for a checkpoint look here.
        "org.opencontainers.runc.checkpoint.enabled": "false",
    }
    version = seccomp.library_version()
    if version:
        found["io.github.seccomp.libseccomp.version"] = version
    return dict(sorted(found.items()))
