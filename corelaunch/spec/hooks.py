"""Checks of ``hooks`` (runtime-spec, config.md, "POSIX-platform Hooks")."""

from __future__ import annotations

from .fields import I64, absolute, array, integer, strings, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .findings import Findings, Where

#: How long a hook without ``timeout`` may take: the spec allows it to run for ever, but then so does a broken one.
DEFAULT_SECONDS = 300


def _environment(entries: Any, where: Where, findings: Findings) -> None:
    strings(entries, where, findings)
    if type(entries) is list:
        for index, entry in enumerate(entries):
            if type(entry) is str and entry.find("=") < 1:
                findings.refuse((where, index), f"{entry!r} is not of the form NAME=value")


_HOOKS = array(
    table({"path": absolute, "args": strings, "env": _environment, "timeout": integer(1, I64)}, required=("path",))
)

#: Checks the hooks object.
check = table(
    {
        "prestart": _HOOKS,
        "createRuntime": _HOOKS,
        "createContainer": _HOOKS,
        "startContainer": _HOOKS,
        "poststart": _HOOKS,
        "poststop": _HOOKS,
    }
)
