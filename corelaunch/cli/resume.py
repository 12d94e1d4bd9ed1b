"""``resume``: let the processes of a paused container go on."""

from __future__ import annotations

from .command import Call, Command


def run(call: Call) -> int:
    """Resume it."""
    call.runtime().load(call.arguments[0]).resume()
    return 0


COMMAND = Command(
    "resume", "<container-id>", """Lets the processes of a container go on that "{program} pause" has stopped.""", run
)
