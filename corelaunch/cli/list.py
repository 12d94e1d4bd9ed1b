"""``list``: the containers below the state root."""

from __future__ import annotations

import os

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
        write(_json(states) if call.options["format"] == "json" else _table(states))
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
        Option("quiet q", "print the ids only", FLAG),
    ),
    fewest=0,
    most=0,
)
