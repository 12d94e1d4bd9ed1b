"""buildah with storage of its own and a busybox image that it makes from scratch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cases import Result, equal
from client import Client

from corelaunch.testing.bundles import make_rootfs

IMAGE = "localhost/busybox"


class Buildah(Client):
    """Calls buildah; ``working`` is a container to run things in."""

    def __init__(self, runtime: str, work: Path) -> None:
        base = ["buildah", "--root", str(work / "root"), "--runroot", str(work / "runroot")]
        super().__init__(work, [*base, "--storage-driver", "overlay"])
        self.runtime = runtime
        (work / "containers.conf").write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024"]\n')
        os.environ["CONTAINERS_CONF"] = str(work / "containers.conf")
        rootfs = make_rootfs(work / "rootfs")
        first = self.ok("from", "scratch")
        self.ok("copy", "-q", first, str(rootfs), "/")
        self.ok("config", "--env", "PATH=/bin", first)
        self.ok("commit", "-q", first, IMAGE)
        self.working = self.ok("from", "--pull-never", IMAGE)

    def run_words(self, *options: str) -> list[str]:
        """``buildah run`` over the runtime in the working container."""
        words = ("--isolation", "oci", "--runtime", self.runtime, "--network", "none", *options)
        return ["run", *words, self.working, "--"]

    def sh(self, script: str, *options: str, **more: Any) -> str:
        """What a shell script prints."""
        return self.ok(*self.run_words(*options), "sh", "-c", script, **more)

    def build(self, *lines: str, options: tuple[str, ...] = ()) -> Result:
        """``buildah build`` of a Containerfile."""
        here = self.directory()
        (here / "file").write_text("copied")
        (here / "Containerfile").write_text("\n".join([f"FROM {IMAGE}", *lines]))
        words = ("--isolation", "oci", "--runtime", self.runtime, "--network", "none", "-t", f"localhost/{here.name}")
        return self("build", *words, *options, str(here), seconds=60)

    def look(self, result: Result, *words: str) -> str:
        """What a command prints in the image that was just built."""
        equal(result.code, 0, result)
        container = self.ok("from", "--pull-never", f"localhost/{Path(result.words[-1]).name}")
        run = ("run", "--isolation", "oci", "--runtime", self.runtime, "--network", "none", container, "--")
        return self.ok(*run, *words)


make_client = Buildah
