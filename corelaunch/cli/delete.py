"""``delete``: remove a container and everything the launch made for it."""

from __future__ import annotations

from ..errors import ContainerNotFound
from .command import Call, Command
from .options import FLAG, Option


def run(call: Call) -> int:
    """Delete it; with ``--force`` a container that is not there is as good as deleted (engines delete twice)."""
    force = call.options["force"]
    try:
        call.runtime().load(call.arguments[0]).delete(force=force)
    except ContainerNotFound:
        if not force:
            raise
    return 0


COMMAND = Command(
    "delete",
    "<container-id>",
    """Deletes a stopped container: its cgroup, interfaces and RDT group, its state, and runs the poststop hooks.""",
    run,
    (Option("force f", "kill it first (SIGKILL) if it still runs, and undo whatever a killed launch left", FLAG),),
)
