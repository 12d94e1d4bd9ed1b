"""A CNI network configuration list: found by its path or its name, read once, checked before anything is made.

The format is that of the CNI specification, "Section 1: Network configuration format", up to version 1.1.
"""

from __future__ import annotations

import os

from corelaunch.api import ConfigError, KernelError, loads

from .trusted_programs import check_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

#: Versions of the protocol that we speak, oldest first. Before 0.3.0 results were of another form, and lists unknown.
VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
#: CNI_PATH and the directory of the lists, where nobody says otherwise: Debian's, and those of the specification.
PLUGIN_DIRECTORIES = ("/usr/lib/cni", "/opt/cni/bin")
LIST_DIRECTORIES = ("/etc/cni/net.d",)
#: It goes into the journal.
LARGEST_LIST = 64 << 10
_SUFFIXES = (".conflist", ".conf", ".json")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


def load(path: str) -> dict[str, Any]:
    """The list of a file: ``file``, ``name``, ``versions`` (that it may be used in, newest first), ``plugins``,
    ``disableCheck`` and ``disableGC``.

    Raises:
        ConfigError: it is not one; ``where`` is the file and the JSON path in it.
        KernelError: it cannot be read.
    """
    check_trusted(path)
    content = _read(path)
    where = os.path.realpath(path)
    if "plugins" not in content and "type" in content:
        # A single plugin's configuration, which the specification knew before lists.
        content = {**{key: content[key] for key in ("name", "cniVersion") if key in content}, "plugins": [content]}
    name = content.get("name")
    if not isinstance(name, str) or not name or not _NAME.issuperset(name) or name[0] in "_.-":
        raise wrong(where, "name", "it is not a name of letters, digits, '_', '.' and '-'")
    plugins = content.get("plugins")
    if not isinstance(plugins, list) or not plugins:
        raise wrong(where, "plugins", "it is not an array of plugins")
    for index, plugin in enumerate(plugins):
        kind = plugin.get("type") if isinstance(plugin, dict) else None
        if not isinstance(kind, str) or not kind or "/" in kind or kind.startswith("."):
            raise wrong(where, f"plugins[{index}].type", "it is not the name of a plugin")
        if not isinstance(plugin.get("capabilities", {}), dict):
            raise wrong(where, f"plugins[{index}].capabilities", "it is not an object")
    return {
        "file": where,
        "name": name,
        "versions": _versions(where, content),
        "plugins": plugins,
        "disableCheck": content.get("disableCheck") in (True, "true"),
        "disableGC": content.get("disableGC") in (True, "true"),
    }


def find(network: str, directories: Sequence[str]) -> str:
    """The file of the network of that name; of several the first, as their names are sorted.

    Raises:
        ConfigError: there is none; the error lists those that there are.
    """
    names = []
    for directory in directories:
        if not os.path.isdir(directory):
            continue
        for entry in sorted(os.listdir(directory)):
            path = os.path.join(directory, entry)
            if not entry.endswith(_SUFFIXES) or not os.path.isfile(path):
                continue
            check_trusted(path)
            name = _read(path).get("name")
            if name == network:
                return path
            names.append(str(name))
    why = f"{', '.join(directories)} has {', '.join(names) or 'none'}"
    raise ConfigError(f"no CNI network called {network!r}", why=why, hint="write conf=PATH, or confdir=DIRECTORY")


def configuration(network: Mapping[str, Any], index: int, version: str, **more: Any) -> dict[str, Any]:
    """What the plugin of that number gets on its standard input; what ``more`` holds is left out where it is None."""
    plugin = {key: value for key, value in network["plugins"][index].items() if key != "capabilities"}
    return {
        **plugin,
        "name": network["name"],
        "cniVersion": version,
        **{key: value for key, value in more.items() if value is not None},
    }


def has_capability(plugin: Mapping[str, Any], capability: str) -> bool:
    """Whether a plugin's configuration says that it takes this of the runtime."""
    return bool(plugin.get("capabilities", {}).get(capability))


#: The version that brought GC and STATUS.
FIRST_GC = "1.1.0"


def is_at_least(version: str, wanted: str) -> bool:
    """Whether a version of ours is that or a newer one."""
    return VERSIONS.index(version) >= VERSIONS.index(wanted)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST_LIST + 1)
    except OSError as error:
        raise KernelError.of("cannot read the CNI network", error, where=path) from error
    if len(text) > LARGEST_LIST:
        raise ConfigError("invalid CNI network", where=path, why=f"it has more than {LARGEST_LIST >> 10} KiB")
    try:
        content = loads(text.decode())
    except ValueError as error:
        raise ConfigError("invalid CNI network", where=path, why=str(error)) from None
    if not isinstance(content, dict):
        raise ConfigError("invalid CNI network", where=path, why="it is not an object")
    return content


def _versions(where: str, content: Mapping[str, Any]) -> list[str]:
    asked = content.get("cniVersions") or [content.get("cniVersion")]
    if not isinstance(asked, list):
        raise wrong(where, "cniVersions", "it is not an array of versions")
    known = [version for version in reversed(VERSIONS) if version in asked or content.get("cniVersion") == version]
    if not known:
        said = ", ".join(str(version) for version in asked) if asked != [None] else "none"
        raise wrong(where, "cniVersion", f"it says {said}; we speak {', '.join(VERSIONS)}")
    return known


def wrong(path: str, where: str, why: str) -> ConfigError:
    """The error about a network's file; ``where`` is the JSON path in it."""
    return ConfigError("invalid CNI network", where=f"{path}: {where}", why=why)
