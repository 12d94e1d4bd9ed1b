"""``doctor``: checks of this host and of the installation, with what to do."""

from __future__ import annotations

import os

from .command import Call, Command
from .options import FLAG, Option
from .output import indented, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..doctor import Check

_COLOURS = {"ok": "32", "warn": "33", "fail": "31"}


def run(call: Call) -> int:
    """Print every check; the exit code is 1 if one of them fails."""
    from ..doctor import examine

    runtime = call.runtime()
    more: Sequence[Any] = ()
    if runtime.plugins:
        from .contributions import checks as of_plugins

        more = of_plugins(runtime)
    checks = list(examine(runtime, more))
    if call.options["json"]:
        write(indented([check.as_dict() for check in checks]) + "\n")
    else:
        write("".join(lines(checks, colours=os.isatty(1))))
    return 1 if any(check.status == "fail" for check in checks) else 0


def lines(checks: list[Check], *, colours: bool) -> list[str]:
    """The checks for people: a heading for each group, a line for each check, and what to do below it."""
    found = []
    group = ""
    width = max((len(check.name) for check in checks), default=0)
    for check in checks:
        if check.group != group:
            group = check.group
            found.append(f"{group}\n")
        status = check.status.ljust(4)
        if colours:
            status = f"\x1b[{_COLOURS[check.status]}m{status}\x1b[0m"
        found.append(f"  {status}  {check.name.ljust(width)}  {check.text}\n")
        if check.hint and check.status != "ok":
            found.append(f"        {' ' * width}  -> {check.hint}\n")
    return found


COMMAND = Command(
    "doctor",
    "",
    """Looks at the kernel, the cgroup hierarchies, the installation, the plugins and the state root, and says of each:
ok; warn (something cannot be done here, or in another way only); fail (containers cannot be launched); and what to do
about it. Nothing is changed. The exit code is 1 if something fails.""",
    run,
    (Option("json", "print JSON", FLAG),),
    fewest=0,
    most=0,
    chooses=True,
)
