"""Checks of process.scheduler, process.ioPriority, linux.personality and linux.memoryPolicy."""

from __future__ import annotations

from .fields import U64, array, i64, integer, strings, table, word
from .scheduling import (
    DOMAINS,
    IO_CLASSES,
    MEMORY_FLAGS,
    MEMORY_MODES,
    POLICIES,
    SCHEDULER_FLAGS,
    WITHOUT_NODES,
    node_list,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .fields import Check
    from .findings import Findings, Where

_NICE = ("SCHED_OTHER", "SCHED_BATCH")
_REAL_TIME = ("SCHED_FIFO", "SCHED_RR")
_DEADLINE = ("runtime", "deadline", "period")


def _scheduler(value: Any, where: Where, findings: Findings) -> None:
    policy = value["policy"]
    if policy == "SCHED_ISO":
        findings.unsupported((where, "policy"), "no Linux kernel has SCHED_ISO")
    if value.get("nice") and policy not in _NICE:
        findings.refuse((where, "nice"), f"is not for {policy}", f"it is for {', '.join(_NICE)}")
    if value.get("priority") and policy not in _REAL_TIME:
        findings.refuse((where, "priority"), f"is not for {policy}", f"it is for {', '.join(_REAL_TIME)}")
    for member in _DEADLINE:
        if value.get(member) and policy != "SCHED_DEADLINE":
            findings.refuse((where, member), f"is not for {policy}", "it is for SCHED_DEADLINE")


def _personality(value: Any, where: Where, findings: Findings) -> None:
    if value.get("flags"):
        findings.warn((where, "flags"), "no flag is defined: they are ignored")


def _memory_policy(value: Any, where: Where, findings: Findings) -> None:
    mode, nodes = value["mode"], value.get("nodes") or ""
    if not nodes:
        if mode not in WITHOUT_NODES:
            findings.refuse((where, "nodes"), f"must be set for {mode}")
        return
    if mode in WITHOUT_NODES:
        findings.refuse((where, "nodes"), f"must not be set for {mode}")
        return
    try:
        node_list(nodes)
    except ValueError as error:
        findings.refuse((where, "nodes"), str(error))


def _node_text(value: Any, where: Where, findings: Findings) -> None:
    if type(value) is not str:
        findings.refuse(where, 'must be a string such as "0-3,7"')


scheduler: Check = table(
    {
        "policy": word("scheduling policy", POLICIES),
        "nice": integer(-20, 19),
        "priority": integer(0, 99),
        "flags": array(word("scheduler flag", SCHEDULER_FLAGS)),
        "runtime": integer(0, U64),
        "deadline": integer(0, U64),
        "period": integer(0, U64),
    },
    ("policy",),
    _scheduler,
)
io_priority: Check = table({"class": word("I/O priority class", IO_CLASSES), "priority": integer(0, 7)}, ("class",))
personality: Check = table({"domain": word("personality domain", DOMAINS), "flags": strings}, ("domain",), _personality)
memory_policy: Check = table(
    {
        "mode": word("memory policy mode", MEMORY_MODES),
        "nodes": _node_text,
        "flags": array(word("memory policy flag", MEMORY_FLAGS)),
    },
    ("mode",),
    _memory_policy,
)
#: Clock offsets of a time namespace: seconds may be negative.
time_offset: Check = table({"secs": i64, "nanosecs": integer(0, 999_999_999)})
