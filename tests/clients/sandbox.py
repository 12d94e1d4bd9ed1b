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

_NAMESPACES = ("--mount", "--net", "--ipc", "--uts", "--cgroup")


@contextlib.contextmanager
def sandbox(program: Path, settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run ``program`` with Python as the first process of new namespaces; its output is a pipe of lines.

    Args:
        settings: added to its environment.
    """
    with child_cgroups("corelaunch-clients") as groups:
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            **settings,
        }
        process = subprocess.Popen(
            [*first_process(groups, _NAMESPACES), sys.executable, "-I", str(program)],
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
