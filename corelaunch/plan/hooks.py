"""OCI hooks that the init runs itself, inside the container: createContainer and startContainer."""

from __future__ import annotations

from .. import jsontext
from ..kernel.native import lib
from ..spec.hooks import DEFAULT_SECONDS
from .operation import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

#: poll(2) counts milliseconds in an int, of 24.8 days: this leaves the parent room for what it waits for besides hooks.
MOST_SECONDS: int = lib.CL_HOOK_SECONDS
#: Status in the state that each gets (runtime-spec, runtime.md, "State"; runc gives the same).
_STATUS = {"createContainer": "creating", "startContainer": "created"}


def hook_operations(moment: str, hooks: Mapping[str, Any] | None, state: Mapping[str, Any]) -> Iterator[Operation]:
    """The operations for the hooks of one moment, in their order.

    Args:
        hooks: the hooks object of a checked config.
        state: the OCI state without status and pid, which only the init knows as its hooks see it.
    """
    entries: Sequence[Mapping[str, Any]] = (hooks or {}).get(moment) or ()
    before = jsontext.dumps({**state, "status": _STATUS[moment]})[:-1] + ', "pid": '
    for index, hook in enumerate(entries):
        path = hook["path"]
        words = [f"hooks.{moment}[{index}]", path, *(hook.get("args") or [path])]
        variables = hook.get("env") or []
        seconds = min(hook.get("timeout") or DEFAULT_SECONDS, MOST_SECONDS)
        numbers = (len(words), len(variables), seconds)
        yield Operation(lib.CL_OP_HOOK, words, variables, before, "}", numbers=numbers)


def seconds_of(operations: Sequence[Operation]) -> tuple[int, int]:
    """How long the hooks may take together: those of create, and those of start."""
    create = start = 0
    entered = False
    for operation in operations:
        if operation.code == lib.CL_OP_PIVOT:
            entered = True
        elif operation.code == lib.CL_OP_HOOK and entered:
            start += operation.number(2)
        elif operation.code == lib.CL_OP_HOOK:
            create += operation.number(2)
    return min(create, MOST_SECONDS), min(start, MOST_SECONDS)
