"""A plan: the operations of one init and what the parent must know to carry it through the launch."""

from __future__ import annotations

from ..errors import ConfigError, ProtocolError
from ..kernel.native import lib
from ..records import Record
from .encode import BOOTSTRAP, encode
from .operation import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..spec.namespaces import Join


class Plan(Record):
    """What one init will do, in order, and what its parent does meanwhile."""

    operations: Sequence[Operation]
    #: CLONE_NEW* bits of the namespaces that are made (clone(2)).
    new_namespaces: int = 0
    #: Contents of /proc/PID/uid_map and gid_map; None without a new user namespace (user_namespaces(7)).
    uid_map: str | None = None
    gid_map: str | None = None
    #: (RLIMIT_* number, soft, hard); 2**64 - 1 is "unlimited" (prlimit(2)).
    rlimits: Sequence[tuple[int, int, int]] = ()
    #: /proc/PID/oom_score_adj; None: inherited.
    oom_score_adj: int | None = None
    #: {"monotonic": {"secs": …, "nanosecs": …}, "boottime": …} of a new time namespace (time_namespaces(7)).
    time_offsets: Mapping[str, Mapping[str, int]] = {}
    #: setgroups(2) is switched off in the new user namespace: else an ordinary user may not write its gid_map.
    deny_setgroups: bool = False
    #: The container's process has a pseudo terminal.
    has_console: bool = False
    #: process.execCPUAffinity of an exec: "initial" and "final" CPU lists.
    cpu_affinity: Mapping[str, str | None] = {}
    #: What was left out or done otherwise than the config says, one sentence each.
    warnings: Sequence[str] = ()
    #: Socket and metadata for the listener of the seccomp filter, None if it has none.
    listener: tuple[str, str] | None = None
    #: The namespaces that are joined by path.
    joins: Sequence[Join] = ()
    #: (file below /proc/PID, content): the maps that the user namespace that is joined must have.
    joined_maps: Sequence[tuple[str, str]] = ()

    def hook_seconds(self) -> tuple[int, int]:
        """How long the hooks inside may take together: those of create, and those of start."""
        if not any(operation.code == lib.CL_OP_HOOK for operation in self.operations):
            return 0, 0
        from .hooks import seconds_of

        return seconds_of(self.operations)

    @property
    def joined(self) -> int:
        """CLONE_NEW* bits of the namespaces that are joined by path."""
        return sum(join.bit for join in self.joins)

    def encode(self) -> bytes:
        """The plan as the init reads it (native/protocol.h).

        Raises:
            ConfigError: it is larger than the init takes.
        """
        return encode(self.operations)

    def bootstrap(self, join_types: Sequence[int] = (), *, flags: int = 0) -> bytes:
        """The payload of BOOTSTRAP: struct cl_bootstrap.

        Args:
            join_types: CLONE_NEW* of each namespace descriptor that goes along, in their order. Joining the
                namespaces of a running container makes the child non-dumpable first (CVE-2016-9962).
            flags: further ``lib.CL_BOOT_*`` that are the launch's to decide, such as CL_BOOT_NETLINK.

        Raises:
            ConfigError: more namespaces than the init joins.
        """
        if len(join_types) > lib.CL_JOIN_LIMIT:
            raise ConfigError("too many namespaces to join", why=f"{len(join_types)}, at most {lib.CL_JOIN_LIMIT}")
        if self.oom_score_adj is not None:
            flags |= lib.CL_BOOT_OOM_SCORE_ADJ
        if join_types:
            flags |= lib.CL_BOOT_NON_DUMPABLE
        if self.deny_setgroups:
            flags |= lib.CL_BOOT_NO_SETGROUPS
        if self.time_offsets:
            flags |= lib.CL_BOOT_TIME_OFFSETS
        monotonic = self.time_offsets.get("monotonic") or {}
        boottime = self.time_offsets.get("boottime") or {}
        return BOOTSTRAP.pack(
            flags,
            self.new_namespaces,
            len(join_types),
            *join_types,
            *(0,) * (lib.CL_JOIN_LIMIT - len(join_types)),
            self.oom_score_adj or 0,
            monotonic.get("secs") or 0,
            monotonic.get("nanosecs") or 0,
            boottime.get("secs") or 0,
            boottime.get("nanosecs") or 0,
        )

    def without_setgroups(self) -> Plan:
        """This plan for a process that may not call setgroups(2), because its user namespace denies it.

        Raises:
            ConfigError: the process is to have supplementary groups.
        """
        return self.replace(  # type: ignore[no-any-return]
            operations=tuple(one if one.code != lib.CL_OP_USER else _without_groups(one) for one in self.operations)
        )

    def source(self, index: int) -> tuple[str, bool]:
        """Host path and recursion of the mount source that the child asks for with SOURCE_WANTED.

        Raises:
            ProtocolError: that operation has no source that the parent gives.
        """
        operation = self.operations[index] if 0 <= index < len(self.operations) else None
        if operation is None or not operation.flags & lib.CL_FLAG_FROM_PARENT:
            what = "the child asks for a mount source that its plan does not have"
            raise ProtocolError(what, why=f"operation {index}")
        path = operation.text(0 if operation.code == lib.CL_OP_ROOTFS else 1)
        return path, bool(operation.flags & lib.CL_FLAG_RECURSIVE)

    def describe(self) -> str:
        """The plan for people: one line per operation."""
        width = len(str(len(self.operations)))
        return "\n".join(f"{number:{width}} {one.describe()}" for number, one in enumerate(self.operations, 1))

    def json(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {
            "operations": [operation.json() for operation in self.operations],
            "new_namespaces": self.new_namespaces,
            "joins": [{"type": join.kind, "path": join.path} for join in self.joins],
            "uid_map": self.uid_map,
            "gid_map": self.gid_map,
            "rlimits": [list(limit) for limit in self.rlimits],
            "oom_score_adj": self.oom_score_adj,
            "terminal": self.has_console,
            "warnings": list(self.warnings),
        }


def _without_groups(user: Operation) -> Operation:
    if user.blob:
        from ..spec.rootless import GROUPS_HINT

        raise ConfigError(
            "cannot set any additional groups in a rootless container",
            where="process.user.additionalGids",
            why="setgroups is denied in its user namespace",
            hint=GROUPS_HINT,
        )
    return Operation(user.code, flags=user.flags & ~lib.CL_FLAG_SET_GROUPS, numbers=user.numbers)
