"""Limits: the manager of the files writes them, and systemd is told what the kernel's files then say.

systemd writes its own idea of a unit into the cgroup again and again (daemon-reload, SetUnitProperties, a controller
that is switched on), so it must have the same. Taken from the files, it is the same by construction, whether a limit
came from ``memory``, from ``unified`` or by a conversion. What systemd has no property for it leaves alone.
"""

from __future__ import annotations

import os
from errno import ENOENT

from corelaunch.api import CorelaunchError, KernelError

from .bus import BusError
from .mirror import Mirror
from .parts import USER
from .systemd import Systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from corelaunch.api import CgroupManager, CgroupPlacement


def set_resources(
    placement: CgroupPlacement, files_placement: CgroupPlacement, resources: Mapping[str, Any], files: CgroupManager
) -> None:
    """Limits of a container that is being made.

    Raises:
        CorelaunchError: the kernel, or systemd, refuses one.
    """
    _check(placement, resources)
    mirror = Mirror(placement.paths)
    try:
        files.set_resources(files_placement, resources)
        if mirror.changed():
            with Systemd(placement.extra["manager"]) as systemd:
                _tell(systemd, systemd.about()[0], placement, files_placement, resources, files, mirror)
    except (KernelError, BusError) as error:
        if all(map(os.path.isdir, placement.paths.values())):
            raise
        raise _ended(placement, resources, error) from error


def _ended(placement: CgroupPlacement, resources: Mapping[str, Any], error: CorelaunchError) -> CorelaunchError:
    """The cgroup has gone meanwhile: with the first process, which the limits may have killed, and its OOM count."""
    limited = bool((resources.get("memory") or {}).get("limit"))
    return KernelError(
        "the container's first process ended while its limits were set, and systemd removed its cgroup",
        where=placement.extra["unit"],
        why=error.line(),
        errno=error.errno or ENOENT,
        hint="is linux.resources.memory.limit too low?" if limited else "",
    )


def update_resources(
    placement: CgroupPlacement, files_placement: CgroupPlacement, resources: Mapping[str, Any], files: CgroupManager
) -> None:
    """Limits of a container that runs: all of them, or none.

    Raises:
        CorelaunchError: the kernel, or systemd, refuses one; all are as they were, or ``hint`` says which are not.
    """
    _check(placement, resources)
    # Asked before anything is written: what it has no property for, we could not set back.
    with Systemd(placement.extra["manager"]) as systemd:
        version, _ = systemd.about()
        mirror = Mirror(placement.paths)
        files.update_resources(files_placement, resources)
        if not mirror.changed():
            return
        try:
            _tell(systemd, version, placement, files_placement, resources, files, mirror)
        except CorelaunchError as error:
            refused = _take_back(mirror)
            if refused:
                error.hint = "; ".join(filter(None, (error.hint, f"not set back: {', '.join(refused)}")))
            raise


def _take_back(mirror: Mirror) -> list[str]:
    """Write what was there before; the controls that cannot be written, and device rules, which are no one value."""
    devices = mirror.devices
    changed = [devices] if devices in mirror.changed() else []
    return [*write_all({path: value for path, value in mirror.before.items() if path != devices}), *changed]


def _check(placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
    if placement.extra["manager"] == USER and set(placement.paths) != {""}:
        from .placing import refuse_limits

        refuse_limits(resources)


def _tell(
    systemd: Systemd,
    version: int,
    placement: CgroupPlacement,
    files_placement: CgroupPlacement,
    resources: Mapping[str, Any],
    files: CgroupManager,
    mirror: Mirror,
) -> None:
    changed = mirror.changed()
    properties = mirror.properties(version)
    if not properties:
        return
    systemd.set_properties(placement.extra["unit"], properties)
    # What systemd cannot express it rounds (a quota to 10 ms of a second), and writes that.
    devices = mirror.devices
    refused = write_all({path: value for path, value in changed.items() if path != devices})
    if refused:
        raise KernelError("cannot set a limit again after systemd", where=refused[0], why="the kernel refuses it")
    if devices in changed and mirror.lines(devices) != set(changed[devices].split("\n")):
        files.set_resources(files_placement, {"devices": resources["devices"]})


def write_all(values: Mapping[str, str]) -> list[str]:
    """Write the controls that say something else than this; returns those that cannot be written.

    Twice, as one may have to be written before the other (quota and period of v1).
    """
    left = dict(values)
    for _ in range(2):
        for path, value in list(left.items()):
            try:
                if _read(path) != value:
                    _write(path, value.removeprefix("default ") or "\n")
                del left[path]
            except OSError:
                pass
    return list(left)


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.readline().rstrip("\n")


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
