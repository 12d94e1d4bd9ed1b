"""A threaded cgroup v2 has no cgroup.procs and no cgroup.kill: its processes are found and killed all the same."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from corelaunch_cgroupfs import controllers
from corelaunch_cgroupfs.manager import CgroupfsManager

from corelaunch.api import CgroupPlacement, KernelError, ProcessHandle, Unsupported, cgroup_hierarchies, start_time

UNIFIED = next((hierarchy.mountpoint for hierarchy in cgroup_hierarchies() if hierarchy.version == 2), "")

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not UNIFIED, reason="this host lacks a cgroup2 mount, or root")


@pytest.fixture
def threaded() -> Iterator[Path]:
    """A threaded cgroup in a domain of its own."""
    domain = Path(f"{UNIFIED}/cl-c2-threaded-{os.getpid()}")
    inside = domain / "inside"
    inside.mkdir(parents=True)
    (inside / "cgroup.type").write_text("threaded")
    yield inside
    deadline = time.monotonic() + 5
    while "populated 1" in (domain / "cgroup.events").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    for directory in (inside, domain):
        directory.rmdir()


def test_its_processes_are_listed_frozen_and_killed(threaded: Path) -> None:
    manager, placement = CgroupfsManager(), CgroupPlacement({"": str(threaded)})
    process = subprocess.Popen(["sleep", "1000"])
    try:
        (threaded.parent / "cgroup.procs").write_text(str(process.pid))
        (threaded / "cgroup.threads").write_text(str(process.pid))
        assert manager.processes(placement) == [process.pid]
        manager.kill(placement)
        assert process.wait(5) == -9
        assert manager.processes(placement) == []
        assert "frozen 0" in (threaded / "cgroup.events").read_text()
    finally:
        process.kill()
        process.wait()


def test_a_cgroup_below_it_takes_no_process_and_says_why(threaded: Path) -> None:
    below = threaded / "below"
    below.mkdir()
    process = subprocess.Popen(["sleep", "1000"])
    try:
        with pytest.raises(Unsupported, match="the one above it is threaded"):
            controllers.check_type(str(below))
        handle = ProcessHandle(process.pid, start_time(process.pid))
        with pytest.raises(KernelError, match=r"cgroup\.procs: operation not supported .*thread mode"):
            CgroupfsManager().add_process(CgroupPlacement({"": str(below)}), handle)
    finally:
        process.kill()
        process.wait()
        below.rmdir()
