"""``doctor``: checks of this host and of the installation, with what to do."""

from __future__ import annotations

from .command import Call, Command
from .options import FLAG, Option
from .output import write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ..doctor import Check
    from .screen import Screen

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
        write_json([check.as_dict() for check in checks], 2)
    else:
        from .screen import screen_of

        write("".join(f"{line}\n" for line in lines(checks, screen_of())))
    return 1 if any(check.status == "fail" for check in checks) else 0


def lines(checks: list[Check], screen: Screen) -> Iterator[str]:
    """The checks for people: a heading for each group, a line for each check, and what to do below it.

    What does not fit a terminal goes on below: nothing of it may be lost.
    """
    from .display import pad, visible

    clean = visible if screen.is_terminal else str
    group = ""
    width = max((len(check.name) for check in checks), default=0)
    for check in checks:
        if check.group != group:
            group = check.group
            yield f"\x1b[1m{clean(group)}\x1b[0m" if screen.colours else clean(group)
        status = check.status.ljust(4)
        if screen.colours:
            status = f"\x1b[{_COLOURS[check.status]}m{status}\x1b[0m"
        indent = " " * (10 + width)
        first, *more = _folded(clean(check.text), screen, 10 + width)
        yield f"  {status}  {pad(clean(check.name), width)}  {first}"
        yield from (f"{indent}{line}" for line in more)
        if check.hint and check.status != "ok":
            first, *more = _folded(clean(check.hint), screen, 13 + width)
            yield f"{indent}-> {first}"
            yield from (f"{indent}   {line}" for line in more)


def _folded(text: str, screen: Screen, indent: int) -> list[str]:
    if not screen.columns:
        return [text]
    from .display import wrap

    return wrap(text, max(24, screen.columns - indent))


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
