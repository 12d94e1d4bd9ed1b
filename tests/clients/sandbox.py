"""Namespaces of their own for a client, so that nothing of it reaches the host: mounts, network, pids, IPC and cgroups.

Everything that it writes lies on tmpfs file systems of its mount namespace, all of its processes are in its pid
namespace, and its cgroups are below one of the host's in each hierarchy. So one kill and one walk remove it all. The
walk is a janitor's, a process of its own session that waits for its maker's end, so that it also happens after a
SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_ENTER = """
for group; do echo 0 >"$group/cgroup.procs" || exit 1; done
exec setpriv --pdeathsig KILL unshare --mount --net --pid --ipc --uts --cgroup --fork --kill-child=KILL \
    --propagation private "$PROGRAM" -I "$INSIDE"
"""


def hierarchies() -> list[Path]:
    """Where each cgroup hierarchy of the host is mounted; of one that is mounted twice the first place."""
    found: dict[str, Path] = {}
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            front, _, back = line.partition(" - ")
            if back.startswith("cgroup"):
                _, _, device, _, place, *_ = front.split()
                found.setdefault(device, Path(place))
    return list(found.values())


def _make_groups(name: str) -> list[Path]:
    made = []
    for hierarchy in hierarchies():
        group = hierarchy / name
        group.mkdir()
        made.append(group)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / "cgroup.clone_children").exists() and (group / file).exists():
                (group / file).write_text((hierarchy / file).read_text())
    return made


def _remove_groups(groups: list[Path], seconds: float = 20) -> list[Path]:
    """Remove cgroups with all that is below; those that stay."""
    end = time.monotonic() + seconds
    left = [group for group in groups if group.exists()]
    while left and time.monotonic() < end:
        for group in left:
            _thaw(group)
            for directory, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):  # its processes are about to die
                    os.rmdir(directory)
        left = [group for group in left if group.exists()]
        time.sleep(0.02 if left else 0)
    return left


def _thaw(group: Path) -> None:
    """A frozen process of cgroup v1 does not die."""
    for file in group.rglob("freezer.state"):
        with contextlib.suppress(OSError):  # removed meanwhile
            file.write_text("THAWED")


@contextlib.contextmanager
def _janitor(groups: list[Path]) -> Iterator[None]:
    """On leaving, or when this process has died, the cgroups are removed."""
    words = [sys.executable, "-I", __file__, *map(str, groups)]
    # The end of its standard input is the end of its maker.
    process = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        process.communicate()
        if process.returncode != 0:
            raise RuntimeError("a client's cgroups are still there")


def _clean_up(groups: list[Path]) -> int:
    """The janitor."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    left = _remove_groups(groups)
    for group in left:
        print(f"clients: {group}: cannot be removed", file=sys.stderr)
    return int(bool(left))


@contextlib.contextmanager
def sandbox(program: Path, settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run ``program`` with Python as the first process of new namespaces; its output is a pipe of lines.

    Args:
        settings: added to its environment.
    """
    name = f"corelaunch-clients-{os.getpid()}-{time.monotonic_ns()}"
    groups = [hierarchy / name for hierarchy in hierarchies()]
    with _janitor(groups):
        _make_groups(name)
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "PROGRAM": sys.executable,
            "INSIDE": str(program),
            **settings,
        }
        process = subprocess.Popen(
            ["sh", "-c", _ENTER, "sh", *map(str, groups)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


if __name__ == "__main__":
    sys.exit(_clean_up([Path(word) for word in sys.argv[1:]]))
