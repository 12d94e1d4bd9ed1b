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
    from .display import BOLD, GREEN, RED, YELLOW, pad, painted, visible, width

    colours = {"ok": GREEN, "warn": YELLOW, "fail": RED}
    clean = visible if screen.is_terminal else str
    group = ""
    names = max((width(clean(check.name)) for check in checks), default=0)
    for check in checks:
        if check.group != group:
            group = check.group
            yield painted(clean(group), BOLD) if screen.colours else clean(group)
        status = check.status.ljust(4)
        if screen.colours:
            status = painted(status, colours[check.status])
        indent = " " * (10 + names)
        first, *more = _folded(clean(check.text), screen, 10 + names)
        yield f"  {status}  {pad(clean(check.name), names)}  {first}"
        yield from (f"{indent}{line}" for line in more)
        if check.hint and check.status != "ok":
            first, *more = _folded(clean(check.hint), screen, 13 + names)
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
