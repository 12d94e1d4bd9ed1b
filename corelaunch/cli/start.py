"""``start``: let a created container's init execute the user's process."""

from __future__ import annotations

from .command import Call, Command


def run(call: Call) -> int:
    """Start the container; an error of execve is an error of this call."""
    call.runtime().load(call.arguments[0]).start()
    return 0


COMMAND = Command(
    "start", "<container-id>", """Runs the process of config.json in a container made by "{program} create".""", run
)
