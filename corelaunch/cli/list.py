"""``list``: the containers below the state root."""

from __future__ import annotations

import os

from ..errors import CorelaunchError
from .command import Call, Command
from .options import FLAG, Option
from .output import write, write_json
from .state import ordered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .screen import Screen


def run(call: Call) -> int:
    """Print them; one that cannot be read is a line on stderr and no failure."""
    as_json = call.wants_json()
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
        if as_json:
            # Go's nil slice where runc is imitated
            write_json(states if states or call.options["json"] else None)
        else:
            write(_shown(states, runcs="format" in call.given))
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


def _shown(states: list[dict[str, Any]], *, runcs: bool) -> str:
    """The table: runc's for programs, and for whom it is asked for by name; else the one for people."""
    from .screen import screen_of

    screen = screen_of()
    if runcs or not screen.is_terminal:
        return _table(states, screen.whole())
    import time

    return readable(states, time.time(), screen)


def readable(states: list[dict[str, Any]], now: float, screen: Screen) -> str:
    """The table for people: what one looks for first, and how old each container is."""
    from .quantities import age
    from .tables import BEGINNING, STATUS_COLOURS, Column, table

    columns = (
        Column("ID", gives_way=2, least=12),
        Column("STATUS", colours=STATUS_COLOURS),
        Column("PID", right=True),
        Column("AGE", right=True),
        Column("OWNER", gives_way=3),
        Column("BUNDLE", gives_way=1, least=16, fit=BEGINNING),
    )
    rows = [
        (s["id"], s["status"], str(s["pid"] or "-"), age(s["created"], now), s["owner"], s["bundle"]) for s in states
    ]
    return table(columns, rows, screen)


def _table(states: list[dict[str, Any]], screen: Screen) -> str:
    from .tables import Column, table

    names = ("id", "pid", "status", "bundle", "created", "owner")
    rows = [[str(state[name]) for name in names] for state in states]
    return table([Column(name.upper()) for name in names], rows, screen, narrowest=12)


COMMAND = Command(
    "list",
    "",
    """Lists the containers below the state root ("{program} --root DIR list" for another one).""",
    run,
    (
        Option("format f", "table or json", default="table"),
        Option("json", "as --format json, but [] if there are none, not null", FLAG),
        Option("quiet q", "print the ids only", FLAG),
    ),
    fewest=0,
    most=0,
)
