"""The plan of a container's init, from its keyring to its execve (runtime-features 3.5)."""

from __future__ import annotations

from ..errors import Unsupported
from ..kernel.native import lib
from ..spec.id_mappings import text_of
from ..spec.mount_options import MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, PROPAGATION, RDONLY
from ..spec.mounts import cleaned
from ..spec.namespaces import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    add_namespace,
    joined_namespaces,
    new_namespaces,
)
from ..spec.sysctl import path_of
from .facts import Facts
from .mounts import MountPlan
from .operation import Operation
from .plan import Plan
from .process import console, from_ready, listener, rlimits, umask, until_ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ..kernel.mountinfo import Hierarchy


def init_plan(
    config: Mapping[str, Any],
    rootfs: str,
    *,
    cgroup_paths: Mapping[str, str],
    terminal: bool,
    no_pivot: bool = False,
    keyring: str | None = None,
    console_size: Mapping[str, int] | None = None,
    seccomp: tuple[bytes, int] | None = None,
    wait_start: bool = True,
    preserve_fds: int = 0,
    listen_fds: int = 0,
    bundle: str = "",
    hierarchies: Sequence[Hierarchy] | None = None,
    kcore: bool | None = None,
    root_is_user: bool = False,
    nested: bool = False,
    set_groups: bool = True,
    hook_state: Mapping[str, Any] | None = None,
) -> Plan:
    """Plan the init of a container.

    Args:
        config: a config that :func:`corelaunch.spec.check.check_config` has accepted.
        rootfs: absolute path of the root filesystem, without symlinks.
        cgroup_paths: host directory of the container's cgroup per v1 controller, "" for the unified hierarchy;
            empty if it has no cgroup of its own.
        terminal: the process gets a pseudo terminal, of ``console_size`` (process.consoleSize) if that is given.
        no_pivot: move the root instead of pivot_root(2), for a rootfs on a ramdisk.
        keyring: name of its session keyring, None to keep the caller's.
        seccomp: compiled filter and flags of seccomp(2).
        wait_start: wait for ``start`` before execve.
        preserve_fds: how many descriptors from 3 upward the process keeps.
        listen_fds: how many of these are sockets to accept from (LISTEN_FDS).
        bundle: directory that relative bind sources start from.
        hierarchies: the host's cgroup hierarchies; None: looked up if the config mounts cgroups.
        kcore: the kernel has /proc/kcore; None: looked up.
        root_is_user: the parent is an ordinary user and the container's root is he.
        nested: the parent is in a user namespace itself.
        hook_state: the OCI state, without status and pid, for the hooks that run inside; None: none are run.
        set_groups: supplementary groups may be set; False where the new user namespace denies setgroups(2).

    Raises:
        ConfigError, Unsupported: the config asks what cannot be planned.
    """
    new, joins = new_namespaces(config), joined_namespaces(config)
    joined = sum(join.bit for join in joins)
    own_mounts = bool((new | joined) & CLONE_NEWNS)
    if kcore is None:
        kcore = _exists("/proc/kcore")
    warnings: list[str] = []
    if nested and not own_mounts:
        raise Unsupported(
            "device nodes cannot be made in a user namespace without a mount namespace",
            where="linux.namespaces",
            hint=add_namespace("mount"),
        )
    facts = Facts(new | joined, bundle, cgroup_paths, hierarchies, kcore, root_is_user, nested)
    mounts = MountPlan(config, facts, warnings)
    process: Mapping[str, Any] = config["process"]
    linux: Mapping[str, Any] = config.get("linux") or {}
    operations: list[Operation] = []
    if keyring is not None:
        operations.append(Operation(lib.CL_OP_KEYRING, keyring))
    if new & CLONE_NEWNET:
        operations.append(Operation(lib.CL_OP_LOOPBACK))
    operations += _root(linux, rootfs, facts) if own_mounts else [_root_in_our_mounts(rootfs)]
    operations += mounts.operations
    create_hooks, start_hooks = _hooks(config, hook_state)
    operations.append(Operation(lib.CL_OP_HOOKS_POINT))
    operations += create_hooks
    operations += _into_root(config, no_pivot, own_mounts)
    if terminal:
        operations.append(console(console_size, bind=own_mounts))
    operations += _finish(config, mounts.read_only)
    operations += until_ready(process, linux)
    operations += from_ready(
        process,
        process.get("capabilities") or {},
        seccomp=seccomp,
        set_groups=set_groups,
        preserve_fds=preserve_fds,
        wait_start=wait_start,
        listen_fds=listen_fds,
        start_hooks=start_hooks,
    )
    own_user = bool(new & CLONE_NEWUSER)
    return Plan(
        tuple(operations),
        new,
        uid_map=text_of(linux.get("uidMappings")) if own_user else None,
        gid_map=text_of(linux.get("gidMappings")) if own_user else None,
        rlimits=rlimits(process),
        oom_score_adj=process.get("oomScoreAdj"),
        time_offsets=linux.get("timeOffsets") or {},
        deny_setgroups=own_user and not set_groups,
        has_console=terminal,
        warnings=tuple(warnings),
        listener=listener(linux, seccomp),
        joins=joins,
        joined_maps=_joined_maps(linux) if joined & CLONE_NEWUSER else (),
    )


def _root(linux: Mapping[str, Any], rootfs: str, facts: Facts) -> Iterator[Operation]:
    propagation = PROPAGATION.get(linux.get("rootfsPropagation") or "rslave", MS_SLAVE)
    if propagation & MS_UNBINDABLE:
        # The rootfs is about to be cloned from this tree; it becomes unbindable when it is the root.
        propagation = MS_SLAVE
    if not propagation & MS_SHARED:
        # One mount that stays shared is enough for ours to appear on the host.
        propagation |= MS_REC
    yield Operation(lib.CL_OP_HOST_PROPAGATION, numbers=(propagation,))
    flags = lib.CL_FLAG_RECURSIVE | (lib.CL_FLAG_FROM_PARENT if facts.sources_from_parent else 0)
    yield Operation(lib.CL_OP_ROOTFS, rootfs, flags=flags)


def _root_in_our_mounts(rootfs: str) -> Operation:
    """Without a mount namespace nothing is mounted: every mount would be one of the host's."""
    return Operation(lib.CL_OP_ROOTFS, rootfs, flags=lib.CL_FLAG_CHROOT)


def _hooks(
    config: Mapping[str, Any], state: Mapping[str, Any] | None
) -> tuple[Sequence[Operation], Sequence[Operation]]:
    hooks: Mapping[str, Any] = config.get("hooks") or {}
    if state is None or not (hooks.get("createContainer") or hooks.get("startContainer")):
        return (), ()
    from .hooks import hook_operations

    return (
        tuple(hook_operations("createContainer", hooks, state)),
        tuple(hook_operations("startContainer", hooks, state)),
    )


def _into_root(config: Mapping[str, Any], no_pivot: bool, own_mounts: bool) -> Iterator[Operation]:
    flags = lib.CL_FLAG_NO_PIVOT if no_pivot else 0
    yield Operation(lib.CL_OP_PIVOT, flags=flags if own_mounts else lib.CL_FLAG_CHROOT)
    propagation = PROPAGATION.get((config.get("linux") or {}).get("rootfsPropagation") or "", 0)
    if own_mounts and propagation & (MS_SHARED | MS_UNBINDABLE):
        yield Operation(lib.CL_OP_ROOT_PROPAGATION, numbers=(propagation,))
    yield Operation(lib.CL_OP_REOPEN_NULL)
    yield Operation(lib.CL_OP_MAKE_CWD, config["process"]["cwd"])


def _finish(config: Mapping[str, Any], read_only: Sequence[str]) -> Iterator[Operation]:
    linux: Mapping[str, Any] = config.get("linux") or {}
    for path in read_only:
        yield Operation(lib.CL_OP_REMOUNT, path, numbers=(RDONLY,))
    if config["root"].get("readonly"):
        yield Operation(lib.CL_OP_REMOUNT, "/", numbers=(RDONLY,))
    yield umask(config["process"].get("user"))
    if config.get("hostname"):
        yield Operation(lib.CL_OP_HOSTNAME, config["hostname"])
    if config.get("domainname"):
        yield Operation(lib.CL_OP_DOMAINNAME, config["domainname"])
    for key, value in (linux.get("sysctl") or {}).items():
        yield Operation(lib.CL_OP_SYSCTL, path_of(key), value)
    for path in linux.get("readonlyPaths") or ():
        yield Operation(lib.CL_OP_READONLY_PATH, cleaned(path))
    for path in linux.get("maskedPaths") or ():
        yield Operation(lib.CL_OP_MASK_PATH, cleaned(path))


def _joined_maps(linux: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What the maps of the user namespace that is joined must be, as far as the config says it."""
    sections = (("uid_map", linux.get("uidMappings")), ("gid_map", linux.get("gidMappings")))
    return tuple((name, text_of(mappings)) for name, mappings in sections if mappings)


def _exists(path: str) -> bool:
    from os.path import exists

    return exists(path)
