"""``pause``: stop every process of a container where it stands."""

from __future__ import annotations

from .command import Call, Command


def run(call: Call) -> int:
    """Pause it; returns when everything stands still."""
    call.runtime().load(call.arguments[0]).pause()
    return 0


COMMAND = Command(
    "pause",
    "<container-id>",
    """Stops every process of a created or running container with the freezer of its cgroup; none of them notices.
"{program} resume" lets them go on.""",
    run,
)
