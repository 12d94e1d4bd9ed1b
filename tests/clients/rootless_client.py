"""podman as an ordinary user calls it: in a user namespace of its own, with his subordinate ids and no cgroup."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from cases import Result, call, on_terminal
from client import Engine
from podman_client import CONF, IMAGE, Podman

from corelaunch.testing.bundles import make_rootfs

UID = 4321
FIRST, COUNT = 300000, 65536


def reachable(runtime: str) -> str:
    """The runtime where the user can read it: its environment may lie below a directory that only root may enter."""
    environment = Path(runtime).resolve().parent.parent
    if environment == Path("/usr"):
        return runtime
    place = Path("/run/environment")
    place.mkdir()
    subprocess.run(["mount", "--bind", environment, place], check=True)
    return str(place / "bin" / Path(runtime).name)


class RootlessPodman(Podman):
    """Calls podman over one runtime, as the user ``tester`` of the sandbox."""

    def __init__(self, runtime: str, work: Path) -> None:
        runtime = reachable(runtime)
        home = work / "home"
        home.mkdir()
        session = Path("/run/user") / str(UID)
        session.mkdir(parents=True, mode=0o700)
        for path in (home, session):
            os.chown(path, UID, UID)
        with open("/etc/passwd", "a") as passwd, open("/etc/group", "a") as group:
            passwd.write(f"tester:x:{UID}:{UID}::{home}:/bin/sh\n")
            group.write(f"tester:x:{UID}:\n")
        for name in ("subuid", "subgid"):
            Path("/etc", name).write_text(f"tester:{FIRST}:{COUNT}\n")
        conf = home / "containers.conf"
        conf.write_text(CONF.format(name=Path(runtime).name))
        # As a login has it.
        variables = {"HOME": home, "USER": "tester", "XDG_RUNTIME_DIR": session, "CONTAINERS_CONF": conf}
        variables["PATH"] = "/usr/local/bin:/usr/bin:/bin"
        self.user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env", "-i"]
        self.user += [f"{name}={value}" for name, value in variables.items()]
        base = [*self.user, "podman", "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]
        base += ["--events-backend", "file", "--runtime", runtime]
        Engine.__init__(self, home, base)
        subprocess.run(["tar", "-C", make_rootfs(work / "rootfs"), "-cf", home / "image.tar", "."], check=True)
        self.ok("import", "--change", "ENV=PATH=/bin", "--change", 'CMD=["sh"]', str(home / "image.tar"), IMAGE)

    def __call__(self, *words: str, options: tuple[str, ...] = (), **more: Any) -> Result:
        return call([*self.base, *options, *words], cwd=self.work, **more)

    def typed(self, text: str, *words: str) -> Result:
        """A call on a terminal."""
        return on_terminal([*self.base, *words], text)

    def directory(self) -> Path:
        made = super().directory()
        os.chown(made, UID, UID)
        return made


make_client = RootlessPodman
