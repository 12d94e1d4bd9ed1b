"""What the container's root is to the host's mounts, where those are shared, as systemd makes them: beside runc."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import RUNC, corelaunch_path

pytestmark = pytest.mark.needs_root

MARK = f"cl-prop-{os.getpid()}"


def root_mount(program: str, bundle: Path, place: Path) -> str:
    """Options and propagation of the container's root in its own mountinfo, without the numbers of peer groups."""
    shared = ["unshare", "--mount", "--propagation", "shared"]
    words = [*shared, program, "--root", str(place), "run", "--bundle", str(bundle), MARK]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.split()[4] == "/"]
    return re.sub(r":\d+", "", line[line.index(" / ") : line.index(" - ")])


@pytest.mark.parametrize("word", ["", "private", "rprivate", "slave", "rslave"])
def test_the_root_of_a_container_hears_of_the_hosts_mounts_as_under_runc(
    bundle: Callable[..., Any], tmp_path: Path, word: str
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["rootfsPropagation"] = word

    where = bundle("cat", "/proc/self/mountinfo", change=change)
    ours, theirs = (root_mount(one, where, tmp_path / "state") for one in (corelaunch_path(), RUNC))
    assert ours == theirs
    assert ours.endswith("master") == (word in ("", "slave", "rslave"))


@pytest.mark.parametrize("word", ["shared", "rshared"])
def test_a_root_that_is_to_be_shared_is(bundle: Callable[..., Any], tmp_path: Path, word: str) -> None:
    """Unlike under runc 1.1.5, which leaves it private."""
    where = bundle("cat", "/proc/self/mountinfo", change=lambda c: c["linux"].update(rootfsPropagation=word))
    assert root_mount(corelaunch_path(), where, tmp_path / "state").endswith(" shared")
