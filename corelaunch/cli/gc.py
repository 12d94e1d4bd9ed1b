"""``gc``: finish what killed or crashed runtimes left behind."""

from __future__ import annotations

from ..errors import CorelaunchError
from .command import Call, Command
from .options import FLAG, LIST, Option
from .output import write, write_json


def run(call: Call) -> int:
    """Undo every abandoned launch; the exit code is 1 if something of one, or of a network, could not be removed."""
    runtime = call.runtime()
    outcome = runtime.gc()
    if call.options["network"]:
        from ..collecting import collect

        for network in call.options["network"]:
            try:
                collect(runtime, network)
                outcome.append((network, "collected"))
            except CorelaunchError as error:
                outcome.append((network, str(error)))
    if call.options["json"]:
        write_json([{"id": container_id, "outcome": text} for container_id, text in outcome])
    elif outcome:
        from .display import GREEN
        from .screen import screen_of
        from .tables import WRAP, Column, table

        done = {"removed": GREEN, "collected": GREEN}
        columns = Column("ID", gives_way=2, least=12), Column("OUTCOME", gives_way=1, least=24, fit=WRAP, colours=done)
        write(table(columns, outcome, screen_of(), narrowest=12))
    return 0 if all(text in ("removed", "collected") for _, text in outcome) else 1


COMMAND = Command(
    "gc",
    "",
    """Looks at every container below the state root, and removes those whose create or delete was cut short (killed
runtime, power cut), with all that was made for them. Containers that are in order are left alone.""",
    run,
    (
        Option("json", "print JSON", FLAG),
        Option(
            "network",
            "remove from this network, too, what no container below the state root has (repeatable)",
            LIST,
            metavar="type:key=value,...",
        ),
    ),
    fewest=0,
    most=0,
)
