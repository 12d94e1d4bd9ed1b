"""``plugins``: what is installed, what each plugin claims, and whether it can be loaded."""

from __future__ import annotations

from .command import Call, Command
from .options import FLAG, Option
from .output import indented, table, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plugins.inspection import Found

_HEADER = ("KIND", "NAME", "DISTRIBUTION", "VERSION", "API", "HEALTH", "FEATURES OR REASON")


def run(call: Call) -> int:
    """Print the plugins; a broken one is a row with its reason and no failure."""
    from ..plugins.inspection import look

    rows = look(call.runtime().registry)
    if call.options["json"]:
        write(indented([row.as_dict() for row in rows]) + "\n")
    else:
        write(table(_HEADER, [_cells(row) for row in rows], narrowest=0))
    return 0


def _cells(row: Found) -> list[str]:
    api = "-" if row.api is None else str(row.api)
    told = f"{row.reason} -> {row.hint}" if row.reason else " ".join(row.features) or "-"
    return [row.kind, row.name, row.distribution, row.version, api, row.health, told]


COMMAND = Command(
    "plugins",
    "",
    """Lists the plugins that are installed beside this program: their kind, the name by which they are chosen, the
package that they come from, the API that they were written for, the features they claim, and their health: ok; slow
(its import takes longer than a launch); deprecated (it uses names of the API that are on their way out); broken (it
cannot be used, which stops only the containers that chose it). What is not ok says why, and what to do.""",
    run,
    (Option("json", "print JSON", FLAG),),
    fewest=0,
    most=0,
)
