"""``plan``: what ``create`` would do and by which plugin, without doing it."""

from __future__ import annotations

from .command import Call, Command
from .launch import BUNDLE, NETWORK, NO_NEW_KEYRING, NO_PIVOT, bundle_of, plan_keywords
from .options import FLAG, Option
from .output import write_json, write_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..backends import Placed
    from ..preparation import Prepared

#: Id in the plan when none is given.
SOME_ID = "ID"


def run(call: Call) -> int:
    """Print the plan."""
    container_id = call.arguments[0] if call.arguments else SOME_ID
    prepared = call.runtime().plan(container_id, bundle_of(call), **plan_keywords(call))
    if call.options["json"]:
        write_json(as_json(prepared), 2)
    else:
        write_lines(as_text(prepared))
    return 0


def as_json(prepared: Prepared) -> dict[str, Any]:
    """The plan as one JSON object."""
    return {
        "id": prepared.container_id,
        "bundle": prepared.bundle,
        "rootfs": prepared.rootfs,
        "warnings": list(prepared.warnings),
        "lifecycle": [{"name": name, "distribution": made_by} for name, made_by in prepared.lifecycle],
        "edits": [edit.json() for edit in prepared.edits],
        "cgroupMode": prepared.backends.cgroup_mode,
        "backends": [_backend(placed) for placed in prepared.backends],
        "joins": [{"type": join.kind, "path": join.path} for join in prepared.plan.joins],
        "operations": [operation.json() for operation in prepared.plan.operations],
    }


def as_text(prepared: Prepared) -> Iterator[str]:
    """The plan as lines for people."""
    yield f"container {prepared.container_id}"
    yield f"  bundle  {prepared.bundle}"
    yield f"  rootfs  {prepared.rootfs}"
    yield f"  cgroup  {prepared.backends.cgroup_mode}"
    for warning in prepared.warnings:
        yield f"  warning {warning}"
    if prepared.lifecycle:
        yield "lifecycle plugins"
        yield from (f"  {name} ({made_by})" for name, made_by in prepared.lifecycle)
    if prepared.edits:
        yield "edits of config and plan"
        yield from (f"  {edit.describe()}" for edit in prepared.edits)
    yield "backends"
    for placed in prepared.backends:
        yield f"  {placed.owner}" + (f" ({placed.distribution})" if placed.distribution else "")
        for name, value in placed.placement.as_dict().items():
            if isinstance(value, dict):
                yield from (f"    {name} {key or 'unified'}  {item}" for key, item in value.items())
            elif value:
                yield f"    {name}  {value}"
    if prepared.plan.joins:
        yield "namespaces joined"
        yield from (f"  {join.kind:8} {join.path}" for join in prepared.plan.joins)
    yield "operations of the init"
    for number, operation in enumerate(prepared.plan.operations, 1):
        yield f"  {number:3}  {operation.describe()}"


def _backend(placed: Placed) -> dict[str, Any]:
    return {"owner": placed.owner, "distribution": placed.distribution, "placement": placed.placement.as_dict()}


COMMAND = Command(
    "plan",
    "[container-id]",
    """Reads and checks the bundle, chooses the plugins, and prints where each would make what, and the operations that
the container's init would carry out, in their order. Nothing is made.""",
    run,
    (BUNDLE, NETWORK, NO_PIVOT, NO_NEW_KEYRING, Option("json", "print JSON", FLAG)),
    fewest=0,
    chooses=True,
)
