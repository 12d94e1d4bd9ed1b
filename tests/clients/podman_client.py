"""podman with storage, state and configuration of its own, and a busybox image that was never on a network."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cases import Result, call, cgroup_value, equal, on_terminal, wait_until

from corelaunch.testing.bundles import make_rootfs

IMAGE = "localhost/busybox"

CONF = """
[containers]
# More than a host without CAP_SYS_RESOURCE can give is podman's default.
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime_supports_json = ["{name}", "crun", "runc"]
[network]
network_backend = "netavark"
"""


class Podman:
    """Calls podman over one runtime."""

    def __init__(self, runtime: str, work: Path) -> None:
        self.work = work
        conf = work / "containers.conf"
        conf.write_text(CONF.format(name=Path(runtime).name))
        os.environ.update(CONTAINERS_CONF=str(conf), DISABLE_HC_SYSTEMD="true")
        for name in ("subuid", "subgid"):
            Path("/etc", name).write_text("containers:200000:1000000\n")
        places = {"root": "root", "runroot": "runroot", "tmpdir": "tmpd", "network-config-dir": "networks"}
        self.base = ["podman", *(word for key, place in places.items() for word in (f"--{key}", str(work / place)))]
        self.base += ["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
        self.base += ["--runtime", runtime]
        self._count_names()
        rootfs = make_rootfs(work / "rootfs")
        subprocess.run(["tar", "-C", rootfs, "-cf", work / "image.tar", "."], check=True)
        self.ok("import", "--change", "ENV=PATH=/bin", "--change", 'CMD=["sh"]', str(work / "image.tar"), IMAGE)

    def _count_names(self) -> None:
        self._serial = itertools.count(1)

    def close(self) -> None:
        """Nothing: the sandbox's end ends all."""

    def __call__(self, *words: str, options: tuple[str, ...] = (), **more: Any) -> Result:
        return call([*self.base, *options, *words], **more)

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
        """What ``podman run --rm --network none`` prints."""
        return self.ok("run", "--rm", "--network", "none", *words, **more)

    def sh(self, script: str, *options: str, **more: Any) -> str:
        """What a shell script prints in a container."""
        return self.run(*options, IMAGE, "sh", "-c", script, **more)

    def up(self, *options: str, script: str = "exec sleep 1000") -> str:
        """The name of a container that runs a script in the background; it ends at once when it is told to."""
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

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words))

    def typed(self, text: str, *words: str) -> Result:
        """A call on a terminal."""
        return on_terminal([*self.base, *words], text)


make_client: Callable[[str, Path], Podman] = Podman
