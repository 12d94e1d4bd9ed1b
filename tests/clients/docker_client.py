"""dockerd with a root of its own and one runtime, spoken to with docker, and a busybox image imported here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import documented
from cases import Failure, wait_until
from client import Engine

from corelaunch.testing.bundles import make_rootfs

IMAGE = "busybox:made"


class Docker(Engine):
    """Calls docker."""

    image = IMAGE
    cgroup_driver = "cgroupfs"

    def __init__(self, runtime: str, work: Path) -> None:
        super().__init__(work, ["/usr/bin/docker", "-H", f"unix://{work}/docker.sock"])
        self.runtime = runtime
        os.environ["DOCKER_CONFIG"] = str(work / "docker-config")
        documented.install(runtime)
        Path("/etc/docker").mkdir(exist_ok=True)
        Path("/etc/docker/daemon.json").write_text(documented.block("### Under docker", "json"))
        self._daemon = self._start()
        subprocess.run(["tar", "-C", make_rootfs(work / "rootfs"), "-cf", work / "image.tar", "."], check=True)
        self.ok("import", "--change", "ENV PATH=/bin", "--change", 'CMD ["sh"]', str(work / "image.tar"), IMAGE)

    def _start(self) -> subprocess.Popen[bytes]:
        work, log = self.work, self.work / "dockerd.log"
        words = ["dockerd", "--data-root", work / "docker", "--exec-root", work / "exec", "-p", work / "docker.pid"]
        words += ["-H", f"unix://{work}/docker.sock", "--add-runtime", f"tried={self.runtime}"]
        words += ["--default-runtime", "tried", "--storage-driver", "overlay2", "--live-restore"]
        words += ["--experimental", "--init-path", "/usr/bin/docker-init"]
        words += ["--exec-opt", f"native.cgroupdriver={self.cgroup_driver}"]
        with open(log, "ab") as output:
            daemon = subprocess.Popen(words, stdout=output, stderr=output)

        def answers() -> bool:
            if daemon.poll() is not None:
                raise Failure(f"dockerd ended: {log.read_text()[-2000:]}")
            return self("version").code == 0

        wait_until(answers, f"dockerd to answer; its log is {log}", 40)
        return daemon

    def restart(self) -> None:
        """End the daemon and start it again; containers go on meanwhile."""
        self.close()
        self._daemon = self._start()

    def close(self) -> None:
        """End the daemon; the sandbox's end ends all else."""
        self._daemon.terminate()
        self._daemon.wait(30)



make_client = Docker
