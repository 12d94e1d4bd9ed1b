"""script/demo: the first thing that anybody runs shows what README promises, and leaves nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes a container"),
    pytest.mark.skipif(
        Path(sys.prefix) != CHECKOUT / ".venv", reason="script/demo is about the checkout's own environment"
    ),
]


@pytest.fixture(scope="module")
def output() -> str:
    """With an environment that has nothing in it but a search path."""
    done = subprocess.run(
        [CHECKOUT / "script" / "demo"],
        cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize(
    "line",
    [
        r"hostname    demo",
        r"pid         1 \(sh\), processes: .*",
        r"user        uid=0\(?.*gid=0.*",
        r"cgroup      .*demo-.*",
        r"pids limit  42 \(/sys/fs/cgroup/.*\)",
        r"memory      67108864 \(/sys/fs/cgroup/.*\)",
        r"interfaces  lo",
        r"root        read-only",
        r"proc on /proc type proc .*",
        r"container demo-\d+",
        r" *\d+\.\d\d  cgroup create +\d+\.\d\d ms.*",
        r"cgroup_manager +cgroupfs .* ok .*",
    ],
)
def test_it_shows(output: str, line: str) -> None:
    assert re.search(f"^{line}$", output, re.MULTILINE), f"no line {line!r} in:\n{output}"


def test_it_has_no_colours_and_no_control_characters(output: str) -> None:
    assert not re.search(r"[^\n\t\x20-\x7e\u00a0-\uffff]", output)


def test_it_leaves_no_container(output: str) -> None:
    listed = output.partition("$ corelaunch list\n")[2]
    assert listed.startswith("ID ")
    assert "demo-" not in listed
