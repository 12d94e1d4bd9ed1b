"""``start``: let a created container's init execute the user's process."""

from __future__ import annotations

import posix
import sys

from .command import Call, Command


def run(call: Call) -> int:
    """Start the container; an error of execve is an error of this call."""
    container = call.runtime().load(call.arguments[0])
    last_words = sys._xoptions.get("last_words")
    if isinstance(last_words, str):
        # The front (native/quick_verbs.c) has opened the gate, and its init has something to say.
        from ..starting import hear

        hear(container, int(last_words))
        return 0
    if posix.environ.get(b"NOTIFY_SOCKET"):
        from .readiness import start_and_tell

        start_and_tell(call, container)
    else:
        container.start()
    return 0


COMMAND = Command(
    "start", "<container-id>", """Runs the process of config.json in a container made by "{program} create".""", run
)
