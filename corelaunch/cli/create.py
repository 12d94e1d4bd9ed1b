"""``create``: everything up to the user's process, which waits for ``start``."""

from __future__ import annotations

from .command import Call, Command
from .launch import LAUNCH_OPTIONS, bundle_of, create_keywords


def run(call: Call) -> int:
    """Create the container."""
    call.runtime().create(call.arguments[0], bundle_of(call), **create_keywords(call, detached=True))
    return 0


COMMAND = Command(
    "create",
    "<container-id>",
    """Makes the container of a bundle (a directory with config.json and a root filesystem) and leaves its init
waiting. "{program} start" then runs the process of config.json; "{program} delete" removes the container.

The id may have letters, digits and _ + . - and must be free below the state root.""",
    run,
    LAUNCH_OPTIONS,
    chooses=True,
)
