"""``kill``: send a signal to a container."""

from __future__ import annotations

from .command import Call, Command
from .options import FLAG, Option
from .signals import parse_signal


def run(call: Call) -> int:
    """Send the signal."""
    container_id, *rest = call.arguments
    number = parse_signal(rest[0] if rest else "TERM")
    call.runtime().load(container_id).signal(number, all=call.options["all"])
    return 0


COMMAND = Command(
    "kill",
    "<container-id> [signal]",
    """Sends a signal (a name with or without SIG, or a number; default: TERM) to the container's init.""",
    run,
    (Option("all a", "send it to every process of the container; it need not be running", FLAG),),
    most=2,
)
