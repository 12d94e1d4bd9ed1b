"""``check``: whether the networks of containers are as they were made."""

from __future__ import annotations

from ..errors import CorelaunchError
from .command import Call, Command
from .options import FLAG, Option
from .output import write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .screen import Screen


def run(call: Call) -> int:
    """Print a line for each network; the exit code is 1 if one is not in order or a container cannot be looked at."""
    from ..checking import FAILED, check_networks

    runtime = call.runtime()
    rows: list[dict[str, str]] = []
    if call.arguments:
        containers = [runtime.load(container_id) for container_id in call.arguments]
    else:
        found, broken = runtime.containers()
        containers = [container for container in found if container.status in ("created", "running", "paused")]
        rows = [_row(container_id, reason=str(error)) for container_id, error in broken]
    for container in containers:
        try:
            findings = check_networks(runtime, container)
        except CorelaunchError as error:
            rows.append(_row(container.id, reason=str(error)))
        else:
            rows += [_row(container.id, **finding.as_dict()) for finding in findings]
    if call.options["json"]:
        write_json(rows)
    elif rows:
        from .screen import screen_of

        write(readable(rows, screen_of()))
    return 1 if any(row["result"] == FAILED for row in rows) else 0


def readable(rows: Iterable[Mapping[str, str]], screen: Screen) -> str:
    """The table; reasons are never cut, they go on below."""
    from .display import GREEN, RED, YELLOW
    from .tables import WRAP, Column, table

    columns = (
        Column("ID", gives_way=2, least=12),
        Column("INTERFACE"),
        Column("TYPE"),
        Column("RESULT", gives_way=1, least=24, fit=WRAP, colours={"ok": GREEN, "failed": RED, "not checked": YELLOW}),
    )
    return table(columns, map(_cells, rows), screen)


def _row(
    container_id: str, *, interface: str = "", type: str = "", result: str = "failed", reason: str = ""
) -> dict[str, str]:
    return {"id": container_id, "interface": interface, "type": type, "result": result, "reason": reason}


def _cells(row: Mapping[str, str]) -> tuple[str, str, str, str]:
    said = f"{row['result']}: {row['reason']}" if row["reason"] else row["result"]
    return row["id"], row["interface"] or "-", row["type"] or "-", said


COMMAND = Command(
    "check",
    "[container-id...]",
    """Asks the strategy of each network of these containers, or of all that have a process, whether it is as it was
made (of a CNI network: CHECK of its plugins), and prints a line for each. Nothing is changed. The exit code is 1 if one
is not in order; one that cannot be checked is "not checked", and no failure.""",
    run,
    (Option("json", "print JSON", FLAG),),
    fewest=0,
    most=-1,
)
