"""A host with systemd for tests: the command line, bundles with units of their own, and what systemd says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from glob import glob
from pathlib import Path
from typing import Any

import pytest

from corelaunch.testing.bundles import config, make_bundle, make_rootfs
from corelaunch.testing.host import HOST_LACKS

#: Of a whole test module.
NEEDS_SYSTEMD = [
    pytest.mark.needs_root,
    pytest.mark.skipif(not os.path.isdir("/run/systemd/system"), reason=f"{HOST_LACKS}systemd (script/with-systemd)"),
]

SLICE = "clsd.slice"

#: The command that is installed beside this interpreter.
COMMAND = Path(sys.executable).with_name("corelaunch")


class Host:
    """Containers of one test.

    Attributes:
        name: a part of the name of all that the test makes.
        root: where the state of its containers is.
    """

    def __init__(self, directory: Path) -> None:
        self.name = f"clsd{os.getpid()}-{directory.name[-20:]}".replace("_", "-").replace("[", "").replace("]", "")
        self.root = directory / "state"
        self._directory = directory
        self._rootfs = make_rootfs(directory / "rootfs")
        self._containers: list[str] = []

    def bundle(self, *args: str, path: str = "", **linux: Any) -> str:
        """A bundle that runs a command (default: it sleeps); returns its directory."""
        content = config(*(args or ("sleep", "1000")))
        content["linux"]["cgroupsPath"] = path or f"{SLICE}:clsd:{self.name}"
        content["annotations"] = linux.pop("annotations", {})
        content["linux"]["resources"].update(linux)
        self._directory.joinpath("bundles").mkdir(exist_ok=True)
        return str(make_bundle(self._directory / "bundles" / str(time.monotonic_ns()), self._rootfs, content))

    def cli(self, *words: str, code: int = 0, text: str = "") -> str:
        """Run a command; its output, with its exit code checked."""
        command = self.command(*words)
        with open(self._directory / "out", "w+") as out:  # no pipe: a created container would hold it open
            stdin: Any = {"input": text.encode()} if text else {"stdin": subprocess.DEVNULL}
            done = subprocess.run(command, stdout=out, stderr=out, timeout=300, check=False, **stdin)
            out.seek(0)
            said = out.read()
        assert done.returncode == code, f"{words}: exit code {done.returncode}: {said}"
        return said

    def command(self, *words: str) -> list[str]:
        """The whole command line."""
        return [str(COMMAND), "--root", str(self.root), "--systemd-cgroup", *words]

    def create(self, *args: str, id: str = "", start: bool = True, **more: Any) -> str:
        """Create and start a container; returns its id."""
        id = id or self.name
        self._containers.append(id)
        self.cli("create", "--bundle", self.bundle(*args, **more), id)
        if start:
            self.cli("start", id)
        return id

    def state(self, id: str) -> dict[str, Any]:
        """What ``state`` says."""
        found: dict[str, Any] = json.loads(self.cli("state", id))
        return found

    @property
    def unit(self) -> str:
        """The unit of the container of the default path."""
        return f"clsd-{self.name}.scope"

    def left(self) -> list[str]:
        """Units, cgroups and records of this test."""
        units = systemctl("list-units", "--all", "--no-legend", "--plain", f"*{self.name}*").split("\n")
        cgroups = [path for path in glob("/sys/fs/cgroup/**/", recursive=True) if self.name in path]
        records = os.listdir(self.root) if self.root.exists() else []
        files = [path for path in glob("/run/systemd/transient/*") if self.name in path]
        return [*filter(None, units), *cgroups, *records, *files]

    def close(self) -> None:
        """Remove what the test has left."""
        for id in self._containers:
            subprocess.run(self.command("delete", "--force", id), capture_output=True, check=False)
        systemctl("kill", "--signal=KILL", f"*{self.name}*")
        systemctl("stop", f"*{self.name}*", SLICE)
        systemctl("reset-failed", f"*{self.name}*")
        for path in sorted(glob(f"/sys/fs/cgroup/*/{SLICE}"), key=len, reverse=True):
            os.rmdir(path)


def systemctl(*words: str) -> str:
    """What systemctl prints."""
    done = subprocess.run(["systemctl", "--no-pager", *words], capture_output=True, text=True, timeout=300, check=False)
    return done.stdout.strip()


def show(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit."""
    lines = systemctl("show", unit, *(f"--property={name}" for name in names)).split("\n")
    return dict(line.partition("=")[::2] for line in lines if line)


def control(unit: str, *names: str) -> str:
    """The first of these control files that the cgroup of a unit has, in whichever hierarchy."""
    for name in names:
        for path in glob(f"/sys/fs/cgroup/**/{unit}/{name}", recursive=True):
            with open(path) as file:
                return file.read().strip()
    raise FileNotFoundError(f"{unit}: {names}")


def until(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    """Whether something becomes true in time: a guest is slow, so it is generous."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def has_controller(name: str) -> bool:
    """Whether systemd has this controller here, in v1 or v2."""
    if os.path.isdir(f"/sys/fs/cgroup/{name}"):
        return True
    try:
        with open("/sys/fs/cgroup/cgroup.controllers") as file:
            return name in file.read().split()
    except FileNotFoundError:
        return False
