"""Runs one engine's config.json in a private mount namespace where all that it names exists.

It is unchanged, but for the paths of processes that are not here, and programs that never end: they get stand-ins.

Usage: engine_worker.py CONFIG ROOTFS corelaunch|runc. Prints one JSON object: status, output, left (cgroups).

Namespaces that the config joins are those of a process that was started for it, as an engine's pause container would
be: the paths are bind mounts of them where the engine had such, and /proc/PID is put into the config for its own.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x44000
MS_BIND = 0x1000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
#: In place of what engines start and what never ends: tells what the container is like inside.
LOOK = """#!/bin/sh
hostname
ip -o link show lo
cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range
cat /proc/sys/kernel/shm_rmid_forced
grep -E "^(Cap|NoNewPrivs|Uid|Groups)" /proc/self/status
grep " / " /proc/self/mountinfo | wc -l
"""
#: Bind sources of these names are directories, all others files.
_DIRECTORIES = ("shm", "v", "mnt")


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    if _libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, flags, None) != 0:
        raise OSError(ctypes.get_errno(), "mount", target)


def hold_namespaces(config: dict[str, Any]) -> subprocess.Popen[bytes] | None:
    """Start a process that has a namespace of each kind that the config joins, and put them where it looks."""
    joins = [entry for entry in config["linux"]["namespaces"] if entry.get("path")]
    if not joins:
        return None
    kinds = [f"--{'net' if entry['type'] == 'network' else entry['type']}" for entry in joins]
    script = ("ip link set lo up; " if "--net" in kinds else "") + "echo; exec sleep 600"
    holder = subprocess.Popen(["unshare", *kinds, "--fork", "--kill-child", "sh", "-c", script], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline()
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    for entry in joins:
        source = f"/proc/{children[0]}/ns/{'net' if entry['type'] == 'network' else entry['type']}"
        if entry["path"].startswith("/proc/"):
            entry["path"] = source
            continue
        target = Path(entry["path"])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
        mount(source, str(target), None, MS_BIND)
    return holder


def make_world(config: dict[str, Any], bundle: Path, rootfs: Path) -> None:
    """Make the rootfs and the bind sources that the config names; they are gone with the mount namespace."""
    if _libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", "/", None, MS_REC_PRIVATE)
    for directory in ("/var/lib", "/var/tmp", "/run"):
        mount("tmpfs", directory, "tmpfs", 0)
    root = bundle / config["root"]["path"]
    shutil.copytree(rootfs, root, symlinks=True)
    (root / "pause").write_text(LOOK)
    (root / "pause").chmod(0o755)
    arguments = config["process"]["args"]
    if arguments[0] == "sleep":
        arguments[:] = ["/pause"]
    arguments[-1] = arguments[-1].replace("top", "/pause").replace("sleep 100", "/pause")
    for entry in config["mounts"]:
        source = Path(entry.get("source", ""))
        if entry.get("type") != "bind" or source.exists():
            continue
        if source.name in _DIRECTORIES:
            source.mkdir(parents=True)
        else:
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_text("")


def with_corelaunch(bundle: Path) -> tuple[int, str]:
    """Run it through the Python API; a terminal is read from its master."""
    from corelaunch.bootstrap.stdio import ProcessIO
    from corelaunch.errors import CorelaunchError
    from corelaunch.process import Process
    from corelaunch.runtime import Runtime

    read, write = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    said: list[bytes] = []

    def attend(process: Process, start: Callable[[], None]) -> int:
        start()
        if process.master_fd >= 0:
            try:
                while chunk := os.read(process.master_fd, 4096):
                    said.append(chunk)
            except OSError:
                pass  # EIO: the container has closed its end
        return process.wait(60)

    runtime = Runtime(str(bundle / "state"))
    try:
        status = runtime.run("engine-config", str(bundle), io=ProcessIO(null, write, write), attend=attend)
    except CorelaunchError as error:
        return 1, str(error)
    os.close(write)
    while chunk := os.read(read, 4096):
        said.append(chunk)
    return status, b"".join(said).decode()


def with_runc(bundle: Path) -> tuple[int, str]:
    """Run it with runc, for comparison."""
    done = subprocess.run(
        ["runc", "--root", str(bundle / "runc"), "run", "--bundle", str(bundle), "engine-config"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


def cgroups_on_the_way(config: dict[str, Any]) -> set[str]:
    """Directories of the cgroup and of those above it, in every hierarchy, that are there now."""
    path = Path(config["linux"].get("cgroupsPath") or "/engine-config")
    names = [str(one).lstrip("/") for one in (path, *path.parents) if one.name]
    return {str(found) for name in names for found in Path("/sys/fs/cgroup").glob(f"*/{name}")}


def main() -> None:
    config_path, rootfs, runtime = sys.argv[1:]
    config = json.loads(Path(config_path).read_text())
    with tempfile.TemporaryDirectory(prefix="engine-config-") as directory:
        bundle = Path(directory)
        make_world(config, bundle, Path(rootfs))
        holder = hold_namespaces(config)
        (bundle / "config.json").write_text(json.dumps(config))
        before = cgroups_on_the_way(config)
        status, output = (with_corelaunch if runtime == "corelaunch" else with_runc)(bundle)
        if holder is not None:
            holder.kill()
            holder.wait()
    left = sorted(cgroups_on_the_way(config) - before, reverse=True)
    for directory in left:  # runc leaves the cgroups above its own
        os.rmdir(directory)
    print(json.dumps({"status": status, "output": output, "left": left}))


if __name__ == "__main__":
    main()
