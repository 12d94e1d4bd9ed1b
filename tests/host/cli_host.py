"""What the command line's host tests share: a bundle, and a runtime that is called as an engine calls it."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
RUNC = "/usr/sbin/runc"
_APPLETS = "sh sleep cat echo true false ls id stty tty kill head env readlink hostname mount".split()


def corelaunch_path() -> str:
    """The command under test: $CORELAUNCH, else the installed one of .venv, else the developers' launcher."""
    installed = CHECKOUT / ".venv/bin/corelaunch"
    fallback = installed if installed.exists() else CHECKOUT / "script/corelaunch-dev"
    return os.environ.get("CORELAUNCH") or str(fallback)


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


class Cli:
    """A runtime with a state root of its own; ids and cgroups begin with ``mark``."""

    def __init__(self, program: str, root: Path, mark: str) -> None:
        self.program = program
        self.root = root
        self.mark = mark
        self.serial = 0

    def new_id(self) -> str:
        """An id that nobody has had."""
        self.serial += 1
        return f"{self.mark}-{self.serial}"

    def words(self, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        """The whole command line."""
        return [self.program, "--root", str(self.root), *options, *words]

    def __call__(
        self,
        *words: str,
        options: tuple[str, ...] = (),
        stdin: Any = subprocess.DEVNULL,
        timeout: float = 30,
        **more: Any,
    ) -> Outcome:
        """Run a command to its end. Output goes through files: a container that keeps stdout open must not matter."""
        with _temporary(self.root.parent) as out, _temporary(self.root.parent) as err:
            done = subprocess.run(
                self.words(*words, options=options),
                stdin=stdin,
                stdout=out,
                stderr=err,
                timeout=timeout,
                check=False,
                **more,
            )
            return Outcome(done.returncode, _text(out), _text(err))

    def ok(self, *words: str, **more: Any) -> str:
        """Run a command that must succeed and be silent on stderr; its stdout."""
        outcome = self(*words, **more)
        assert (outcome.code, outcome.err) == (0, ""), f"{words}: {outcome}"
        return outcome.out

    def state(self, container_id: str) -> dict[str, Any]:
        """What ``state`` prints."""
        found: dict[str, Any] = json.loads(self.ok("state", container_id))
        return found

    def wait_for(self, container_id: str, status: str, seconds: float = 10) -> None:
        """Wait until a container has a status."""
        wait_until(lambda: self.state(container_id)["status"] == status, seconds, f"{container_id} to be {status}")

    def delete_all(self) -> None:
        """Delete whatever a test left."""
        for name in os.listdir(self.root) if self.root.exists() else ():
            self("delete", "--force", name)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until ``condition`` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def _temporary(directory: Path) -> Iterator[Any]:
    path = directory / f".output-{time.monotonic_ns()}"
    with open(path, "w+b") as file:
        path.unlink()
        yield file


def _text(file: Any) -> str:
    file.seek(0)
    return file.read().decode(errors="backslashreplace")  # type: ignore[no-any-return]


class Bundles:
    """Makes bundles around one root filesystem of busybox."""

    def __init__(self, directory: Path, mark: str) -> None:
        self.directory = directory
        self.mark = mark
        self.serial = 0
        self.rootfs = directory / "rootfs"
        make_rootfs(self.rootfs)
        template = directory / "template"
        template.mkdir()
        subprocess.run([RUNC, "spec", "--bundle", template], check=True)
        self.config: dict[str, Any] = json.loads((template / "config.json").read_text())
        self.config["process"]["terminal"] = False
        self.config["process"]["env"][0] = "PATH=/bin"
        self.config["root"]["path"] = str(self.rootfs)

    def __call__(
        self, *args: str, change: Callable[[dict[str, Any]], object] | None = None, own_rootfs: bool = False
    ) -> str:
        """A bundle that runs ``args``; ``change`` may edit its config; path of the bundle."""
        self.serial += 1
        bundle = self.directory / f"bundle-{self.serial}"
        bundle.mkdir()
        config = copy.deepcopy(self.config)
        config["process"]["args"] = list(args) or ["sh"]
        config["linux"]["cgroupsPath"] = f"/{self.mark}-{self.serial}"
        if own_rootfs:
            make_rootfs(bundle / "rootfs")
            config["root"]["path"] = "rootfs"
        if change is not None:
            change(config)
        (bundle / "config.json").write_text(json.dumps(config, indent=2))
        return str(bundle)


def make_rootfs(rootfs: Path) -> None:
    """A root filesystem that holds busybox and a few of its names."""
    for name in ("bin", "etc", "proc", "dev", "sys", "tmp", "work"):
        (rootfs / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox, "busybox-static is not installed"
    shutil.copy(busybox, rootfs / "bin/busybox")
    for name in _APPLETS:
        (rootfs / "bin" / name).symlink_to("busybox")
    (rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
