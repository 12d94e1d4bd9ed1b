"""Why a cgroup v2 has not got a controller, on plain files; the kernel's side is tested in the guest with pure v2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from corelaunch_cgroupfs import controllers

from corelaunch.api import Unsupported


def cgroup(path: Path, *, has: str, gives: str = "", kind: str = "domain", processes: str = "") -> Path:
    path.mkdir(parents=True)
    (path / "cgroup.controllers").write_text(f"{has}\n")
    (path / "cgroup.subtree_control").write_text(f"{gives}\n")
    (path / "cgroup.procs").write_text(processes)
    if kind:
        (path / "cgroup.type").write_text(f"{kind}\n")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return cgroup(tmp_path / "root", has="memory pids", gives="memory", kind="", processes="1\n")


def test_a_controller_that_the_host_has_not_is_told_with_those_that_it_has(root: Path) -> None:
    own = cgroup(root / "own", has="memory")
    assert controllers.why_missing(str(own), "misc.max") == f"{root} has no controller misc (it has memory pids)"


def test_a_file_that_a_controller_has_not_is_told_apart(root: Path) -> None:
    own = cgroup(root / "own", has="memory")
    assert controllers.why_missing(str(own), "memory.peek") == f"not in {own}: this kernel has none"


def test_the_cgroup_that_does_not_give_it_on_is_named_with_the_rule(root: Path) -> None:
    crowded = cgroup(root / "crowded", has="memory", processes="17\n")
    own = cgroup(crowded / "own", has="")
    why = controllers.why_missing(str(own), "memory.max")
    assert f"memory is not enabled in {crowded}/cgroup.subtree_control: it holds processes" in why


def test_a_threaded_cgroup_gives_no_controller_of_whole_processes(root: Path) -> None:
    threaded = cgroup(root / "threaded", has="memory", kind="domain threaded")
    own = cgroup(threaded / "own", has="")
    assert "this cgroup is domain threaded, and threads share what memory counts" in controllers.why_missing(
        str(own), "memory.max"
    )


def test_who_may_not_enable_it_is_told_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = cgroup(root / "own", has="memory")
    monkeypatch.setattr(os, "access", lambda path, how: how == os.F_OK and os.path.exists(path))
    assert "may not write there" in controllers.why_missing(str(own), "pids.max")


def test_nothing_is_enabled_where_processes_are(root: Path) -> None:
    """The kernel would take pids, make a threaded domain of it, and let nobody into the cgroup below."""
    crowded = cgroup(root / "crowded", has="pids", processes="17\n")
    own = cgroup(crowded / "own", has="")
    controllers.enable(str(own), None)
    assert (crowded / "cgroup.subtree_control").read_text() == "\n"
    assert (root / "cgroup.subtree_control").read_text().startswith("+pids")


def test_a_cgroup_that_takes_no_process_is_refused(root: Path) -> None:
    own = cgroup(root / "own", has="", kind="domain invalid")
    with pytest.raises(Unsupported, match=r"the one above it is threaded.*\(cgroups\(7\), thread mode\)"):
        controllers.check_type(str(own))
