"""What networks bring along inside a container: /etc/resolv.conf, /etc/hosts, and parameters below net.

A strategy says in its placement what should be in them; core puts them there, as it does with everything of
config.json: the files are written into the state directory and bound, read-only, by the init, which resolves their
targets inside the root filesystem. So a link of the image leads nowhere, and nothing of the image is overwritten.
Imported only for containers with a network.
"""

from __future__ import annotations

import os

from .errors import ConfigError, PluginError
from .spec.mounts import cleaned
from .spec.sysctl import path_of, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .api import NetworkPlacement

#: Read-only, because the files lie on the host's /run: a container must not be able to fill it.
_OPTIONS = ("bind", "ro", "nosuid", "nodev", "noexec")

#: hosts(5) of every container that gets one.
_LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


def contents(placements: Sequence[NetworkPlacement], hostname: str) -> dict[str, str]:
    """The files that some placement asks for: name in /etc -> text. All placements of a container share them.

    Raises:
        PluginError: a strategy put something into a placement that would be more than one word or line.
    """
    servers = _all(placements, "nameservers")
    search = _all(placements, "search")
    options = _all(placements, "resolver_options")
    hosts = _all(placements, "hosts", " ")
    files = {}
    if servers or search or options:
        lines = [f"nameserver {server}" for server in servers]
        lines += [f"{word} {' '.join(values)}" for word, values in (("search", search), ("options", options)) if values]
        files["resolv.conf"] = "".join(f"{line}\n" for line in lines)
    if hosts:
        own = [address.partition("/")[0] for address in _all(placements, "addresses")]
        # sethostname(2) takes what hosts(5) cannot hold.
        has_name = hostname.isprintable() and hostname.split() == [hostname]
        lines = [f"{address} {hostname}" for address in own if has_name] + hosts
        files["hosts"] = _LOCALHOST + "".join(f"{line}\n" for line in lines)
    return files


def config_with(
    config: Mapping[str, Any], placements: Sequence[NetworkPlacement], files: Sequence[str], directory: str
) -> Mapping[str, Any]:
    """The config as it is planned: with the binds of the files and the parameters of the placements.

    Args:
        files: names, as ``contents`` gives them.
        directory: where they will be, on the host.

    Raises:
        ConfigError: config.json itself has a mount on one of the files, or another value for a parameter.
    """
    mounts = config.get("mounts") or ()
    for index, mount in enumerate(mounts):
        if cleaned(mount["destination"]) in [f"/etc/{name}" for name in files]:
            raise ConfigError(
                "config.json",
                where=f"mounts[{index}].destination",
                why=f"a network brings its own {mount['destination']}",
                hint="leave one of them out",
            )
    binds = [
        {"destination": f"/etc/{name}", "type": "bind", "source": os.path.join(directory, name), "options": _OPTIONS}
        for name in files
    ]
    linux = config.get("linux") or {}
    sysctl = {path_of(key): value for key, value in (linux.get("sysctl") or {}).items()}
    for path, value in _parameters(placements):
        if sysctl.setdefault(path, value) != value:
            raise ConfigError(
                "config.json",
                where=f"linux.sysctl.{path}",
                why=f"a network asks for another value: {value}",
                hint="leave one of them out",
            )
    return {**config, "mounts": [*mounts, *binds], "linux": {**linux, "sysctl": sysctl}}


def _all(placements: Sequence[NetworkPlacement], field: str, also: str = "") -> list[str]:
    """The values of one field of all placements, each once, in their order."""
    found: dict[str, None] = {}
    for index, placement in enumerate(placements):
        for value in getattr(placement, field):
            if not value or any(character <= " " and character not in also for character in value):
                why = f"the strategy placed {value!r}, which is not one word of a line"
                raise PluginError("invalid placement", where=f"networks[{index}].{field}", why=why)
            found[value] = None
    return list(found)


def _parameters(placements: Sequence[NetworkPlacement]) -> Iterator[tuple[str, str]]:
    for index, placement in enumerate(placements):
        for key, value in placement.sysctl.items():
            where = f"networks[{index}].sysctl"
            try:
                path = path_of(key)
            except ValueError as error:
                raise ConfigError("invalid network", where=where, why=str(error)) from None
            why, _hint = refusal(path, value, ["network"])
            if why:
                raise PluginError("invalid placement", where=where, why=f"{key}: {why}")
            yield path, value
