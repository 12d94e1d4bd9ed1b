"""Lifecycle plugin ``cdi``: a container gets the devices that its annotations ``cdi.k8s.io/…`` name.

A container that asks for none costs nothing: the CDI specs are read, and the modules that do so imported, only for one
that does.
"""

from __future__ import annotations

from corelaunch.api import DoctorCheck, PluginCommand, hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from corelaunch.api import ConfigEdit

corelaunch_api = 1

#: Where CDI specs are; the later directory wins.
DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
#: What annotations of CDI begin with; the rest of the name says who asks.
PREFIX = "cdi.k8s.io/"


@hookimpl
def corelaunch_adjust_config(config: Mapping[str, Any]) -> Sequence[ConfigEdit]:
    annotations = config.get("annotations") or {}
    asked = {name: value for name, value in annotations.items() if name.startswith(PREFIX)}
    if not asked:
        return []
    from . import injection, specs

    found = specs.read_all(DIRECTORIES)
    wanted: dict[str, specs.Device] = {}  # each once, in the order in which they are asked for
    for annotation, value in asked.items():
        for name in value.split(","):
            wanted[name] = specs.find(found, name, f"annotations[{annotation}]")
    return injection.edits(list(wanted.values()), config)


@hookimpl
def corelaunch_doctor() -> Sequence[DoctorCheck]:
    from . import specs

    found = specs.read_all(DIRECTORIES)
    names = {device.name for device in found.devices}
    text = f"{len(names)} devices in {', '.join(DIRECTORIES)}"
    return [
        DoctorCheck("cdi", "ok", text),
        *(DoctorCheck("cdi", "warn", f"{path}: {why}", hint="its devices are missing") for path, why in found.broken),
    ]


@hookimpl
def corelaunch_commands() -> Sequence[PluginCommand]:
    return [PluginCommand("cdi", "print the devices that annotations may ask for, with their specs", _list)]


def _list(words: Sequence[str], runtime: Any) -> int:
    from . import specs

    found = specs.read_all(DIRECTORIES)
    for device in found.devices:
        print(f"{device.name}\t{device.spec.path}", flush=True)
    for path, why in found.broken:
        print(f"-\t{path}: {why}", flush=True)
    return 1 if found.broken else 0
