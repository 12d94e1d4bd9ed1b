"""The bundle that every subject runs: a busybox rootfs and ``runc spec``'s config with a named cgroup."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

APPLETS = ("sh", "true", "sleep", "cat", "ls", "echo")
PAYLOAD = ("/bin/true",)


class Bundle:
    """A bundle directory whose config is rewritten for each series.

    Attributes:
        path: the bundle.
        cgroup: name of the container's cgroup below the root of each hierarchy.
    """

    def __init__(self, path: Path, cgroup: str) -> None:
        self.path = path
        self.cgroup = cgroup
        binaries = path / "rootfs/bin"
        binaries.mkdir(parents=True)
        busybox = shutil.which("busybox")
        if busybox is None:
            raise FileNotFoundError("busybox: apt-get install busybox-static")
        shutil.copy(busybox, binaries / "busybox")
        for applet in APPLETS:
            (binaries / applet).symlink_to("busybox")
        # Made beforehand, so that no subject pays for the mount points of the first run.
        for directory in ("proc", "sys", "dev", "etc", "tmp"):
            (path / "rootfs" / directory).mkdir()
        subprocess.run(["runc", "spec"], cwd=path, check=True)
        self._spec = json.loads((path / "config.json").read_text())
        self.write(PAYLOAD)

    def write(self, arguments: Sequence[str]) -> None:
        """Write config.json to run ``arguments``, without a terminal."""
        config = json.loads(json.dumps(self._spec))
        config["process"]["terminal"] = False
        config["process"]["args"] = list(arguments)
        config["linux"]["cgroupsPath"] = f"/{self.cgroup}"
        (self.path / "config.json").write_text(json.dumps(config))


def hierarchies(*, v1_only: bool = False) -> list[str]:
    """Mount points of the cgroup hierarchies that the runtimes join, in their order."""
    kinds = ("cgroup",) if v1_only else ("cgroup", "cgroup2")
    found = []
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mountpoint, kind = line.split()[:3]
        if kind in kinds:
            found.append(mountpoint)
    return found
