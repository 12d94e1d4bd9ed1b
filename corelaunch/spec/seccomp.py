"""Checks of ``linux.seccomp`` (runtime-spec, config-linux.md, "Seccomp"). The filter is made in kernel.seccomp."""

from __future__ import annotations

from .fields import array, integer, string, strings, table, u32, u64, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .findings import Findings, Where

NOTIFY = "SCMP_ACT_NOTIFY"
ACTIONS = frozenset(
    f"SCMP_ACT_{name}" for name in "KILL KILL_PROCESS KILL_THREAD TRAP ERRNO TRACE ALLOW LOG NOTIFY".split()
)
OPERATORS = frozenset(f"SCMP_CMP_{name}" for name in "NE LT LE EQ GE GT MASKED_EQ".split())
ARCHITECTURES = frozenset(
    f"SCMP_ARCH_{name}"
    for name in (
        "X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X "
        "PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB"
    ).split()
)
FLAGS = frozenset(f"SECCOMP_FILTER_FLAG_{name}" for name in "TSYNC LOG SPEC_ALLOW WAIT_KILLABLE_RECV".split())

#: What the init still calls behind a late filter (with no_new_privs): it waits for start, says so, and executes.
NEEDED = frozenset(("read", "write", "close", "execve"))
_LETS_THROUGH = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")


def _action(value: Any, where: Where, findings: Findings) -> None:
    if value == NOTIFY:
        findings.unsupported(where, f"{NOTIFY} comes with a later release", "use another action")
    else:
        _known_action(value, where, findings)


def _names(value: Any, where: Where, findings: Findings) -> None:
    strings(value, where, findings)
    if value == []:
        findings.refuse(where, "must not be empty")


def _listener(value: Any, where: Where, findings: Findings) -> None:
    string(value, where, findings)
    if value:
        findings.unsupported(where, "a seccomp listener comes with a later release", "leave it out")


def _profile(profile: Any, where: Where, findings: Findings) -> None:
    if profile["defaultAction"] in _LETS_THROUGH:
        return
    missing = set(NEEDED)
    for rule in profile.get("syscalls") or ():
        if rule["action"] in _LETS_THROUGH:
            missing.difference_update(rule["names"])
    if missing:
        names = ", ".join(sorted(missing))
        findings.warn((where, "syscalls"), f"{names}: not allowed, so the container cannot be started")


_known_action = word("seccomp action", ACTIONS)
_RULE = table(
    {
        "names": _names,
        "action": _action,
        "errnoRet": u32,
        "args": array(
            table(
                {"index": integer(0, 5), "value": u64, "valueTwo": u64, "op": word("seccomp operator", OPERATORS)},
                ("index", "value", "op"),
            )
        ),
    },
    ("names", "action"),
)

#: Checks the seccomp object.
check = table(
    {
        "defaultAction": _action,
        "defaultErrnoRet": u32,
        "architectures": array(word("seccomp architecture", ARCHITECTURES)),
        "flags": array(word("seccomp flag", FLAGS)),
        "listenerPath": _listener,
        "listenerMetadata": string,
        "syscalls": array(_RULE),
    },
    ("defaultAction",),
    _profile,
)
