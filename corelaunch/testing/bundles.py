"""Tiny bundles for tests: a busybox rootfs and the config of ``corelaunch spec``, changed where the test says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

#: Debian's busybox-static: one file that needs nothing else in a rootfs.
BUSYBOX = Path("/bin/busybox")


def make_rootfs(directory: Path) -> Path:
    """Make a rootfs with busybox under all its names, /etc/passwd and the usual mount points.

    Raises:
        FileNotFoundError: busybox-static is not installed.
    """
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "root"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    shutil.copy2(BUSYBOX, directory / "bin" / "busybox")
    applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in applets:
        link = directory / "bin" / applet
        if applet != "busybox" and not link.exists():
            link.hardlink_to(directory / "bin" / "busybox")
    (directory / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n")
    (directory / "etc" / "group").write_text("root:x:0:\nuser:x:1000:\n")
    return directory


def config(*args: str, terminal: bool = False) -> dict[str, Any]:
    """The config that ``corelaunch spec`` writes, with other arguments and without a terminal.

    For an ordinary user that is ``spec --rootless``: any other would be refused.
    """
    from ..default_config import default_config

    user = os.geteuid()
    return default_config(args or ("true",), terminal=terminal, rootless=user != 0, uid=user, gid=os.getegid())


def make_bundle(directory: Path, rootfs: Path, content: dict[str, Any]) -> Path:
    """Write a bundle whose root is ``rootfs``; returns its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    content = {**content, "root": {**content["root"], "path": str(rootfs)}}
    (directory / "config.json").write_text(json.dumps(content))
    return directory
