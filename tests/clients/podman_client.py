"""podman with storage, state and configuration of its own, and a busybox image that was never on a network."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from client import Engine

from corelaunch.testing.bundles import make_rootfs

IMAGE = "localhost/busybox"

CONF = """
[containers]
# More than a host without CAP_SYS_RESOURCE can give is podman's default.
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
# Where there is a systemd podman takes its journal.
log_driver = "k8s-file"
[engine]
runtime_supports_json = ["{name}", "crun", "runc"]
[network]
network_backend = "netavark"
"""


class Podman(Engine):
    """Calls podman over one runtime."""

    image = IMAGE
    cgroup_manager = "cgroupfs"

    def __init__(self, runtime: str, work: Path) -> None:
        conf = work / "containers.conf"
        conf.write_text(CONF.format(name=Path(runtime).name))
        os.environ.update(CONTAINERS_CONF=str(conf), DISABLE_HC_SYSTEMD="true")
        for name in ("subuid", "subgid"):
            Path("/etc", name).write_text("containers:200000:1000000\n")
        places = {"root": "root", "runroot": "runroot", "tmpdir": "tmpd", "network-config-dir": "networks"}
        base = ["podman", *(word for key, place in places.items() for word in (f"--{key}", str(work / place)))]
        base += ["--storage-driver", "overlay", "--cgroup-manager", self.cgroup_manager, "--events-backend", "file"]
        super().__init__(work, [*base, "--runtime", runtime])
        rootfs = make_rootfs(work / "rootfs")
        subprocess.run(["tar", "-C", rootfs, "-cf", work / "image.tar", "."], check=True)
        self.ok("import", "--change", "ENV=PATH=/bin", "--change", 'CMD=["sh"]', str(work / "image.tar"), IMAGE)




make_client: Callable[[str, Path], Podman] = Podman
