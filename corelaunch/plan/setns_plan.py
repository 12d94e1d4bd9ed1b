"""The plan of a process that joins a running container (``exec``)."""

from __future__ import annotations

from ..kernel.native import lib
from .operation import Operation
from .plan import Plan
from .process import console, from_ready, listener, rlimits, umask, until_ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: What a process that says nothing of it has in common with the container's own.
_INHERITED = (
    "cwd",
    "capabilities",
    "rlimits",
    "apparmorProfile",
    "selinuxLabel",
    "oomScoreAdj",
    "scheduler",
    "ioPriority",
    "execCPUAffinity",
)


def setns_plan(
    process: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    terminal: bool,
    seccomp: tuple[bytes, int] | None = None,
    keyring: str | None = None,
    console_size: Mapping[str, int] | None = None,
    preserve_fds: int = 0,
    chroot: bool = False,
) -> Plan:
    """Plan a process in a running container: no mounts, no hooks point, no start gate.

    Args:
        process: a checked OCI process; what it leaves out of ``_INHERITED`` is as in the container's own process.
        config: the container's config.
        terminal: the process gets a pseudo terminal of the container's devpts.
        seccomp: compiled filter and flags of seccomp(2).
        keyring: name of the container's session keyring, None to keep the caller's.
        console_size: size of the terminal; None: process.consoleSize.
        preserve_fds: how many descriptors from 3 upward the process keeps.
        chroot: the container has no mount namespace of its own, so its root must be entered besides.
    """
    process = _completed(process, config["process"])
    linux: Mapping[str, Any] = config.get("linux") or {}
    operations: list[Operation] = []
    if keyring is not None:
        operations.append(Operation(lib.CL_OP_KEYRING, keyring))
    if chroot:
        operations.append(Operation(lib.CL_OP_ROOTFS, "/", flags=lib.CL_FLAG_CHROOT | lib.CL_FLAG_FROM_PARENT))
        operations.append(Operation(lib.CL_OP_PIVOT, flags=lib.CL_FLAG_CHROOT))
    if terminal:
        operations.append(console(console_size or process.get("consoleSize"), bind=False))
    operations.append(umask(process.get("user"), config["process"].get("user")))
    operations += until_ready(process, linux)
    operations += from_ready(
        process,
        process.get("capabilities") or {},
        seccomp=seccomp,
        set_groups=True,
        preserve_fds=preserve_fds,
        wait_start=False,
    )
    return Plan(
        tuple(operations),
        rlimits=rlimits(process),
        oom_score_adj=process.get("oomScoreAdj"),
        has_console=terminal,
        listener=listener(linux, seccomp),
        cpu_affinity=process.get("execCPUAffinity") or {},
    )


def _completed(process: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    completed = dict(process)
    for key in _INHERITED:
        # An empty text or list says nothing; an empty capabilities object says "none".
        if completed.get(key) in (None, "", []) and own.get(key) is not None:
            completed[key] = own[key]
    return completed
