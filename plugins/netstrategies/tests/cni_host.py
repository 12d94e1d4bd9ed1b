"""CNI networks for tests: real plugins with their files in a directory of the test's, and plugins that misbehave."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from corelaunch.testing.host import host_lacks

DEBIAN = "/usr/lib/cni"

#: What every scripted plugin answers to VERSION, and what it does for ADD if nothing else is said.
_VERSION = """[ "$CNI_COMMAND" = VERSION ] && { cat >/dev/null
echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'; exit 0; }
"""


def need_plugins(*names: str) -> None:
    """Skip if this host has not these plugins of Debian's containernetworking-plugins."""
    for name in names:
        if not os.path.exists(f"{DEBIAN}/{name}"):
            host_lacks(f"the CNI plugin {name} (apt install containernetworking-plugins)")


def host_local(directory: Path, *subnets: str) -> dict[str, Any]:
    """``ipam`` of a plugin: addresses of one of these subnets, with its files in a directory."""
    ranges = [[{"subnet": subnet} for subnet in subnets]]
    return {"type": "host-local", "dataDir": str(directory / "ipam"), "ranges": ranges}


def leases(directory: Path) -> list[str]:
    """Addresses that host-local has given out, in the directory."""
    return sorted(path.name for path in (directory / "ipam").glob("*/*") if "." in path.name and path.name[0].isdigit())


def write_list(directory: Path, *plugins: dict[str, Any], **more: Any) -> Path:
    """A network configuration list; its path."""
    path = directory / "clnet.conflist"
    path.write_text(json.dumps({"cniVersion": "1.0.0", "name": "clnet", "plugins": plugins, **more}))
    path.chmod(0o600)
    return path


def write_plugin(directory: Path, name: str, script: str, *, version: str = _VERSION) -> Path:
    """A plugin of the test's, in sh; ``directory`` is then a directory of plugins."""
    directory.mkdir(exist_ok=True, mode=0o755)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{version}{script}\n")
    path.chmod(0o755)
    return path


def ptp(directory: Path, **more: Any) -> dict[str, Any]:
    """A plugin that makes a pair of interfaces and leaves nothing behind (bridge leaves its bridge)."""
    need_plugins("ptp", "host-local")
    # Subnets with one address each: two interfaces of a container cannot have the same gateway.
    subnets = [f"10.123.0.{4 * number}/30" for number in range(16)]
    return {"type": "ptp", "ipam": host_local(directory, *subnets), **more}


