"""``list``: the containers below the state root."""

from __future__ import annotations

import os
import time

from ..errors import CorelaunchError, UsageError
from .command import Call, Command
from .options import FLAG, Option
from .output import compact, table, write
from .state import ordered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(call: Call) -> int:
    """Print them; one that cannot be read is a line on stderr and no failure."""
    if call.options["format"] not in ("table", "json"):
        raise UsageError("invalid format option", where=call.options["format"], hint="use table or json")
    root = call.settings["root"]
    if root and not os.path.isdir(root):
        raise CorelaunchError("cannot list containers", where=root, why="no such file or directory")
    containers, broken = call.runtime().containers()
    if call.options["quiet"]:
        write("".join(f"{container.id}\n" for container in containers))
    else:
        states = []
        for container in containers:
            try:
                states.append(ordered({**container.state(), "owner": user_name(container.owner_uid)}))
            except CorelaunchError as unreadable:
                broken.append((container.id, unreadable))
        write(_shown(states, call))
    for container_id, error in broken:
        call.log.notice(f"load container {container_id}: {error}")
    return 0


def user_name(uid: int) -> str:
    """Login name of a user, ``#uid`` if it has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def _shown(states: list[dict[str, Any]], call: Call) -> str:
    if call.options["json"]:
        return compact(states) + "\n"
    if call.options["format"] == "json":
        return _json(states)
    if "format" not in call.given and os.isatty(1):
        return readable(states, time.time())
    return _table(states)


def readable(states: list[dict[str, Any]], now: float) -> str:
    """The table for people: what one looks for first, and how old each container is."""
    rows = [
        (s["id"], s["status"], str(s["pid"] or "-"), age(s["created"], now), s["owner"], s["bundle"]) for s in states
    ]
    return table(("ID", "STATUS", "PID", "AGE", "OWNER", "BUNDLE"), rows, narrowest=0)


def age(created: str, now: float) -> str:
    """How long ago an RFC 3339 time in UTC was: "3h", "2d"; "-" if it is none."""
    from datetime import datetime

    try:
        seconds = now - datetime.fromisoformat(f"{created[:19]}+00:00").timestamp()
    except ValueError:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def _json(states: list[dict[str, Any]]) -> str:
    return (compact(states) if states else "null") + "\n"


def _table(states: list[dict[str, Any]]) -> str:
    columns = ("id", "pid", "status", "bundle", "created", "owner")
    return table([c.upper() for c in columns], [[str(state[c]) for c in columns] for state in states])


COMMAND = Command(
    "list",
    "",
    """Lists the containers below the state root ("{program} --root DIR list" for another one).""",
    run,
    (
        Option("format f", "table or json", default="table"),
        Option("json", "print JSON, [] if there are none", FLAG),
        Option("quiet q", "print the ids only", FLAG),
    ),
    fewest=0,
    most=0,
)
