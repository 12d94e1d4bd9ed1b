"""Checks of ``linux.seccomp`` (runtime-spec, config-linux.md, "Seccomp"). The filter is made in kernel.seccomp."""

from __future__ import annotations

import os

from .fields import absolute, array, integer, optional, string, strings, table, u32, u64, word

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

_action = word("seccomp action", ACTIONS)

#: What the init still calls behind a late filter (with no_new_privs): it waits for start, says so, and executes.
NEEDED = frozenset(("read", "write", "close", "execve"))
#: sun_path of unix(7), without its end.
_SOCKET_PATH = 107
_LETS_THROUGH = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")


def _default_action(value: Any, where: Where, findings: Findings) -> None:
    if value == NOTIFY:
        findings.refuse(where, f"{NOTIFY} cannot be used as default action", "name the system calls in rules")
    else:
        _action(value, where, findings)


def _names(value: Any, where: Where, findings: Findings) -> None:
    strings(value, where, findings)
    if value == []:
        findings.refuse(where, "must not be empty")


def _listener(value: Any, where: Where, findings: Findings) -> None:
    absolute(value, where, findings)
    if type(value) is str and len(os.fsencode(value)) > _SOCKET_PATH:
        findings.refuse(where, f"is longer than the {_SOCKET_PATH} bytes of a socket's path")


def _notified(profile: Any, where: Where, findings: Findings) -> None:
    for index, rule in enumerate(profile.get("syscalls") or ()):
        if rule["action"] != NOTIFY:
            continue
        if "write" in rule["names"]:
            why = f"{NOTIFY} cannot be used for the write syscall"
            findings.refuse((((where, "syscalls"), index), "names"), why, "the init needs it to hand the listener over")
        if not profile.get("listenerPath"):
            findings.refuse((where, "listenerPath"), f"must be set: syscalls[{index}] has {NOTIFY}")


def _profile(profile: Any, where: Where, findings: Findings) -> None:
    _notified(profile, where, findings)
    if profile["defaultAction"] in _LETS_THROUGH:
        return
    missing = set(NEEDED)
    for rule in profile.get("syscalls") or ():
        if rule["action"] in (*_LETS_THROUGH, NOTIFY):
            missing.difference_update(rule["names"])
    if missing:
        names = ", ".join(sorted(missing))
        findings.warn((where, "syscalls"), f"{names}: not allowed, so the container cannot be started")


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
        "defaultAction": _default_action,
        "defaultErrnoRet": u32,
        "architectures": array(word("seccomp architecture", ARCHITECTURES)),
        "flags": array(word("seccomp flag", FLAGS)),
        "listenerPath": optional(_listener),
        "listenerMetadata": string,
        "syscalls": array(_RULE),
    },
    ("defaultAction",),
    _profile,
)
