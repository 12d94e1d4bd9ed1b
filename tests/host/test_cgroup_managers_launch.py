"""Launches with cgroup managers that core has never heard of: the example, and one that wants a process first."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch.api import CgroupRequest, cgroup_hierarchies
from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.errors import AlreadyExists, PluginError, Unsupported
from corelaunch.plugins.registry import Registry
from corelaunch.runtime import Runtime

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(all(h.version == 1 for h in cgroup_hierarchies()), reason="this host lacks cgroup v2"),
]

CHECKOUT = Path(__file__).resolve().parents[2]
MODULES = {"flat": "corelaunch_flat", "scope": "corelaunch.testing.scope_manager"}

Launch = Callable[..., Runtime]
Bundle = Callable[..., Path]


@pytest.fixture
def launch(runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """A runtime that uses the manager of this name, installed as pip would."""

    def make(name: str) -> Runtime:
        site = tmp_path / "site"
        metadata = site / f"corelaunch_{name}-0.1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "entry_points.txt").write_text(f"[corelaunch.cgroup_managers]\n{name} = {MODULES[name]}\n")
        example = CHECKOUT / "examples/corelaunch-flat/corelaunch_flat.py"
        (site / "corelaunch_flat.py").write_bytes(example.read_bytes())
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, "corelaunch_flat", raising=False)
        chosen = Runtime(runtime.root.path, cgroup_manager=name)
        chosen.registry = runtime.registry = Registry([str(site), *sys.path])
        return chosen

    return make


def without_limits(config: dict[str, Any]) -> None:
    config["linux"].pop("resources", None)
    config["linux"].pop("cgroupsPath", None)


def left() -> list[str]:
    roots = [hierarchy.mountpoint for hierarchy in cgroup_hierarchies()]
    return [
        path
        for root in roots
        for path in (f"{root}/flat-cl-cg-l1", f"{root}/cl-cg-scopes.slice")
        if os.path.exists(path)
    ]


@pytest.mark.parametrize(
    ("name", "path"), [("flat", "/flat-cl-cg-l1"), ("scope", "/cl-cg-scopes.slice/cl-cg-l1.scope")]
)
def test_a_container_runs_in_its_cgroup_and_leaves_nothing(
    launch: Launch, bundle: Bundle, output: Any, name: str, path: str
) -> None:
    io = ProcessIO(0, output.fd, output.fd)
    bundle_path = bundle("cat", "/proc/self/cgroup", change=without_limits)
    assert launch(name).run("cl-cg-l1", str(bundle_path), io=io) == 0
    assert f"0::{path}" in output.text().split("\n")
    assert left() == []


@pytest.mark.parametrize("name", MODULES)
def test_an_exec_joins_and_a_later_runtime_deletes(launch: Launch, bundle: Bundle, output: Any, name: str) -> None:
    runtime = launch(name)
    container = runtime.create("cl-cg-l1", str(bundle("sleep", "1000", change=without_limits)))
    container.start()
    io = ProcessIO(0, output.fd, output.fd)
    process = container.exec(
        {"args": ["/bin/cat", "/proc/self/cgroup"], "cwd": "/", "user": {"uid": 0, "gid": 0}}, io=io
    )
    assert process.wait(10) == 0
    assert "cl-cg-l1" in output.text()
    later = Runtime(runtime.root.path)  # chooses nothing: the journal says who made it
    later.registry = runtime.registry
    later.load("cl-cg-l1").delete(force=True)
    assert left() == []


def test_limits_that_a_manager_does_not_claim_fail_the_launch_and_undo_it(launch: Launch, bundle: Bundle) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"].pop("cgroupsPath", None)
        config["linux"]["resources"] = {"pids": {"limit": 5}}

    with pytest.raises(
        Unsupported, match="set_resources is not supported: FlatCgroupManager: it does not claim 'limits'"
    ):
        launch("flat").create("cl-cg-l1", str(bundle("true", change=change)))
    assert left() == []


@pytest.mark.parametrize("name", MODULES)
def test_a_foreign_cgroup_of_the_same_name_fails_the_launch_and_stays(
    launch: Launch, bundle: Bundle, name: str
) -> None:
    runtime = launch(name)
    placement = runtime.registry.load("cgroup_manager", name).place(CgroupRequest("cl-cg-l1"))
    (first, *_) = placement.paths.values()
    os.makedirs(first)
    try:
        with pytest.raises(AlreadyExists):
            runtime.create("cl-cg-l1", str(bundle("true", change=without_limits)))
        assert os.path.isdir(first)
        assert runtime.root.ids() == []
    finally:
        os.rmdir(first)
        if name == "scope":
            os.rmdir(os.path.dirname(first))
    assert left() == []


def test_a_container_whose_manager_was_uninstalled_names_its_version(launch: Launch, bundle: Bundle) -> None:
    runtime = launch("flat")
    runtime.create("cl-cg-l1", str(bundle("true", change=without_limits)))
    later = Runtime(runtime.root.path)
    later.registry = Registry([])
    with pytest.raises(PluginError, match=r"pip install corelaunch-flat==0\.1\.0"):
        later.load("cl-cg-l1").delete(force=False)
    runtime.load("cl-cg-l1").delete(force=True)
    assert left() == []
