"""The sync table: which message may come when. The words stand in native/protocol.h, the order stands here.

The child may be hostile (an exec'd process can be ptraced by the container it joins), so each phase says what it
may send and how often; anything else is a ProtocolError and the child is killed. What a phase allows is derived
from the plan: a child without a new user namespace may not ask for mappings, one without a console may not send
a descriptor, and exec knows no hooks point.
"""

from __future__ import annotations

from ..errors import ProtocolError
from ..kernel.native import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan

#: The messages by name; the numbers are the C header's.
MESSAGES = {
    "HELLO": lib.CL_MSG_HELLO,
    "BOOTSTRAP": lib.CL_MSG_BOOTSTRAP,
    "MAPPINGS_WANTED": lib.CL_MSG_MAPPINGS_WANTED,
    "MAPPINGS_WRITTEN": lib.CL_MSG_MAPPINGS_WRITTEN,
    "STAGE2": lib.CL_MSG_STAGE2,
    "INIT_ALIVE": lib.CL_MSG_INIT_ALIVE,
    "PLAN": lib.CL_MSG_PLAN,
    "SOURCE_WANTED": lib.CL_MSG_SOURCE_WANTED,
    "SOURCE": lib.CL_MSG_SOURCE,
    "HOOKS_REACHED": lib.CL_MSG_HOOKS_REACHED,
    "HOOKS_DONE": lib.CL_MSG_HOOKS_DONE,
    "CONSOLE": lib.CL_MSG_CONSOLE,
    "READY": lib.CL_MSG_READY,
    "RUN": lib.CL_MSG_RUN,
    "LOG": lib.CL_MSG_LOG,
    "ERROR": lib.CL_MSG_ERROR,
    "CGROUPS": lib.CL_MSG_CGROUPS,
    "CGROUPS_JOINED": lib.CL_MSG_CGROUPS_JOINED,
    "SECCOMP": lib.CL_MSG_SECCOMP,
    "SECCOMP_DONE": lib.CL_MSG_SECCOMP_DONE,
}
NAMES = {number: name for name, number in MESSAGES.items()}

#: (phase, message of the child, next phase, descriptors that come with it). "" as message is the end of sync.
TABLE = (
    ("spawned", "HELLO", "greeted", 0),
    ("greeted", "CGROUPS_JOINED", "joined", 0),
    ("greeted", "MAPPINGS_WANTED", "mapped", 0),
    ("greeted", "STAGE2", "staged", 1),
    ("joined", "MAPPINGS_WANTED", "mapped", 0),
    ("joined", "STAGE2", "staged", 1),
    ("mapped", "STAGE2", "staged", 1),
    ("staged", "INIT_ALIVE", "alive", -1),
    ("alive", "SOURCE_WANTED", "alive", 0),
    ("alive", "HOOKS_REACHED", "hooked", 0),
    ("alive", "CONSOLE", "consoled", 1),
    ("alive", "READY", "ready", 0),
    ("hooked", "SOURCE_WANTED", "hooked", 0),
    ("hooked", "CONSOLE", "consoled", 1),
    ("hooked", "READY", "ready", 0),
    ("consoled", "READY", "ready", 0),
    ("ready", "SECCOMP", "filtered", 0),
    ("ready", "", "ended", 0),
    ("filtered", "", "ended", 0),
)
_NEXT = {(phase, message): (after, fds) for phase, message, after, fds in TABLE}

#: A correct child logs a handful of lines; more is a flood meant to keep the parent busy.
_LOG_BUDGET = 256


class SyncMachine:
    """Follows one conversation and refuses what the table, or the plan, does not allow.

    Args:
        plan: what the child was told to do.
        netlink: whether INIT_ALIVE must bring a netlink socket.
        hooks: whether the plan has a hooks point (init) or not (setns).
    """

    def __init__(self, plan: Plan, *, netlink: bool, hooks: bool) -> None:
        self.phase = "spawned"
        self._logs = 0
        self._netlink = netlink
        self._sources = {
            index for index, operation in enumerate(plan.operations) if operation.flags & lib.CL_FLAG_FROM_PARENT
        }
        self._forbidden = {"CGROUPS_JOINED"}
        if plan.uid_map is None:
            self._forbidden.add("MAPPINGS_WANTED")
        if not plan.has_console:
            self._forbidden.add("CONSOLE")
        if not hooks:
            self._forbidden.add("HOOKS_REACHED")
        if plan.listener is None:
            self._forbidden.add("SECCOMP")
        self._last = "ready" if plan.listener is None else "filtered"
        self._hooks = hooks
        self._console = plan.has_console
        #: The child makes a user namespace, where the kernel refuses more.
        self.in_user_namespace = plan.uid_map is not None

    def accept(self, type_number: int, descriptors: int) -> str:
        """Take a message of the child; returns its name.

        Raises:
            ProtocolError: unknown, not allowed in this phase, or with descriptors that do not belong to it.
        """
        name = NAMES.get(type_number, f"message {type_number}")
        if name in ("LOG", "ERROR"):
            self._logs += 1
            if self._logs > _LOG_BUDGET:
                raise ProtocolError("the child floods the sync socket", why=f"more than {_LOG_BUDGET} log messages")
            expected = 0
        else:
            expected = self._advance(name)
        if descriptors != expected:
            raise ProtocolError(
                "unexpected descriptors from the child", where=name, why=f"{descriptors} came, {expected} belong to it"
            )
        return name

    def cgroups_sent(self) -> None:
        """From here on the child owes us one CGROUPS_JOINED, before anything else."""
        self._forbidden.discard("CGROUPS_JOINED")

    def end(self) -> None:
        """Take the end of sync.

        Raises:
            ProtocolError: it came before the child was ready, or had given the listener of its filter.
        """
        if self.phase != self._last:
            raise ProtocolError("the child went away", why=f"its sync socket closed in phase {self.phase!r}")
        self.phase = "ended"

    def may_ask_for(self, index: int) -> None:
        """Check a SOURCE_WANTED: each index once, and only those of the plan.

        Raises:
            ProtocolError: the plan has no such source, or it was asked for before.
        """
        if index not in self._sources:
            raise ProtocolError(
                "the child asks for a mount source that its plan does not have", why=f"operation {index}"
            )
        self._sources.discard(index)

    def _advance(self, name: str) -> int:
        after = _NEXT.get((self.phase, name))
        too_early = (
            (name == "STAGE2" and self.in_user_namespace and self.phase != "mapped")
            or (name == "READY" and self._hooks and self.phase == "alive")
            or (name == "READY" and self._console and self.phase != "consoled")
            or (name == "CONSOLE" and self._hooks and self.phase == "alive")
        )
        if after is None or name in self._forbidden or too_early:
            raise ProtocolError(
                "unexpected message from the child", where=name, why=f"not allowed in phase {self.phase!r}"
            )
        self.phase, descriptors = after
        return int(self._netlink) if descriptors < 0 else descriptors
