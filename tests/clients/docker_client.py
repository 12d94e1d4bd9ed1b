"""dockerd with a root of its own and one runtime, spoken to with docker, and a busybox image imported here."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import documented
from cases import Failure, Result, call, cgroup_value, equal, on_terminal, wait_until

from corelaunch.testing.bundles import make_rootfs

IMAGE = "busybox:made"


class Docker:
    """Calls docker."""

    def __init__(self, runtime: str, work: Path) -> None:
        self.work = work
        self.runtime = runtime
        self._serial = itertools.count(1)
        self.base = ["/usr/bin/docker", "-H", f"unix://{work}/docker.sock"]
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

    def __call__(self, *words: str, **more: Any) -> Result:
        return call([*self.base, *words], **more)

    def ok(self, *words: str, **more: Any) -> str:
        """A call that must succeed; its output."""
        result = self(*words, **more)
        equal(result.code, 0, result)
        return result.out.strip()

    def code(self, wanted: int, *words: str, **more: Any) -> Result:
        """A call that must exit with ``wanted``."""
        result = self(*words, **more)
        equal(result.code, wanted, result)
        return result

    def name(self) -> str:
        return f"case-{next(self._serial)}"

    def run(self, *words: str, **more: Any) -> str:
        """What ``docker run --rm --network none`` prints."""
        return self.ok("run", "--rm", "--network", "none", *words, **more)

    def sh(self, script: str, *options: str, **more: Any) -> str:
        """What a shell script prints in a container."""
        return self.run(*options, IMAGE, "sh", "-c", script, **more)

    def up(self, *options: str, script: str = "exec sleep 1000") -> str:
        """The name of a container that runs a script in the background."""
        name = self.name()
        words = ("--network", "none", "--stop-signal", "KILL", "--name", name, *options)
        self.ok("run", "-d", *words, IMAGE, "sh", "-c", script)
        return name

    def inspect(self, name: str, what: str) -> str:
        return self.ok("inspect", "--format", what, name)

    def pid(self, name: str) -> int:
        return int(self.inspect(name, "{{.State.Pid}}"))

    def wait_for_log(self, name: str, word: str) -> None:
        wait_until(lambda: word in self.ok("logs", name), f"{word!r} in the log of {name}")

    def directory(self) -> Path:
        made = self.work / self.name()
        made.mkdir()
        return made

    def cgroup_file(self, name: str, controller: str, v1: str, v2: str) -> str:
        """What a limit's file of a container's cgroup says, read from the host's side."""
        return cgroup_value(self.pid(name), controller, v1, v2)

    def typed(self, text: str, *words: str) -> Result:
        """A call on a terminal."""
        return on_terminal([*self.base, *words], text)

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words))


make_client = Docker
