"""``update``: new limits for a container that exists, all of them or none.

What a container was limited to is kept in its journal: at create as the config said it, later as it was last updated.
An update is written there before and after it is made, so a later one knows what is in force; one that was killed
half-way has no second record, and what it wrote stays until the next update.
"""

from __future__ import annotations

from .api import RdtRequest
from .errors import CorelaunchError, Unsupported, WrongStatus
from .spec.resources import as_meant, check_resources, updatable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from .backends import Placed
    from .container import Container
    from .runtime import Runtime
    from .state.ledger import Ledger

#: Properties that the kernel or a cgroup manager takes only together: what is not given is given again.
_TOGETHER = (("memory", "limit", "swap"), ("cpu", "quota", "period"))


def update(
    runtime: Runtime, container: Container, resources: Mapping[str, Any], *, l3_cache_schema: str, mem_bw_schema: str
) -> None:
    """Update a container; see :meth:`Container.update`."""
    for warning in check_resources(resources):
        runtime.log("warning", warning)
    book = container.open_book(exclusive=True)
    try:
        status = container.status
        if status not in ("created", "running", "paused"):
            raise WrongStatus("container not running", where=container.id, why=f"it is {status}")
        old = book.ledger.resources
        changes = updatable(as_meant(resources, book.ledger.begin.get("oci_version", "1.0.0")))
        cgroup = _cgroup(container, changes)
        rdt = _rdt(runtime, book.ledger, l3_cache_schema, mem_bw_schema) if l3_cache_schema or mem_bw_schema else None
        given = _given(l3_cache_schema, mem_bw_schema)
        schemata = {**book.ledger.schemata, **given}
        before = _in_force(rdt, book.ledger.schemata) if rdt is not None else ()
        book.record("resources", done=False, resources=changes, schemata=schemata)
        if rdt is not None:
            rdt.manager.set(rdt.placement, _request(container.id, given.values()))
        if cgroup is not None:
            try:
                cgroup.manager.update_resources(cgroup.placement, completed(changes, old))
            except CorelaunchError:
                if rdt is not None:
                    _set_back(runtime, container, rdt, before)
                raise
        book.record("resources", done=True, resources=merged(old, changes), schemata=schemata)
    finally:
        book.close()
    if container.ledger.begin.get("lifecycle"):
        from .moments import tell

        tell(runtime.registry, runtime.log, container.id, container.ledger, "updated", pid=container.pid)


def completed(changes: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """The changes, with what goes only together with them.

    A limit that is lifted ("limit": -1) takes the old swap limit with it, which counts both; the manager sees to it.
    """
    result = dict(changes)
    for section, one, other in _TOGETHER:
        new, before = changes.get(section) or {}, old.get(section) or {}
        missing = other if new.get(one) else one
        if bool(new.get(one)) != bool(new.get(other)) and before.get(missing) and new.get(one) != -1:
            result[section] = {**new, missing: before[missing]}
    return result


def merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is in force after the changes."""
    result = dict(old)
    for section, content in changes.items():
        if isinstance(content, dict):
            result[section] = {**(old.get(section) or {}), **{k: v for k, v in content.items() if v is not None}}
        else:
            result[section] = content
    memory, cpu = changes.get("memory") or {}, changes.get("cpu") or {}
    if memory.get("limit") == -1 and memory.get("swap") is None:
        result["memory"].pop("swap", None)
    if cpu.get("idle") is not None and cpu.get("shares") is None:
        result["cpu"].pop("shares", None)  # the kernel forgets them
    return result


def _cgroup(container: Container, changes: Mapping[str, Any]) -> Placed | None:
    """The backend that the changes go to, None if there are none."""
    if not changes:
        return None
    backend = container.cgroup()
    if backend is None:
        from .backends import NO_CGROUP

        raise Unsupported("cannot update container", where=container.id, why="it has no cgroup", hint=NO_CGROUP)
    if "update" not in backend.manager.features:
        why = f"its cgroup manager {backend.name!r} does not claim 'update'"
        hint = "create it anew, with other limits or another cgroup manager"
        raise Unsupported("cannot update container", where=container.id, why=why, hint=hint, plugin=backend.owner)
    return backend


def _rdt(runtime: Runtime, ledger: Ledger, l3_cache_schema: str, mem_bw_schema: str) -> Placed:
    from .backends import recall

    for placed in ledger.placements.values():
        if placed.kind == "rdt_manager":
            return recall(placed, runtime.registry)
    option = "L3 cache" if l3_cache_schema else "memory bandwidth"
    raise Unsupported(
        f"Intel RDT: {option} schema cannot be updated",
        why="the container was created without linux.intelRdt",
        hint="put it into config.json and create the container again",
    )


def _given(l3_cache_schema: str, mem_bw_schema: str) -> dict[str, str]:
    given = {"l3CacheSchema": l3_cache_schema, "memBwSchema": mem_bw_schema}
    return {key: schema for key, schema in given.items() if schema}


def _request(container_id: str, lines: Iterable[str]) -> RdtRequest:
    return RdtRequest(container_id, "", tuple(line for line in lines if line))


def _in_force(rdt: Placed, remembered: Mapping[str, str]) -> Sequence[str]:
    """The lines to set back to: those that the manager shows, or else those that the journal has."""
    if "stats" in rdt.manager.features:
        lines: Sequence[str] = rdt.manager.stats(rdt.placement).get("schemata") or ()
        if lines:
            return lines
    return tuple(remembered.values())


def _set_back(runtime: Runtime, container: Container, rdt: Placed, lines: Sequence[str]) -> None:
    try:
        rdt.manager.set(rdt.placement, _request(container.id, lines))
    except CorelaunchError as error:
        runtime.log("warning", f"the RDT schemata were not set back: {error}")
