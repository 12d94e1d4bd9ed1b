"""Checks of ``mounts`` (runtime-spec, config.md, "Mounts")."""

from __future__ import annotations

import os
from posixpath import normpath

from ..errors import CorelaunchError
from . import id_mappings
from .fields import array, string, strings, table
from .mount_options import MountOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .findings import Findings, Where

#: What may be mounted on below /proc: files that tell of limits, as lxcfs serves them (CVE-2015-3630, CVE-2019-16884).
PROC_FILES = frozenset(
    f"/proc/{name}"
    for name in (
        "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo sys/kernel/ns_last_pid sys/crypto/fips_enabled"
    ).split()
)


def cleaned(path: str) -> str:
    """The path, made absolute and without ``.``, ``..`` and doubled slashes; ``..`` does not lead above the root."""
    return normpath("/" + path.lstrip("/"))


def _mount(mount: Any, where: Where, findings: Findings) -> None:
    raw = mount["destination"]
    destination = cleaned(raw)
    if raw[:1] != "/":
        findings.warn((where, "destination"), f"{raw!r} is not absolute: taken as {destination}")
    if destination == "/":
        findings.refuse((where, "destination"), "the root of the container cannot be mounted on")
    from .findings import render

    try:
        options = MountOptions(mount.get("options") or (), render(where), findings.document)
    except CorelaunchError as error:
        findings.add(error)
        return
    _id_mapped(mount, options, where, findings)
    kind = mount.get("type") or ""
    _on_proc(destination, kind, options.bind, where, findings)
    if options.bind:
        if options.data or options.copy_up:
            word = options.data[0] if options.data else "tmpcopyup"
            findings.refuse((where, "options"), f'"{word}" is not an option of a bind')
        if not mount.get("source"):
            findings.refuse((where, "source"), "must be set for a bind")
    elif kind in ("", "none", "bind"):
        findings.refuse((where, "type"), "must name a filesystem", 'for a bind, add "bind" or "rbind" to the options')
    elif options.tree_set or options.tree_clear:
        findings.refuse((where, "options"), "recursive options are for binds")
    if options.copy_up and kind != "tmpfs" and not options.bind:
        findings.refuse((where, "options"), '"tmpcopyup" is for tmpfs')


def _id_mapped(mount: Mapping[str, Any], options: MountOptions, where: Where, findings: Findings) -> None:
    given = [member for member in ("uidMappings", "gidMappings") if mount.get(member)]
    if (given or options.id_mapped) and not options.bind:
        findings.refuse((where, given[0] if given else "options"), "id-mapped mounts are for binds")
    elif len(given) == 1:
        findings.refuse((where, given[0]), "uidMappings and gidMappings go together", "give both")


def check_id_mapped(mounts: Any, own_user_namespace: bool, where: Where, findings: Findings) -> None:
    """Refuse a mount that is to be mapped as its container's user namespace is, in a container without one."""
    for index, mount in enumerate(mounts):
        words = {"idmap", "ridmap"}.intersection(mount.get("options") or ())
        if words and not mount.get("uidMappings") and not own_user_namespace:
            why = f'"{min(words)}": neither the mount nor the container has id mappings'
            findings.refuse(((where, index), "options"), why, "give the mount uidMappings and gidMappings")


def _on_proc(destination: str, kind: str, bind: bool, where: Where, findings: Findings) -> None:
    if destination.startswith("/proc/") and destination not in PROC_FILES:
        findings.refuse((where, "destination"), f"{destination} cannot be mounted on: it is inside /proc")
    if destination == "/proc" and not bind and kind != "proc":
        # A false /proc takes the labels of security modules and answers for the kernel (CVE-2019-16884).
        findings.refuse((where, "destination"), f"/proc cannot be mounted on: {kind or 'this'} is not of type proc")


def check_sources(mounts: Any, where: Where, findings: Findings) -> None:
    """What needs a look at the host: a bind on /proc must be of a /proc."""
    for index, mount in enumerate(mounts):
        if cleaned(mount["destination"]) == "/proc" and mount.get("type") != "proc" and not _is_proc(mount):
            findings.refuse(((where, index), "source"), "only a procfs can be bound on /proc")


def _is_proc(mount: Mapping[str, Any]) -> bool:
    # The root of every procfs has inode 1 (PROC_ROOT_INO); the init looks again, by descriptor.
    try:
        found = os.stat(mount.get("source") or "")
        return found.st_ino == 1 and os.path.exists(f"{mount['source']}/self/mountinfo")
    except OSError:
        return False


#: Checks the array of mounts.
check = array(
    table(
        {
            "destination": string,
            "type": string,
            "source": string,
            "options": strings,
            "uidMappings": id_mappings.check,
            "gidMappings": id_mappings.check,
        },
        ("destination",),
        _mount,
    )
)
