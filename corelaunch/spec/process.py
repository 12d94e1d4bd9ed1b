"""The process object: of config.json and of ``exec --process`` (runtime-spec, config.md, "Process")."""

from __future__ import annotations

import os

from ..errors import ConfigError
from .bundle import read_object
from .capabilities import BITS, SETS
from .fields import absolute, array, boolean, ignored, integer, string, strings, table, u16, u64, word
from .findings import Findings
from .id_mappings import check_user
from .rlimits import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .findings import Where

#: setresuid(2) takes -1 as "leave it".
_ID = integer(0, 2**32 - 2)


def load_process(path: str) -> dict[str, Any]:
    """Read a process object (``exec --process FILE``); see :func:`check_process` for its contents.

    Raises:
        ConfigError: no such file, or not a JSON object.
        KernelError: it cannot be read.
    """
    try:
        return read_object(path, path)
    except FileNotFoundError:
        raise ConfigError("process file not found", where=path) from None


def check_process(process: Mapping[str, Any], linux: Mapping[str, Any] | None = None) -> list[str]:
    """Check a process that is to join a container; returns warnings.

    Args:
        process: the process object.
        linux: that of the container's config, to know the ids of its user namespace.

    Raises:
        ConfigError, Unsupported: the first thing that is wrong, with its path in the object.
    """
    findings = Findings("process")
    check(process, (), findings)
    check_labels(process, (), findings)
    check_user(process, linux or {}, (), findings)
    return findings.warnings


def check_labels(process: Mapping[str, Any], where: Where, findings: Findings) -> None:
    """Refuse a label of a security module that this host does not have: without it the process would be unconfined."""
    if process.get("apparmorProfile") and not apparmor_enabled():
        findings.unsupported((where, "apparmorProfile"), "apparmor is not supported by this host", "leave it out")
    if process.get("selinuxLabel") and not selinux_enabled():
        why = "selinux is disabled or not supported by this host"
        findings.unsupported((where, "selinuxLabel"), why, "leave it out")


def apparmor_enabled() -> bool:
    """Whether the kernel confines with AppArmor (Documentation/admin-guide/LSM/apparmor.rst)."""
    try:
        with open("/sys/module/apparmor/parameters/enabled", "rb") as file:
            return file.read(1) == b"Y" and os.path.exists("/sys/kernel/security/apparmor")
    except OSError:
        return False


def selinux_enabled() -> bool:
    """Whether SELinux is active: its filesystem is mounted (selinux(8))."""
    return os.path.exists("/sys/fs/selinux/enforce")


def _environment(entries: Any, where: Where, findings: Findings) -> None:
    strings(entries, where, findings)
    if type(entries) is not list:
        return
    for index, entry in enumerate(entries):
        if type(entry) is str and entry.find("=") < 1:
            what = "has no name" if entry[:1] == "=" else "has no '='"
            findings.refuse((where, index), f"{entry!r} {what}", "write NAME=value")


def _arguments(arguments: Any, where: Where, findings: Findings) -> None:
    strings(arguments, where, findings)
    if type(arguments) is list and not arguments:
        findings.refuse(where, "must not be empty")
    elif type(arguments) is list and arguments[0] == "":
        findings.refuse((where, 0), "must not be empty")


def _limit(limit: Any, where: Where, findings: Findings) -> None:
    if limit["soft"] > limit["hard"]:
        findings.refuse(where, f"the soft limit {limit['soft']} is above the hard limit {limit['hard']}")


def _limits(limits: Any, where: Where, findings: Findings) -> None:
    seen: set[str] = set()
    for index, limit in enumerate(limits):
        if limit["type"] in seen:
            findings.refuse(((where, index), "type"), f"duplicate rlimit {limit['type']}")
        seen.add(limit["type"])


def _capabilities(capabilities: Any, where: Where, findings: Findings) -> None:
    for kind in SETS:
        for index, name in enumerate(capabilities.get(kind) or ()):
            if name not in BITS:
                # a config written for a newer kernel is not an error: what is unknown is not granted
                findings.warn(((where, kind), index), f"unknown capability {name!r} is left out")
    permitted = set(capabilities.get("permitted") or ())
    for index, name in enumerate(capabilities.get("effective") or ()):
        if name not in permitted and name in BITS:
            findings.refuse(((where, "effective"), index), f"{name} is not in permitted", "add it to permitted")


def _scheduler(value: Any, where: Where, findings: Findings) -> None:
    from .scheduling_check import scheduler

    scheduler(value, where, findings)


def _io_priority(value: Any, where: Where, findings: Findings) -> None:
    from .scheduling_check import io_priority

    io_priority(value, where, findings)


def _affinity(value: Any, where: Where, findings: Findings) -> None:
    from .cpu_list import check as check_lists

    check_lists(value, where, findings)


_USER = table({"uid": _ID, "gid": _ID, "umask": integer(0, 0o777), "additionalGids": array(_ID), "username": ignored})
_RLIMIT = table({"type": word("rlimit", NUMBERS), "soft": u64, "hard": u64}, ("type", "soft", "hard"), _limit)

#: Checks a process object.
check = table(
    {
        "terminal": boolean,
        "consoleSize": table({"height": u16, "width": u16}, ("height", "width")),
        "user": _USER,
        "args": _arguments,
        "commandLine": ignored,
        "env": _environment,
        "cwd": absolute,
        "capabilities": table({kind: strings for kind in SETS}, extra=_capabilities),
        "rlimits": array(_RLIMIT, _limits),
        "noNewPrivileges": boolean,
        "apparmorProfile": string,
        "oomScoreAdj": integer(-1000, 1000),
        "selinuxLabel": string,
        "scheduler": _scheduler,
        "ioPriority": _io_priority,
        "execCPUAffinity": _affinity,
    },
    required=("args",),
)
