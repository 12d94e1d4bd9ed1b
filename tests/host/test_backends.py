"""Core launches with whatever backends are installed, and says what is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch.errors import AlreadyExists, ConfigError, PluginError
from corelaunch.kernel import procfs
from corelaunch.plugins.registry import Registry
from corelaunch.runtime import Runtime
from corelaunch.state.journal import read_records

pytestmark = pytest.mark.needs_root

Bundle = Callable[..., Path]


def without_cgroup_needs(config: dict[str, Any]) -> None:
    config["linux"].pop("resources", None)
    config["linux"].pop("cgroupsPath", None)


@pytest.fixture
def bare(runtime: Runtime) -> Runtime:
    """A runtime in an environment where no plugin is installed."""
    runtime.registry = Registry([])
    return runtime


def test_without_a_cgroup_manager_a_config_that_needs_none_runs(bare: Runtime, bundle: Bundle) -> None:
    assert bare.run("t1", str(bundle("sh", "-c", "exit 4", change=without_cgroup_needs))) == 4


@pytest.mark.parametrize("need", [{"cgroupsPath": "/cl-lead-x"}, {"resources": {"pids": {"limit": 5}}}])
def test_without_a_cgroup_manager_a_config_that_needs_one_names_the_package(
    bare: Runtime, bundle: Bundle, need: dict[str, Any]
) -> None:
    def change(config: dict[str, Any]) -> None:
        without_cgroup_needs(config)
        config["linux"].update(need)

    with pytest.raises(PluginError, match="pip install corelaunch-cgroupfs"):
        bare.create("t1", str(bundle("true", change=change)))
    assert bare.root.ids() == []


def test_an_unknown_network_type_lists_the_installed_ones(runtime: Runtime, bundle: Bundle) -> None:
    with pytest.raises(PluginError, match=r"no network strategy called 'nonesuch' is installed: installed: .*veth"):
        runtime.create("t1", str(bundle("true")), networks=["nonesuch"])


def test_a_network_without_a_network_namespace_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "network"]

    with pytest.raises(ConfigError, match="a network needs a network namespace"):
        runtime.create("t1", str(bundle("true", change=change)), networks=["veth:address=10.99.0.2/24"])


def test_a_foreign_cgroup_of_that_name_stops_create_and_stays(runtime: Runtime, bundle: Bundle) -> None:
    path = Path("/sys/fs/cgroup/pids/cl-lead-foreign")
    path.mkdir()
    inode = path.stat().st_ino
    try:
        with pytest.raises(AlreadyExists, match="cl-lead-foreign"):
            runtime.create("cl-lead-foreign", str(bundle("true")))
        assert path.stat().st_ino == inode
        others = [p for p in Path("/sys/fs/cgroup").glob("*/cl-lead-foreign") if p != path]
        assert not others
    finally:
        path.rmdir()


def test_limits_of_the_config_are_what_the_kernel_has(runtime: Runtime, bundle: Bundle) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["resources"] = {
            "memory": {"limit": 64 << 20},
            "pids": {"limit": 33},
            "cpu": {"shares": 512, "quota": 50000, "period": 100000},
        }

    container = runtime.create("cl-lead-limits", str(bundle("sleep", "60", change=change)))
    backend = container.cgroup()
    assert backend is not None
    paths = backend.placement.paths
    assert Path(paths["memory"], "memory.limit_in_bytes").read_text().strip() == str(64 << 20)
    assert Path(paths["pids"], "pids.max").read_text().strip() == "33"
    assert Path(paths["cpu"], "cpu.cfs_quota_us").read_text().strip() == "50000"
    container.delete(force=True)
    assert not [path for path in paths.values() if os.path.exists(path)]


def test_without_device_rules_a_container_may_not_use_every_device_of_the_host(
    runtime: Runtime, bundle: Bundle
) -> None:
    container = runtime.create("cl-lead-devices", str(bundle("sleep", "60", change=without_cgroup_needs)))
    backend = container.cgroup()
    assert backend is not None
    rules = Path(backend.placement.paths["devices"], "devices.list").read_text().splitlines()
    assert "a *:* rwm" not in rules
    assert "c 1:3 rwm" in rules


def test_a_container_killed_for_its_memory_says_so(runtime: Runtime, bundle: Bundle) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["resources"] = {"memory": {"limit": 8 << 20}}

    container = runtime.create("cl-lead-oom", str(bundle("sh", "-c", "tail /dev/zero", change=change)))
    container.start()
    container.wait(30)
    backend = container.cgroup()
    assert backend is not None
    assert backend.manager.oom_kill_count(backend.placement) > 0


def test_a_manager_that_needs_the_process_gets_it_blocked(runtime: Runtime, bundle: Bundle) -> None:
    from corelaunch.testing.scope_manager import ScopeManager

    seen: list[tuple[int, str]] = []

    class Watching(ScopeManager):
        def create(self, placement: Any, request: Any, process: Any, ctx: Any) -> None:
            assert process is not None
            seen.append((process.pid, procfs.command_name(process.pid)))
            super().create(placement, request, process, ctx)

    manager = Watching()
    registry = runtime.registry
    registry.load("cgroup_manager", "cgroupfs")
    registry._backends["cgroup_manager", "cgroupfs"] = manager
    container = runtime.create("cl-lead-scope", str(bundle("sleep", "60", change=without_cgroup_needs)))
    assert len(seen) == 1 and seen[0][1].startswith("cl:")
    records = read_records(container.directory)[0]
    order = [r["record"] for r in records]
    assert order.index("process") < order.index("intend")
    backend = container.cgroup()
    assert backend is not None
    assert container.pid in manager.processes(backend.placement)
    container.delete(force=True)
    assert manager.processes(backend.placement) == []


def test_lifecycle_plugins_see_every_moment_and_may_veto(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "corelaunch_watch-1.0.dist-info").mkdir(parents=True)
    (site / "corelaunch_watch-1.0.dist-info" / "entry_points.txt").write_text(
        "[corelaunch.lifecycle]\nwatch = cl_watch\n"
    )
    (site / "cl_watch.py").write_text(
        "from corelaunch.api import hookimpl\n"
        "corelaunch_api = 1\nseen = []\nveto = ''\n"
        "@hookimpl\ndef corelaunch_moment(moment):\n"
        "    seen.append((moment.name, moment.status))\n"
        "    if moment.name == veto: raise ValueError('not today')\n"
    )
    monkeypatch.syspath_prepend(str(site))
    runtime = Runtime(str(tmp_path / "state"), plugins=["watch"])
    path = str(bundle("true"))
    runtime.run("t1", path)
    watch = runtime.registry.plugin("lifecycle", "watch")
    assert watch.seen == [
        ("creating", "creating"),
        ("hooks point", "creating"),
        ("created", "created"),
        ("starting", "created"),
        ("started", "running"),
        ("stopped", "stopped"),
        ("deleted", "stopped"),
    ]
    for veto in ("creating", "created", "starting"):
        watch.veto = veto
        with pytest.raises(PluginError, match=r"lifecycle plugin 'watch' failed.*not today"):
            runtime.run("t2", path)
        assert runtime.root.ids() == []
    watch.veto = "stopped"
    assert runtime.run("t3", path) == 0
