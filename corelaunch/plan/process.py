"""The last part of every plan, of create as of exec: from no_new_privs to execve.

The order is what the kernel and a row of CVEs impose: a seccomp filter needs CAP_SYS_ADMIN unless no_new_privs is
set, so it comes early without and as late as possible with it; the bounding set can be lowered only while
CAP_SETPCAP is there; the working directory is tried as root and again as the user (one of them may be refused) and
verified each time (CVE-2024-21626). After a late filter the init only reads, writes and closes, and calls execve.
"""

from __future__ import annotations

from struct import pack

from ..kernel.native import lib
from ..spec.capabilities import masks
from ..spec.rlimits import NUMBERS
from .environment import environment
from .operation import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

_DEFAULT_UMASK = 0o022


def until_ready(process: Mapping[str, Any], linux: Mapping[str, Any]) -> Iterator[Operation]:
    """What is set before READY: privileges, scheduling, personality, memory policy."""
    if process.get("noNewPrivileges"):
        yield Operation(lib.CL_OP_NO_NEW_PRIVS)
    scheduler, io, domain, policy = (
        process.get("scheduler"),
        process.get("ioPriority"),
        linux.get("personality"),
        linux.get("memoryPolicy"),
    )
    if scheduler or io or domain or policy:
        from ..spec import scheduling

        if scheduler:
            yield Operation(lib.CL_OP_SCHEDULER, blob=scheduling.sched_attr(scheduler))
        if io:
            yield Operation(lib.CL_OP_IO_PRIORITY, numbers=(scheduling.io_priority(io),))
        if domain:
            yield Operation(lib.CL_OP_PERSONALITY, numbers=(scheduling.DOMAINS[domain["domain"]],))
        if policy:
            mode, maxnode, nodes = scheduling.memory_policy(policy)
            yield Operation(lib.CL_OP_MEMORY_POLICY, numbers=(mode, maxnode), blob=nodes)


def from_ready(
    process: Mapping[str, Any],
    capabilities: Mapping[str, Any],
    *,
    seccomp: tuple[bytes, int] | None,
    set_groups: bool,
    preserve_fds: int,
    wait_start: bool,
    listen_fds: int = 0,
    start_hooks: Sequence[Operation] = (),
) -> Iterator[Operation]:
    """From READY to EXEC.

    Args:
        process: a checked OCI process.
        capabilities: its capability sets.
        seccomp: filter and flags of seccomp(2), None for none.
        set_groups: whether supplementary groups may be set (not where setgroups is "deny").
        preserve_fds: how many descriptors from 3 upward stay open.
        wait_start: whether ``start`` is waited for.
        start_hooks: what is run between ``start`` and EXEC.
        listen_fds: how many of ``preserve_fds`` are sockets to accept from, as sd_listen_fds(3) finds them.
    """
    yield Operation(lib.CL_OP_READY_POINT)
    if process.get("apparmorProfile"):
        yield Operation(lib.CL_OP_EXEC_LABEL, "apparmor/exec", f"exec {process['apparmorProfile']}")
    if process.get("selinuxLabel"):
        yield Operation(lib.CL_OP_EXEC_LABEL, "exec", process["selinuxLabel"])
    no_new_privileges = bool(process.get("noNewPrivileges"))
    if seccomp is not None and not no_new_privileges:
        yield _filter(seccomp)
    sets = masks(capabilities)
    cwd = process["cwd"]
    yield Operation(lib.CL_OP_CAP_BOUNDING, numbers=(sets["bounding"],))
    yield Operation(lib.CL_OP_CHDIR, cwd, flags=lib.CL_FLAG_TENTATIVE)
    yield _user(process.get("user") or {}, set_groups)
    yield Operation(lib.CL_OP_CHDIR, cwd)
    yield Operation(lib.CL_OP_CAPS, numbers=(sets["effective"], sets["permitted"], sets["inheritable"]))
    # The kernel lets nothing be ambient that is not both permitted and inheritable (capabilities(7)). Configs that ask
    # for it all the same are the rule, `runc spec` writes one, and get what every runtime gives them.
    ambient = sets["ambient"] & sets["permitted"] & sets["inheritable"]
    yield Operation(lib.CL_OP_CAP_AMBIENT, numbers=(ambient,))
    variables, path, home_wanted = environment(process.get("env") or (), listen_fds)
    arguments = process["args"]
    yield Operation(lib.CL_OP_FIND_EXECUTABLE, arguments[0], path)
    yield Operation(lib.CL_OP_CLOSE_FDS, numbers=(3 + preserve_fds,))
    if seccomp is not None and no_new_privileges:
        yield _filter(seccomp)
    yield Operation(lib.CL_OP_END_SYNC)
    if wait_start:
        yield Operation(lib.CL_OP_WAIT_START)
        yield from start_hooks
    yield Operation(
        lib.CL_OP_EXEC,
        arguments,
        variables,
        flags=lib.CL_FLAG_HOME if home_wanted else 0,
        numbers=(len(arguments), len(variables), 1 if listen_fds else 0),
    )


def umask(*users: Mapping[str, Any] | None) -> Operation:
    """UMASK: of the first of ``users`` (process.user) that names one, else 022. The init itself runs with 0."""
    named = (user["umask"] for user in users if user and user.get("umask") is not None)
    return Operation(lib.CL_OP_UMASK, numbers=(next(named, _DEFAULT_UMASK),))


def console(size: Mapping[str, int] | None, *, bind: bool) -> Operation:
    """CONSOLE: ``size`` is process.consoleSize; ``bind`` also puts the terminal on /dev/console."""
    number = (size["height"] << 16 | size["width"]) if size else 0
    return Operation(lib.CL_OP_CONSOLE, flags=lib.CL_FLAG_BIND_CONSOLE if bind else 0, numbers=(number,))


def rlimits(process: Mapping[str, Any]) -> tuple[tuple[int, int, int], ...]:
    """(RLIMIT_* number, soft, hard) of each limit; the parent sets them with prlimit(2)."""
    return tuple((NUMBERS[one["type"]], one["soft"], one["hard"]) for one in process.get("rlimits") or ())


def _user(user: Mapping[str, Any], set_groups: bool) -> Operation:
    groups = user.get("additionalGids") or ()
    return Operation(
        lib.CL_OP_USER,
        flags=lib.CL_FLAG_SET_GROUPS if set_groups else 0,
        numbers=(user.get("uid") or 0, user.get("gid") or 0),
        blob=pack(f"={len(groups)}I", *groups),
    )


def listener(linux: Mapping[str, Any], seccomp: tuple[bytes, int] | None) -> tuple[str, str] | None:
    """Socket and metadata for the listener of a compiled filter, None if it has none."""
    if seccomp is None or not seccomp[1] & lib.CL_SECCOMP_NEW_LISTENER:
        return None
    profile: Mapping[str, Any] = linux["seccomp"]
    return profile["listenerPath"], profile.get("listenerMetadata") or ""


def _filter(seccomp: tuple[bytes, int]) -> Operation:
    program, flags = seccomp
    return Operation(lib.CL_OP_SECCOMP, numbers=(flags,), blob=program)
