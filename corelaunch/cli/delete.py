"""``delete``: remove a container and everything the launch made for it."""

from __future__ import annotations

from ..errors import ContainerNotFound, UsageError
from .command import Call, Command
from .options import FLAG, LIST, Option


def run(call: Call) -> int:
    """Delete it; with ``--force`` a container that is not there is as good as deleted (engines delete twice)."""
    force, forget = call.options["force"], call.options["forget-plugin"]
    if forget and not force:
        raise UsageError("--forget-plugin leaves things behind", why="it needs --force, too")
    try:
        container = call.runtime().load(call.arguments[0])
        for text in container.forget(forget) if forget else ():
            call.log.notice(text)
        container.delete(force=force)
    except ContainerNotFound:
        if not force:
            raise
    return 0


COMMAND = Command(
    "delete",
    "<container-id>",
    """Deletes a stopped container: its cgroup, interfaces and RDT group, its state, and runs the poststop hooks.""",
    run,
    (
        Option("force f", "kill it first (SIGKILL) if it still runs, and undo whatever a killed launch left", FLAG),
        Option(
            "forget-plugin",
            "last resort, with --force: leave behind what this plugin made, and say what that is (repeatable)",
            LIST,
            metavar="kind:name",
        ),
    ),
)
