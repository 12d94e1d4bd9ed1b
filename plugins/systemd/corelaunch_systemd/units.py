"""Making and ending the unit of a container: exclusively, announced before it is made, and only what is ours.

Ours is the unit with the invocation id that the journal has. One that was announced and not confirmed (killed in
between) is told by the random word that the journal has and its description ends with.
"""

from __future__ import annotations

import os
import time
from errno import EBUSY

from corelaunch.api import (
    AlreadyExists,
    ConfigError,
    CorelaunchError,
    Effect,
    KernelError,
    PluginError,
    boot_id,
    is_gone,
)

from . import properties
from .bus import BusError, Disconnected
from .parts import SYSTEM, of_files
from .systemd import UNIT_EXISTS, Systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from corelaunch.api import CgroupManager, CgroupPlacement, CgroupRequest, LaunchContext, ProcessHandle

    from .systemd import Property, Unit

KIND = "unit"

#: The hierarchies in which systemd makes a directory for a unit with Delegate=yes (src/basic/cgroup-util.h,
#: CGROUP_MASK_V1); in the others the manager of the files does.
_OF_SYSTEMD = ("", "name=systemd", "cpu", "cpuacct", "blkio", "memory", "devices", "pids")

_NO_ACCESS = "org.freedesktop.DBus.Error.AccessDenied"

#: How long systemd may take to forget a unit that has ended.
_FORGETTING = 2.0

#: How long systemd may take to notice that the last process of a unit has ended, before it is asked to stop it.
_NOTICING = 0.01


def create(
    placement: CgroupPlacement,
    request: CgroupRequest,
    process: ProcessHandle | None,
    ctx: LaunchContext,
    files: CgroupManager,
) -> None:
    """Start the unit around the process, and make the directories that systemd does not make.

    Raises:
        AlreadyExists: there is such a unit, or such a cgroup; it was not touched.
        ConfigError: systemd does not take a property that an annotation asks for.
        CorelaunchError: it did not come up.
    """
    if process is None:
        raise PluginError("a unit is made around a process", where="cgroup manager 'systemd'", why="none was given")
    unit: str = placement.extra["unit"]
    with Systemd(placement.extra["manager"], ctx.deadline) as systemd:
        version, _ = systemd.about()
        _make_way(systemd, unit)
        _refuse_existing(placement)
        wanted = properties.asked_for(request.annotations)
        word = os.urandom(8).hex()
        effect = ctx.intend(
            KIND,
            unit,
            absent=True,
            paths=_directories(placement.paths, _OF_SYSTEMD),
            word=word,
            boot_id=boot_id(),
        )
        description = f"corelaunch container {request.container_id} ({word})"
        own = properties.of_unit(unit, placement.extra["slice"], description, process.pid, version)
        try:
            _start(systemd, unit, [*own, *wanted], word)
        except BusError as error:
            ctx.withdraw(effect)
            if error.name == UNIT_EXISTS:
                raise _exists(unit, "it was made just now") from error
            raise _refused(unit, wanted, error) from error
        (invocation,) = systemd.properties(unit, "Unit.InvocationID")
    made = {name: path for name, path in placement.paths.items() if path in effect.args["paths"] and _is_there(path)}
    ctx.done(effect, invocation=bytes(invocation).hex(), directories={path: _identity(path) for path in made.values()})
    if not made:
        why = f"its cgroup is not at {effect.args['paths'][0]}"
        raise CorelaunchError("systemd put the unit elsewhere", where=unit, why=why)
    missing = {name: path for name, path in placement.paths.items() if name not in made}
    if missing:
        files.create(of_files(placement, missing), request, None, ctx)
    files.adopt(of_files(placement, made), request)
    _move(placement, made, missing, process, files)


def _make_way(systemd: Systemd, unit: str) -> None:
    """Refuse a unit that lives; let systemd forget one that has ended and that it only remembers."""
    deadline = time.monotonic() + _FORGETTING
    while (found := systemd.find(unit)) is not None:
        if not found.dead or time.monotonic() > deadline:
            raise _exists(unit, f"it is {found.active}: {found.description}")
        systemd.reset_failed(unit)
        time.sleep(0.005)


def _refuse_existing(placement: CgroupPlacement) -> None:
    for path in dict.fromkeys(placement.paths.values()):
        if os.path.lexists(path):
            hint = "choose another linux.cgroupsPath, or remove it if nobody uses it"
            raise AlreadyExists("cgroup exists already", where=path, why="it is not of this container", hint=hint)


def _start(systemd: Systemd, unit: str, wanted: Sequence[Property], word: str) -> None:
    """Start it; if systemd hangs up meanwhile (daemon-reexec), look whether it has taken the request."""
    while True:
        try:
            return systemd.start(unit, wanted)
        except Disconnected:
            systemd.reconnect()
            found = systemd.find(unit)
            if found is not None and word in found.description:
                return


def _refused(unit: str, wanted: Iterable[Property], error: BusError) -> CorelaunchError:
    asked = [name for name, _ in wanted]
    # It names the property, unless its value is of the wrong type.
    named = [name for name in asked if name in error.text] or asked
    if named and error.name != _NO_ACCESS:
        where = " or ".join(f"annotations.{properties.PREFIX}{name}" for name in named)
        hint = "is it of the type that systemd wants? busctl introspect shows it"
        return ConfigError("systemd does not take this property", where=where, why=error.text, hint=hint)
    return CorelaunchError("systemd does not make the unit", where=unit, why=f"{error.text} ({error.name})")


def _move(
    placement: CgroupPlacement,
    made: Mapping[str, str],
    missing: Mapping[str, str],
    process: ProcessHandle,
    files: CgroupManager,
) -> None:
    """What systemd has not moved itself: into directories that are not its own, and into a slice."""
    if placement.extra["unit"].endswith(".slice"):
        files.add_process(of_files(placement), process)
        return
    if process.pid not in files.processes(of_files(placement, made)):
        raise CorelaunchError(
            "systemd did not move the process into its unit",
            where=placement.extra["unit"],
            why=f"process {process.pid} is not there: it has died, or systemd has another pid namespace",
        )
    if missing:
        files.add_process(of_files(placement, missing), process)


def destroy(placement: CgroupPlacement, effects: Sequence[Effect], files: CgroupManager) -> None:
    """End the unit, and remove the directories that were made beside it.

    Raises:
        KernelError: EBUSY, there are processes left.
        Unsupported: systemd cannot be reached, and there is something to be ended.
    """
    files.destroy(of_files(placement), [effect for effect in effects if effect.kind != KIND])
    for effect in effects:
        if effect.kind == KIND:
            _end(placement, effect, files)


def _end(placement: CgroupPlacement, effect: Effect, files: CgroupManager) -> None:
    if effect.args["boot_id"] != boot_id():
        return  # transient units and cgroups go with their boot: one with our numbers is a stranger's
    identities: Mapping[str, Any] = effect.facts.get("directories") or {}
    # Nearly always systemd was faster than we, and need not be asked.
    if effect.done and _wait_until_gone(placement, effect, identities):
        return
    with Systemd(placement.extra["manager"]) as systemd:
        found = systemd.find(effect.name)
        if found is not None:
            if not _is_ours(found, effect):
                return
            if not effect.done and files.processes(of_files(placement)):
                # What core has not killed was not there when it was made.
                raise KernelError(
                    "cannot stop unit", where=effect.name, why="processes are in it that are not ours", errno=EBUSY
                )
            if not found.dead:
                systemd.stop(effect.name)
            systemd.reset_failed(effect.name)
    left = [
        Effect(effect.number, "cgroup", path, {"path": path}, done=True, facts={"dev": dev, "ino": ino})
        for path, (dev, ino) in identities.items()
    ]
    files.destroy(of_files(placement), left)


def _is_ours(found: Unit, effect: Effect) -> bool:
    if effect.done and found.invocation:
        return bool(found.invocation == effect.facts["invocation"])
    return str(effect.args["word"]) in found.description


def _wait_until_gone(placement: CgroupPlacement, effect: Effect, identities: Mapping[str, Sequence[int]]) -> bool:
    """Whether cgroup and unit are gone: systemd keeps a file for each transient unit that it remembers."""
    directory = "/run" if placement.extra["manager"] == SYSTEM else os.environ.get("XDG_RUNTIME_DIR", "")
    remembered = f"{directory}/systemd/transient/{effect.name}"
    deadline = time.monotonic() + _NOTICING
    while os.path.lexists(remembered) or any(
        _identity(path) == list(identity) for path, identity in identities.items()
    ):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.0005)
    return True


def _directories(paths: Mapping[str, str], names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(path for name, path in paths.items() if name in names))


def _is_there(path: str) -> bool:
    return bool(_identity(path))


def _identity(path: str) -> list[int]:
    """Device and inode, [] if it is gone."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError as error:
        if is_gone(error):
            return []
        raise KernelError.of("cannot look at cgroup", error, where=path) from error
    return [found.st_dev, found.st_ino]


def _exists(unit: str, why: str) -> AlreadyExists:
    hint = f"choose another name in linux.cgroupsPath, or: systemctl stop {unit}"
    return AlreadyExists("unit exists already", where=unit, why=why, hint=hint)
