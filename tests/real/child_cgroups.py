"""Cgroups of the host for one sandbox: one below each hierarchy's root, and nothing of them left afterwards.

They are removed by a janitor, a process of its own session that waits for its maker's end, so that it also happens
after the maker's SIGKILL. If the janitor was killed, too, the next maker's :func:`sweep` does it: the name says whose
they are.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_SERIAL = itertools.count(1)

#: What is to die with its maker, who may have died before that was asked for.
_TIE = '[ "$PPID" = "$1" ] || exit 125; shift; exec "$@"'
_ENTER = """
while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done
shift
exec "$@"
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


@contextlib.contextmanager
def child_cgroups(prefix: str) -> Iterator[list[Path]]:
    """A new cgroup in each hierarchy; on leaving, or when this process has died, they are removed with all below.

    Args:
        prefix: begins their names, says what they are for.

    Raises:
        RuntimeError: on leaving, when one cannot be removed.
    """
    sweep(prefix)
    name = f"{prefix}-{os.getpid()}-{_start_time(os.getpid())}-{next(_SERIAL)}"
    groups = [hierarchy / name for hierarchy in hierarchies()]
    words = [sys.executable, "-I", __file__, *map(str, groups)]
    # The end of its standard input is the end of its maker.
    janitor = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)
    try:
        for group in groups:
            _make(group)
        yield groups
    finally:
        janitor.communicate()
        if janitor.returncode != 0:
            raise RuntimeError(f"cgroups of {name} are still there")


def _make(group: Path) -> None:
    group.mkdir()
    # A new cpuset of cgroup v1 is empty, and takes no process.
    for file in ("cpuset.cpus", "cpuset.mems"):
        if (group / "cgroup.clone_children").exists() and (group / file).exists():
            (group / file).write_text((group.parent / file).read_text())


def first_process(groups: list[Path], namespaces: tuple[str, ...]) -> list[str]:
    """The words before a program that make it the first process of a new pid namespace, in these cgroups.

    It dies with this process, and the whole namespace with it.

    Args:
        namespaces: which others it gets, as options of unshare(1).
    """
    # A thread that writes "0" to v1's tasks does not wait for an RCU grace period, as with cgroup.procs.
    files = [group / ("tasks" if (group / "tasks").exists() else "cgroup.procs") for group in groups]
    return [
        *("setpriv", "--pdeathsig", "KILL", "sh", "-c", _TIE, "sh", str(os.getpid())),
        # Its parent stays outside the cgroups: v2 gives no controllers to children of one that has processes.
        *("unshare", "--pid", "--fork", "--kill-child=KILL"),
        *("sh", "-c", _ENTER, "sh", *map(str, files), "--"),
        *("unshare", *namespaces, "--propagation", "private"),
    ]


def sweep(prefix: str) -> None:
    """Remove what is left of makers that are dead and whose janitor is, too."""
    for hierarchy in hierarchies():
        left = [group for group in hierarchy.glob(f"{prefix}-*-*-*") if not maker_lives(group.name)]
        _remove(left, seconds=1)


def maker_lives(name: str) -> bool:
    """Whether the process that has made this cgroup, by its name, is there."""
    pid, started, _ = name.rsplit("-", 3)[1:]
    return pid.isdigit() and _start_time(int(pid)) == started


def _start_time(pid: int) -> str:
    """Start of a process in clock ticks since the boot, field 22 of proc(5); "" when there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _remove(groups: list[Path], seconds: float) -> list[Path]:
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


def _clean_up(groups: list[Path]) -> int:
    """The janitor."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    left = _remove(groups, seconds=20)
    for group in left:
        print(f"{group}: cannot be removed", file=sys.stderr)
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(_clean_up([Path(word) for word in sys.argv[1:]]))
