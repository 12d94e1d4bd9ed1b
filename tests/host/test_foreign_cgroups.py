"""A launch that was killed before its cgroup was made, and somebody else's that is at its place since: it stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch.kernel import procfs
from corelaunch.runtime import Runtime

pytestmark = [pytest.mark.needs_root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

MARK = f"cl-foreign-{os.getpid()}"
PATH = f"/{MARK}/above/box"

#: Ends as by SIGKILL when a directory is about to be announced, or announced and about to be made.
KILLED = """
import os, sys
from corelaunch.runtime import Runtime
from corelaunch.state.book import JournalContext
state, bundle, place, when = sys.argv[1:]
directory, mkdir = JournalContext.directory, os.mkdir
def killed_before_announcing(self, kind, path, mode=0o755):
    if path.endswith(place):
        os._exit(9)
    return directory(self, kind, path, mode)
def killed_before_making(path, *rest, **more):
    if str(path).endswith(place):
        os._exit(9)
    return mkdir(path, *rest, **more)
if when == "announcing":
    JournalContext.directory = killed_before_announcing
else:
    os.mkdir = killed_before_making
Runtime(state).create("killed", bundle)
"""


@pytest.mark.parametrize("when", ["announcing", "making"])
def test_who_took_the_place_of_a_launch_that_was_killed_is_neither_killed_nor_removed_with_it(
    runtime: Runtime, bundle: Callable[..., Path], tmp_path: Path, when: str
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["cgroupsPath"] = PATH

    made = str(bundle("sleep", "1000", change=change))
    words = [sys.executable, "-c", KILLED, str(tmp_path / "state"), made, PATH, when]
    assert subprocess.run(words, timeout=60).returncode == 9
    effects = runtime.load("killed").ledger.effects("cgroup_manager:cgroupfs")
    assert [effect.done for effect in effects].count(True), "the directories above were made"
    other = runtime.create(f"{MARK}-other", made)
    other.start()
    backend = other.cgroup()
    assert backend is not None
    runtime.load("killed").delete(force=True)
    assert runtime.root.ids() == [f"{MARK}-other"]
    assert procfs.start_time(other.pid) and other.status == "running"
    assert all(os.path.isdir(path) for path in backend.placement.paths.values())
    other.delete(force=True)
    for path in sorted({os.path.dirname(path) for path in backend.placement.paths.values()}):
        for directory in (path, os.path.dirname(path)):
            if os.path.isdir(directory):
                os.rmdir(directory)
