"""``plugins``: what is installed, what each plugin claims, and whether it can be loaded."""

from __future__ import annotations

from .command import Call, Command
from .options import FLAG, Option
from .output import write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..plugins.inspection import Found
    from .screen import Screen


def run(call: Call) -> int:
    """Print the plugins; a broken one is a row with its reason and no failure."""
    from ..plugins.inspection import look

    rows = look(call.runtime().registry)
    if call.options["json"]:
        write_json([row.as_dict() for row in rows], 2)
    else:
        from .screen import screen_of

        write(readable(rows, screen_of()))
    return 0


def readable(rows: Iterable[Found], screen: Screen) -> str:
    """The table; reasons are never cut, they go on below."""
    from .display import GREEN, RED, YELLOW
    from .tables import WRAP, Column, table

    health = {"ok": GREEN, "slow": YELLOW, "deprecated": YELLOW, "doubtful": YELLOW, "broken": RED}
    columns = (
        Column("KIND", gives_way=4),
        Column("NAME", gives_way=3, least=12),
        Column("DISTRIBUTION", gives_way=1, least=12),
        Column("VERSION"),
        Column("API"),
        Column("HEALTH", colours=health),
        Column("FEATURES OR REASON", gives_way=2, least=20, fit=WRAP),
    )
    return table(columns, map(_cells, rows), screen)


def _cells(row: Found) -> list[str]:
    api = "-" if row.api is None else str(row.api)
    told = f"{row.reason} -> {row.hint}" if row.reason else " ".join(row.features) or "-"
    return [row.kind, row.name, row.distribution, row.version, api, row.health, told]


COMMAND = Command(
    "plugins",
    "",
    """Lists the plugins that are installed beside this program: their kind, the name by which they are chosen, the
package that they come from, the API that they were written for, the features they claim, and their health: ok; slow
(its import takes longer than a launch); deprecated (it uses names of the API that are on their way out); doubtful (it
claims a feature, or waits for a moment, that there is not); broken (it cannot be used, which stops only the containers
that chose it). What is not ok says why, and what to do.""",
    run,
    (Option("json", "print JSON", FLAG),),
    fewest=0,
    most=0,
)
