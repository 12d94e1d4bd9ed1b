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
from corelaunch.plugins.guard import unguarded
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
        chosen.registry = runtime.registry = Registry([str(site), *sys.path], guard=chosen.guard)
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


@pytest.mark.parametrize(
    ("asked", "member"),
    [({"pids": {"limit": 5}}, "pids"), ({"devices": [{"allow": False, "access": "rwm"}]}, "devices")],
)
def test_what_a_manager_does_not_claim_is_refused_with_its_place_in_the_config_before_anything_is_made(
    launch: Launch, bundle: Bundle, asked: dict[str, Any], member: str
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"].pop("cgroupsPath", None)
        config["linux"]["resources"] = asked

    runtime, path = launch("flat"), str(bundle("true", change=change))
    for verb in (runtime.plan, runtime.create):
        with pytest.raises(Unsupported) as caught:
            verb("cl-cg-l1", path)
        assert str(caught.value) == (
            f"the config asks for what its cgroup manager does not give: linux.resources.{member}: cgroup manager "
            "'flat' does not claim 'limits' (leave it out of the config, or choose another cgroup manager)"
        )
        assert caught.value.step == "", "something was made"
    assert left() == []


def test_a_member_that_a_manager_of_some_limits_does_not_take_is_refused_before_anything_is_made(
    launch: Launch, bundle: Bundle
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"].pop("cgroupsPath", None)
        config["linux"]["resources"] = {"pids": {"limit": 5}, "cpu": {}, "memory": {"limit": 1 << 30}}

    runtime = launch("flat")
    cls = type(unguarded(runtime.registry.load("cgroup_manager", "flat")))
    cls.features, cls.limits_of, cls.set_resources = frozenset({"limits"}), frozenset({"pids"}), lambda *_: None
    with pytest.raises(Unsupported, match=r"resources.memory: cgroup manager 'flat' does not claim limits of m"):
        runtime.plan("cl-cg-l1", str(bundle("true", change=change)))


PLACES = """
import corelaunch.api as api
corelaunch_api = 1
class Lost(api.CgroupManager):
    create = add_process = processes = destroy = lambda *_: None
    features = frozenset({FEATURES})
    def place(self, request):
        return ANSWER
class Astray(api.NetworkStrategy):
    create = initialize = destroy = lambda *_: None
    def place(self, request):
        return ANSWER
@api.hookimpl
def corelaunch_cgroup_manager():
    return Lost()
@api.hookimpl
def corelaunch_network_strategy():
    return Astray()
"""


@pytest.fixture
def lost(runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Runtime]:
    """A runtime with a cgroup manager and a network strategy that answer this to ``place``."""

    def make(answer: str, features: str = "", manager: str = "lost") -> Runtime:
        site = tmp_path / "lost"
        (site / "corelaunch_lost-1.0.dist-info").mkdir(parents=True)
        entries = "[corelaunch.cgroup_managers]\nlost = cl_lost\n[corelaunch.network_strategies]\nlost = cl_lost\n"
        (site / "corelaunch_lost-1.0.dist-info/entry_points.txt").write_text(entries)
        (site / "cl_lost.py").write_text(PLACES.replace("ANSWER", answer).replace("FEATURES", features))
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, "cl_lost", raising=False)
        chosen = Runtime(runtime.root.path, cgroup_manager=manager)
        chosen.registry = runtime.registry = Registry([str(site), *sys.path], guard=chosen.guard)
        return chosen

    return make


@pytest.mark.parametrize(("answer", "returned"), [("None", "None"), ("{'': '/x'}", "a dict")])
@pytest.mark.parametrize("kind", ["cgroup_manager", "network_strategy"])
def test_a_place_that_answers_something_else_is_the_plugins_fault(
    lost: Callable[..., Runtime], bundle: Bundle, kind: str, answer: str, returned: str
) -> None:
    runtime = lost(answer, manager="lost" if kind == "cgroup_manager" else "")
    owner, placement = (f"{kind}:lost", "CgroupPlacement")
    if kind == "network_strategy":
        owner, placement = f"{owner}:0", "NetworkPlacement"
    with pytest.raises(PluginError) as caught:
        runtime.create("cl-cg-l1", str(bundle("true", change=without_limits)), networks=["lost"])
    assert str(caught.value) == (
        f"plugin {owner} is broken: place: it returned {returned}, not a {placement}"
        f" (return corelaunch.api.{placement}(…))"
    )
    assert runtime.root.ids() == []


def test_a_feature_that_is_claimed_and_not_there_is_refused_before_anything_is_made(
    lost: Callable[..., Runtime], bundle: Bundle
) -> None:
    runtime = lost("api.CgroupPlacement({})", "'freeze'")
    with pytest.raises(PluginError, match="plugin 'lost' is broken: Lost: it claims 'freeze' and has no freeze"):
        runtime.create("cl-cg-l1", str(bundle("true", change=without_limits)))
    assert runtime.root.ids() == []


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
