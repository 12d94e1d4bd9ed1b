"""An ordinary user of this host, made for a test and removed after it, who runs a runtime."""

from __future__ import annotations

import itertools
import json
import os
import pwd
import shutil
import subprocess
import sys
from _signal import SIGKILL
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli_host import CHECKOUT, Cli

#: In the name of everything that these tests make.
MARK = f"cl-rl-{os.getpid()}"

#: What an ordinary user finds in his environment.
PATH = "/usr/local/bin:/usr/bin:/bin"


class User:
    """An ordinary user with a range of subordinate ids and a runtime directory.

    Attributes:
        name, uid, gid: as in /etc/passwd.
        first, count: his range in /etc/subuid and /etc/subgid, which are alike.
        home: a directory of his own, reachable by others.
        runtime_dir: what XDG_RUNTIME_DIR names.
        session: cgroup in which his commands begin; None: where we are. On v2 a user moves processes only
            between cgroups of a delegated tree, so he has to be in it before.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", name], check=True)
        entry = pwd.getpwnam(name)
        self.uid, self.gid = entry.pw_uid, entry.pw_gid
        self.first, self.count = _range_of(name, "/etc/subuid")
        assert (self.first, self.count) == _range_of(name, "/etc/subgid")
        self.session: Path | None = None
        self.home = directory / "home"
        self.runtime_dir = directory / "runtime"
        for path, mode in ((self.home, 0o755), (self.runtime_dir, 0o700)):
            path.mkdir(mode=mode)
            os.chown(path, self.uid, self.gid)

    def words(self, *words: str, **environment: str) -> list[str]:
        """The command line that runs ``words`` as this user; his session has no other descriptors or groups."""
        variables = {"PATH": PATH, "XDG_RUNTIME_DIR": str(self.runtime_dir), **environment}
        ids = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        command = ["setpriv", *ids, "env", "-i", *(f"{name}={value}" for name, value in variables.items()), *words]
        if self.session is None:
            return command
        return ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(self.session), *command]

    def own(self, path: Path) -> Path:
        """Give him a tree."""
        for entry in (path, *path.rglob("*")):
            os.chown(entry, self.uid, self.gid, follow_symlinks=False)
        return path

    def remove(self) -> None:
        """Kill what he runs, and take him away."""
        for pid in self.pids():
            os.kill(pid, SIGKILL)
        subprocess.run(["userdel", self.name], check=True)

    def pids(self) -> list[int]:
        """His processes, those with his subordinate ids included."""
        ids = {self.uid, *range(self.first, self.first + self.count)}
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _owner(pid) in ids]


class UserCli(Cli):
    """A runtime that is called by an ordinary user."""

    def __init__(self, program: str, root: Path, mark: str, user: User) -> None:
        super().__init__(program, root, mark)
        self.user = user
        self.environment: dict[str, str] = {}

    def words(self, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        """The whole command line; the state root is the user's own, by XDG_RUNTIME_DIR."""
        return self.user.words(self.program, *options, *words, **self.environment)


def installation(prefix: Path) -> str:
    """A Python environment that the user can read and not write: its ``corelaunch``."""
    source = CHECKOUT / ".venv"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = source / "lib" / version / "site-packages"
    target = prefix / "lib" / version / "site-packages"
    (prefix / "bin").mkdir(parents=True)
    target.mkdir(parents=True)
    shutil.copy2(source / "bin/corelaunch", prefix / "bin/corelaunch")
    (prefix / "bin/python3").symlink_to(os.path.realpath(source / "bin/python3"))
    patterns = ("corelaunch*", "_cffi_backend*", "pyroute2*", "jeepney*")
    for entry in (entry for pattern in patterns for entry in packages.glob(pattern)):
        (shutil.copytree if entry.is_dir() else shutil.copy2)(entry, target / entry.name)
    return str(prefix / "bin/corelaunch")


def spec(user: User, bundle: Path, program: str, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
    """A bundle as ``program spec --rootless`` writes it for the user, changed where the test says."""
    bundle.mkdir(exist_ok=True)
    os.chown(bundle, user.uid, user.gid)
    subprocess.run(user.words(program, "spec", "--rootless", "--bundle", str(bundle)), check=True)
    if change is not None:
        config = json.loads((bundle / "config.json").read_text())
        change(config)
        (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def ranges(user: User) -> Callable[[dict[str, Any]], None]:
    """A change of a config: the user is its root, his subordinate ids follow."""

    def change(config: dict[str, Any]) -> None:
        for member, own in (("uidMappings", user.uid), ("gidMappings", user.gid)):
            config["linux"][member] = [
                {"containerID": 0, "hostID": own, "size": 1},
                {"containerID": 1, "hostID": user.first, "size": user.count},
            ]

    return change


def serial() -> int:
    """A number that no test had before."""
    return next(_SERIAL)


_SERIAL = itertools.count()


def _range_of(name: str, path: str) -> tuple[int, int]:
    for line in Path(path).read_text().splitlines():
        owner, first, count = line.split(":")
        if owner == name:
            return int(first), int(count)
    raise AssertionError(f"useradd gave {name} no range in {path}")


def _owner(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1
