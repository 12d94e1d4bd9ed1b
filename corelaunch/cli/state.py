"""``state``: the OCI state of a container as JSON."""

from __future__ import annotations

from .command import Call, Command
from .output import write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: The members in runc's order; annotations only if there are any. Ours is the last, there if it is not "required".
MEMBERS = ("ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner", "cgroupMode")


def ordered(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state with its members in runc's order."""
    return {name: state[name] for name in MEMBERS if name in state and (name != "annotations" or state[name])}


def run(call: Call) -> int:
    """Print the state, without a final newline, as runc does."""
    write_json(ordered(call.runtime().load(call.arguments[0]).state()), 2, end="")
    return 0


COMMAND = Command(
    "state",
    "<container-id>",
    """Prints what the runtime specification calls the state: id, pid, status, bundle, annotations and more.""",
    run,
)
