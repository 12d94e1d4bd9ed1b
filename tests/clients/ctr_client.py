"""containerd with a root of its own, spoken to with ctr, and a busybox image made here as an OCI archive."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cases import Result, cgroup_value, wait_until, within
from client import Client

from corelaunch.testing.bundles import make_rootfs

IMAGE = "localhost/busybox:latest"

_CONFIG = """
version = 2
root = "{work}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "/run/containerd/c.sock"
"""


def make_archive(archive: Path, rootfs: Path) -> None:
    """An OCI image layout in a tar file, with one layer."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(rootfs, arcname=".")
    layer_bytes = layer.getvalue()
    blobs: list[bytes] = []

    def blob(media: str, content: bytes) -> dict[str, Any]:
        blobs.append(content)
        return {"mediaType": media, "digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}

    oci = "application/vnd.oci.image."
    layers = [blob(f"{oci}layer.v1.tar", layer_bytes)]
    process = {"Env": ["PATH=/bin", "FROM=image"], "Cmd": ["sh"], "WorkingDir": "/"}
    image = {"architecture": "amd64", "os": "linux", "config": process}
    image["rootfs"] = {"type": "layers", "diff_ids": [layers[0]["digest"]]}
    config = blob(f"{oci}config.v1+json", json.dumps(image).encode())
    manifest = {"schemaVersion": 2, "mediaType": f"{oci}manifest.v1+json", "config": config, "layers": layers}
    entry = blob(f"{oci}manifest.v1+json", json.dumps(manifest).encode())
    entry["annotations"] = {"io.containerd.image.name": IMAGE}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    files = {f"blobs/sha256/{hashlib.sha256(content).hexdigest()}": content for content in blobs}
    files |= {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


class Ctr(Client):
    """Calls ctr; every container is made over one runtime."""

    def __init__(self, runtime: str, work: Path) -> None:
        super().__init__(work, ["ctr", "-a", "/run/containerd/c.sock"])
        self.runtime = runtime
        (work / "containerd.toml").write_text(_CONFIG.format(work=work))
        self._daemon = self._start()
        make_archive(work / "image.tar", make_rootfs(work / "rootfs"))
        self.ok("images", "import", str(work / "image.tar"))

    def _start(self) -> subprocess.Popen[bytes]:
        log = self.work / "containerd.log"
        with open(log, "ab") as output:
            daemon = subprocess.Popen(["containerd", "-c", self.work / "containerd.toml"], stdout=output, stderr=output)
        wait_until(lambda: self("version").code == 0, f"containerd to answer; its log is {log}")
        return daemon

    def restart(self) -> None:
        """End the daemon and start it again; containers go on meanwhile."""
        self.close()
        self._daemon = self._start()

    def close(self) -> None:
        """End the daemon; the sandbox's end ends all else."""
        self._daemon.terminate()
        self._daemon.wait(20)

    def deleted(self, name: str, wanted: int, *options: str) -> None:
        """Delete a task, of which ctr must say that it ended with ``wanted``."""
        result = self.code(0, "tasks", "delete", *options, name)
        within(result.err, f"exit with non-zero exit code {wanted}\"", result)

    @contextlib.contextmanager
    def events(self) -> Iterator[Callable[[], list[str]]]:
        """All events from now on, as lines that ``ctr events`` has printed so far."""
        file = self.work / f"events-{self.name()}"
        with open(file, "wb") as output, subprocess.Popen([*self.base, "events"], stdout=output) as process:
            try:
                # It says nothing when it has subscribed: an event of our own must be seen first.
                mark = self.name()
                self.ok("containers", "create", IMAGE, mark)
                for serial in itertools.count():
                    self.ok("containers", "label", mark, f"serial={serial}")
                    if mark in file.read_text():
                        break
                yield lambda: file.read_text().splitlines()
            finally:
                process.kill()

    def run_words(self, *words: str) -> list[str]:
        """``ctr run`` over the runtime."""
        return ["run", "--runc-binary", self.runtime, *words]

    def run(self, *options: str, args: tuple[str, ...] = (), **more: Any) -> str:
        """What ``ctr run --rm`` prints."""
        return self.ok(*self.run_words("--rm", *options, IMAGE, self.name(), *args), **more)

    def sh(self, script: str, *options: str, **more: Any) -> str:
        """What a shell script prints in a container."""
        return self.run(*options, args=("sh", "-c", script), **more)

    def up(self, *options: str, script: str = "exec sleep 1000") -> str:
        """The name of a container that runs a script in the background."""
        name = self.name()
        self.ok(*self.run_words("-d", *options, IMAGE, name, "sh", "-c", script))
        return name

    def exec(self, name: str, *words: str, options: tuple[str, ...] = (), **more: Any) -> Result:
        """``ctr tasks exec``."""
        return self("tasks", "exec", "--exec-id", self.name(), *options, name, *words, **more)

    def status(self, name: str) -> str:
        """RUNNING, PAUSED, STOPPED or ""."""
        for line in self.ok("tasks", "ls").splitlines():
            if line.split()[0] == name:
                return line.split()[2]
        return ""

    def pid(self, name: str) -> int:
        """The init's pid."""
        (found,) = [line.split()[1] for line in self.ok("tasks", "ls").splitlines() if line.split()[0] == name]
        return int(found)

    def wait_for_file(self, name: str, path: str) -> str:
        """The content of a file in a container's root, as soon as it has one."""
        file = Path(f"/proc/{self.pid(name)}/root{path}")
        wait_until(lambda: os.path.exists(file) and file.read_text().endswith("\n"), f"{path} in {name}")
        return file.read_text().strip()

    def cgroup_file(self, name: str, controller: str, v1: str, v2: str) -> str:
        """What a limit's file of a container's cgroup says, read from the host's side."""
        return cgroup_value(self.pid(name), controller, v1, v2)


make_client = Ctr
