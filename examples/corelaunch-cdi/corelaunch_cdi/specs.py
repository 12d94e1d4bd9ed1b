"""Finds, reads and checks CDI specs (github.com/cncf-tags/container-device-interface, SPEC.md), 0.3.0 to 1.1.0.

A spec that is wrong makes its own devices missing and no others; who asks for a missing device is told what is wrong.
"""

from __future__ import annotations

import os
import stat

from corelaunch.api import ConfigError, CorelaunchError, Record, loads

from .schema import wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Edits = Mapping[str, Any]

_SIZE_LIMIT = 16 << 20


class Spec(Record):
    """One file."""

    path: str
    #: Number of its directory: the higher one wins.
    priority: int
    #: What every container gets that gets one of its devices.
    edits: Edits


class Device(Record):
    """A device that can be asked for."""

    #: Its qualified name, ``vendor.com/class=name``.
    name: str
    spec: Spec
    edits: Edits


class Found(Record):
    """What the directories hold."""

    devices: Sequence[Device]
    #: (path, what is wrong) of the files that could not be used.
    broken: Sequence[tuple[str, str]]


def read_all(directories: Sequence[str]) -> Found:
    """Every file ``*.json`` and ``*.yaml`` of the directories, without those below; a missing directory is empty."""
    devices: list[Device] = []
    broken: list[tuple[str, str]] = []
    for priority, directory in enumerate(directories):
        try:
            names = sorted(os.listdir(directory))
        except FileNotFoundError:
            continue
        except OSError as error:
            broken.append((directory, os.strerror(error.errno or 0).lower()))
            continue
        for name in names:
            path = os.path.join(directory, name)
            if not name.endswith((".json", ".yaml")) or os.path.isdir(path):
                continue
            try:
                content = _content(path)
            except (OSError, ValueError, CorelaunchError, ImportError) as error:
                broken.append((path, str(error)))
                continue
            why = wrong(content)
            if why:
                broken.append((path, why))
                continue
            spec = Spec(path, priority, content.get("containerEdits") or {})
            for one in content["devices"]:
                devices.append(Device(f"{content['kind']}={one['name']}", spec, one["containerEdits"]))
    return Found(devices, broken)


def find(found: Found, name: str, where: str) -> Device:
    """The device of a qualified name, from the directory that wins.

    Raises:
        ConfigError: it is no such name, there is no such device, or two specs of one directory have it.
    """
    kind, equals, _ = name.partition("=")
    if not equals or "/" not in kind:
        why = f"{name!r} is no qualified name of a device"
        raise ConfigError("no such CDI device", where=where, why=why, hint="write vendor.com/class=name")
    same = [device for device in found.devices if device.name == name]
    if not same:
        of_kind = [device.name for device in found.devices if device.name.startswith(f"{kind}=")]
        kinds = sorted({device.name.partition("=")[0] for device in found.devices})
        known = f"there are {', '.join(of_kind)}" if of_kind else f"kinds that there are: {', '.join(kinds) or 'none'}"
        hint = "; ".join(f"{path} cannot be used: {why}" for path, why in found.broken)
        raise ConfigError("no such CDI device", where=where, why=f"{name}: {known}", hint=hint)
    best = max(device.spec.priority for device in same)
    winners = [device for device in same if device.spec.priority == best]
    if len(winners) > 1:
        paths = " and ".join(device.spec.path for device in winners)
        hint = "remove one, or put the one that is to win into the later directory"
        raise ConfigError("ambiguous CDI device", where=where, why=f"{name} is in {paths}", hint=hint)
    return winners[0]


def _content(path: str) -> Any:
    """The JSON or YAML value in a file that root alone can have written: its hooks run as root."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        for found in (status, os.stat(os.path.dirname(os.path.realpath(path)))):
            if found.st_mode & 0o022 or found.st_uid not in (0, os.geteuid()):
                raise ValueError("others than root can write it or in its directory")
        with os.fdopen(os.dup(fd), "rb") as file:
            data = file.read(_SIZE_LIMIT + 1)
    finally:
        os.close(fd)
    if len(data) > _SIZE_LIMIT:
        raise ValueError(f"larger than {_SIZE_LIMIT} bytes")
    if path.endswith(".json"):
        return loads(data, "JSON")
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise ImportError("YAML needs PyYAML, which is not installed: pip install 'corelaunch-cdi[yaml]'") from None
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
