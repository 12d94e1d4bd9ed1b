"""The first process of the namespaces: mounts what systemd sees, leaves a keeper behind, becomes systemd."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from systemd_host import units
from systemd_host.job import Job
from systemd_host.keeper import Keeper
from systemd_host.mounting import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SHARED,
    mount,
    unmount,
)

#: What systemd would change for the whole machine while it starts (fs.nr_open and others; /dev/core).
_READ_ONLY_AT_FIRST = ("/proc/sys", "/dev")
_PLAIN = MS_NOSUID | MS_NODEV | MS_NOEXEC


def main(report: int, console: int) -> NoReturn:
    with os.fdopen(os.dup(report)) as lines:
        job = Job(**json.loads(lines.readline()))
    legacy = _legacy_hierarchies()
    mount("proc", "/proc")
    _mount_cgroups(job.mode, legacy)
    mount("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755")
    _private_etc()
    units.write(job, Path("/run"))
    keeper = Keeper(job, report, console, _READ_ONLY_AT_FIRST)
    # As on every machine with systemd, which leaves it alone in a container.
    mount("", "/", MS_SHARED | MS_REC)
    for path in _READ_ONLY_AT_FIRST:
        mount("", path, MS_BIND | MS_REC, source=path)
        # Else what lies below is unmounted below the original, too, when this is taken away.
        mount("", path, MS_PRIVATE | MS_REC)
        mount("", path, MS_REMOUNT | MS_BIND | MS_RDONLY)
    keeper.start()
    become_systemd(job.mode)


def _legacy_hierarchies() -> dict[str, str]:
    """Options of the host's cgroup v1 hierarchies by the directory's name that systemd expects."""
    found = {}
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            kind, _, options = line.rstrip().partition(" - ")[2].split()
            if kind == "cgroup":
                controllers = ",".join(o for o in options.split(",") if o not in ("rw", "ro", "xattr"))
                name = controllers.removeprefix("name=")
                found.setdefault(name, f"none,{controllers}" if name != controllers else controllers)
    return found


def _mount_cgroups(mode: str, legacy: dict[str, str]) -> None:
    """The tree anew: its root is the cgroup namespace's, so nobody here can even name the host's own cgroups."""
    unmount("/sys/fs/cgroup")
    root = "/sys/fs/cgroup"
    if mode == "unified":
        mount("cgroup2", root, _PLAIN)
        return
    mount("tmpfs", root, _PLAIN, "mode=755")
    for name, options in legacy.items():
        os.mkdir(f"{root}/{name}")
        mount("cgroup", f"{root}/{name}", _PLAIN, options)
        for part in name.split(",") if "," in name else ():
            os.symlink(name, f"{root}/{part}")
    if "systemd" not in legacy:
        os.mkdir(f"{root}/systemd")
        mount("cgroup", f"{root}/systemd", _PLAIN, "none,name=systemd")
    if mode == "hybrid":
        os.mkdir(f"{root}/unified")
        mount("cgroup2", f"{root}/unified", _PLAIN)


def _private_etc() -> None:
    """An overlay: systemd would write a machine-id if there is none, and COMMAND may add users."""
    for name in ("upper", "work"):
        os.makedirs(f"/run/with-systemd/etc/{name}")
    shutil.copymode("/etc", "/run/with-systemd/etc/upper")
    directory = "/run/with-systemd/etc"
    mount("overlay", "/etc", 0, f"lowerdir=/etc,upperdir={directory}/upper,workdir={directory}/work")


def become_systemd(mode: str) -> NoReturn:
    words = ["/lib/systemd/systemd", "--system", f"--unit={units.TARGET}", "--show-status=no"]
    words += ["--log-target=console", "--log-level=warning"]
    if mode == "legacy":
        # Else it mounts cgroup2 itself. In a container the kernel's command line is that of the first process.
        words.append("systemd.legacy_systemd_cgroup_controller=1")
    null = os.open("/dev/null", os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    os.execve(words[0], words, {"container": "corelaunch", "PATH": os.environ["PATH"]})


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
