"""Namespaces of their own for a client, so that nothing of it reaches the host: mounts, network, pids, IPC and cgroups.

Everything that it writes lies on tmpfs file systems of its mount namespace, all of its processes are in its pid
namespace, and its cgroups are below one of the host's in each hierarchy. So one kill and one walk remove it all
(``child_cgroups``).
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "real"))

from child_cgroups import child_cgroups, first_process

_WITH_SYSTEMD = Path(__file__).resolve().parents[2] / "script/with-systemd"
_NAMESPACES = ("--mount", "--net", "--ipc", "--uts", "--cgroup")


@contextlib.contextmanager
def sandbox(program: Path, settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run ``program`` with Python as the first process of new namespaces; its output is a pipe of lines.

    Args:
        settings: added to its environment.
    """
    with child_cgroups("corelaunch-clients") as groups:
        process = _start([*first_process(groups, _NAMESPACES), sys.executable, "-I", str(program)], settings)
        try:
            yield process
        finally:
            process.kill()
            _finish(process)


@contextlib.contextmanager
def systemd_sandbox(program: Path, settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The same beside a systemd (script/with-systemd): ``program`` runs in a service of it."""
    words = ["setpriv", "--pdeathsig", "KILL", str(_WITH_SYSTEMD), "hybrid"]
    words += ["unshare", "--mount", "--net", "--propagation", "private", sys.executable, "-I", str(program)]
    process = _start(words, {"BESIDE_SYSTEMD": "yes", **settings})
    try:
        yield process
    finally:
        process.terminate()  # its end is the end of all that it made
        _finish(process)


def _start(words: list[str], settings: dict[str, str]) -> subprocess.Popen[str]:
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        **settings,
    }
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment, text=True)


def _finish(process: subprocess.Popen[str]) -> None:
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
