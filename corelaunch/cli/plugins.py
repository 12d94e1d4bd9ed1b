"""``plugins``: what is installed, what each plugin claims, and whether it can be loaded."""

from __future__ import annotations

from ..errors import CorelaunchError
from ..hookspecs import FACTORIES
from .command import Call, Command
from .options import FLAG, Option
from .output import indented, table, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..plugins.discovery import EntryPoint
    from ..plugins.registry import Registry


def run(call: Call) -> int:
    """Print the plugins; a broken one is a row with its reason and no failure."""
    registry = call.runtime().registry
    rows = [_row(registry, entry) for entry in sorted(registry.entries(), key=lambda e: (e.kind, e.name))]
    if call.options["json"]:
        write(indented(rows) + "\n")
    else:
        header = ("KIND", "NAME", "DISTRIBUTION", "VERSION", "HEALTH", "FEATURES OR REASON")
        write(table(header, [_cells(row) for row in rows], narrowest=0))
    return 0


def _row(registry: Registry, entry: EntryPoint) -> dict[str, Any]:
    reason = ""
    features: list[str] = []
    try:
        if entry.kind in FACTORIES:
            features = sorted(registry.load(entry.kind, entry.name).features)
        else:
            features = sorted(registry.lifecycle(entry.name))
    except CorelaunchError as error:
        reason = str(error)
    return {
        "kind": entry.kind,
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "features": features,
        "health": "broken" if reason else "ok",
        "reason": reason,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["kind"],
        row["name"],
        row["distribution"],
        row["version"],
        row["health"],
        row["reason"] or " ".join(row["features"]) or "-",
    ]


COMMAND = Command(
    "plugins",
    "",
    """Lists the plugins that are installed beside this program: their kind, the name by which they are chosen, the
package that they come from, the features they claim, and, if one cannot be used, why.""",
    run,
    (Option("json", "print JSON", FLAG),),
    fewest=0,
    most=0,
)
