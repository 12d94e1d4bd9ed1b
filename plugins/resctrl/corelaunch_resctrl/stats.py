"""Figures of a container's groups, in the members of ``intel_rdt`` of ``events`` as runc has them."""

from __future__ import annotations

import os
import time

from . import files, mount, schemata
from .lock import SECONDS, Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from corelaunch.api import RdtPlacement

_CACHE = ("cbm_mask", "min_cbm_bits", "num_closids")
_BANDWIDTH = ("bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids")
_OCCUPANCY = ("llc_occupancy",)
_TRAFFIC = ("mbm_total_bytes", "mbm_local_bytes")


def read(root: str, placement: RdtPlacement) -> Mapping[str, Any]:
    """Figures now. What the kernel does not give ("Unavailable", "Error", "Unassigned") is left out, and never 0.

    ``llc_occupancy``, ``mbm_total_bytes`` and ``mbm_local_bytes`` are bytes, the latter two since the group was made;
    ``bandwidth_gran`` and ``min_bandwidth`` are per cent (Documentation/filesystems/resctrl.rst).

    Counters are those of the monitoring group, or of the CLOS if it is the container's own: what a shared CLOS or
    the root group counts is not the container's, and is left out.

    Raises:
        KernelError: the CLOS is gone.
    """
    with Lock(root, time.monotonic() + SECONDS, shared=True):
        path = f"{placement.clos}/schemata"
        try:
            lines = schemata.in_force(placement.clos)
        except OSError as error:
            raise files.refusal("cannot read statistics", path, error) from error
        found: dict[str, Any] = {"schemata": lines}
        try:
            of_root = schemata.by_resource(schemata.in_force(root))
        except OSError:
            of_root = {}
        own = schemata.by_resource(lines)
        for resource, prefix, members in (("L3", "l3_cache", _CACHE), ("MB", "mem_bw", _BANDWIDTH)):
            info = _info(root, resource, members)
            if info:
                found[f"{prefix}_info"] = info
            if resource in of_root:
                found[f"{prefix}_schema_root"] = of_root[resource]
            if resource in own:
                found[f"{prefix}_schema"] = own[resource]
        group = placement.monitoring or ("" if placement.extra.get("clos_id") else placement.clos)
        if group:
            for member, events in (("cmt_stats", _OCCUPANCY), ("mbm_stats", _TRAFFIC)):
                counted = list(_counted(f"{group}/mon_data", events))
                if any(len(one) > 1 for one in counted):
                    found[member] = counted
        return found


def _info(root: str, resource: str, members: tuple[str, ...]) -> dict[str, Any]:
    """What the kernel says of a resource; masks as it writes them, numbers as numbers."""
    if resource not in mount.resources(root):
        return {}
    texts = {member: files.value(f"{root}/info/{resource}/{member}") for member in members}
    return {
        member: int(text) if member != "cbm_mask" and text.isdigit() else text for member, text in texts.items() if text
    }


def _counted(directory: str, events: tuple[str, ...]) -> Iterator[dict[str, int]]:
    """For each L3 domain its number and those of the events that have a figure."""
    try:
        names = [name for name in os.listdir(directory) if name.startswith("mon_L3_")]
    except OSError:
        return
    domains = {int(name[7:]): name for name in names if name[7:].isdigit()}
    for domain, name in sorted(domains.items()):
        found = {"domain": domain}
        for event in events:
            text = files.value(f"{directory}/{name}/{event}")
            if text.isdigit():
                found[event] = int(text)
        yield found
