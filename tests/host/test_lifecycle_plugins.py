"""Lifecycle plugins in real lives: what they edit is there, what they veto is not, and they are told of all of it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.configuration import config_of
from corelaunch.errors import ConfigError, CorelaunchError, PluginError
from corelaunch.hookspecs import VETOES
from corelaunch.lifecycle import CREATE_STEPS, EXEC_STEPS
from corelaunch.plugins.registry import Registry
from corelaunch.runtime import Runtime
from corelaunch.state.journal import read_records

Bundle = Callable[..., Path]
pytestmark = pytest.mark.needs_root

_SERIAL = itertools.count()

WATCH = """
from corelaunch.api import *
from corelaunch.api import hookimpl
corelaunch_api = 1
seen, veto, edits, plan_edits = [], "", [], []

@hookimpl
def corelaunch_adjust_config():
    return edits

@hookimpl
def corelaunch_adjust_plan(plan, config):
    assert plan["operations"] and config["process"]
    return plan_edits

@hookimpl
def corelaunch_moment(moment):
    seen.append(moment)
    if moment.name == veto:
        raise ValueError("not today")
"""


class Site:
    """A directory with plugins as pip would leave them there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, name: str, code: str = WATCH, version: str = "1.0") -> None:
        self.remove(name)
        module = f"cl_life_{name}_{next(_SERIAL)}"  # no module of an earlier test of this process
        (self.directory / f"{module}.py").write_text(code)
        metadata = self.directory / f"corelaunch_{name}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "entry_points.txt").write_text(f"[corelaunch.lifecycle]\n{name} = {module}\n")

    def remove(self, name: str) -> None:
        for metadata in self.directory.glob(f"corelaunch_{name}-*.dist-info"):
            shutil.rmtree(metadata)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return Site(tmp_path / "site")


@pytest.fixture
def watched(site: Site, tmp_path: Path) -> Iterator[tuple[Runtime, Any]]:
    """A runtime with the lifecycle plugin ``watch``, and the plugin's module."""
    site.add("watch")
    runtime = Runtime(str(tmp_path / "state"), plugins=["watch"])
    yield runtime, runtime.registry.plugin("lifecycle", "watch")
    for container_id in runtime.root.ids():
        Runtime(str(tmp_path / "state")).load(container_id).delete(force=True)


def names(plugin: Any) -> list[str]:
    return [moment.name for moment in plugin.seen]


def test_a_plugin_is_told_of_every_moment_with_status_and_step(watched: tuple[Runtime, Any], bundle: Bundle) -> None:
    runtime, watch = watched
    container = runtime.create("cl-life-1", str(bundle("sleep", "60")))
    container.start()
    executed = container.exec({"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}})
    executed.wait(10)
    container.pause()
    container.resume()
    container.update({"pids": {"limit": 50}})
    pid = container.pid
    container.delete(force=True)
    seen = [(moment.name, moment.status, moment.step, moment.pid) for moment in watch.seen]
    assert seen == [
        ("creating", "creating", "", 0),
        ("hooks point", "creating", "hooks point", pid),
        ("created", "created", "end of sync", pid),
        ("starting", "created", "end of sync", pid),
        ("started", "running", "end of sync", pid),
        ("executing", "running", "end of sync", pid),
        ("executed", "running", "end of sync", executed.pid),
        ("paused", "paused", "end of sync", pid),
        ("resumed", "running", "end of sync", pid),
        ("updated", "running", "end of sync", pid),
        ("stopped", "stopped", "end of sync", 0),
        ("deleted", "stopped", "end of sync", 0),
    ]
    assert [moment.process["args"] for moment in watch.seen if moment.process] == [["/bin/true"]] * 2


def test_a_plugin_is_told_the_steps_of_its_own_launch_alone(watched: tuple[Runtime, Any], bundle: Bundle) -> None:
    runtime, watch = watched
    paths = [str(bundle("sleep", "60")) for _ in range(3)]
    threads = [threading.Thread(target=runtime.create, args=(f"cl-life-s{i}", path)) for i, path in enumerate(paths)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    container = runtime.load("cl-life-s0")
    container.start()
    container.exec({"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}).wait(10)
    with pytest.raises(CorelaunchError):
        runtime.create("cl-life-s3", str(bundle("/nonexistent")))
    told = {moment.name: moment for moment in watch.seen if moment.steps}
    assert set(told) == {"created", "executed", "failed"}
    for moment in watch.seen:
        steps = [step.name for step in moment.steps if not step.plugin]
        if moment.name == "created":
            assert [name for name in steps if name in CREATE_STEPS] == list(CREATE_STEPS)
            made = [step for step in moment.steps if step.plugin == "cgroup_manager:cgroupfs" and step.name == "create"]
            around = next(step for step in moment.steps if step.name == "cgroup create")
            assert 0 <= made[0].start_ns - around.start_ns <= around.duration_ns
    assert [step.name for step in told["executed"].steps if step.name in EXEC_STEPS] == list(EXEC_STEPS)
    assert told["failed"].step in [step.name for step in told["failed"].steps]
    assert {name for name, _, _, _ in runtime.trace.steps} > {*CREATE_STEPS, *EXEC_STEPS}


def test_a_plugin_is_told_how_the_init_ended_where_that_is_known(watched: tuple[Runtime, Any], bundle: Bundle) -> None:
    runtime, watch = watched
    assert runtime.run("cl-life-exit", str(bundle("sh", "-c", "exit 7"))) == 7
    container = runtime.create("cl-life-exit", str(bundle("sleep", "60")))
    container.start()
    container.signal(9)
    container.wait(10)
    container.delete()
    container = runtime.create("cl-life-exit", str(bundle("sh", "-c", "exit 7")))
    container.start()
    container.wait(10)
    Runtime(str(runtime.root.path)).load("cl-life-exit").delete()
    runtime.create("cl-life-exit", str(bundle("sleep", "60"))).delete(force=True)
    ends = [moment.exit_status for moment in watch.seen if moment.name == "stopped"]
    assert ends == [7, 137, -1, -1]
    assert {moment.exit_status for moment in watch.seen if moment.name != "stopped"} == {-1}


@pytest.mark.parametrize("veto", VETOES)
def test_a_veto_stops_what_was_begun_and_undoes_it(watched: tuple[Runtime, Any], bundle: Bundle, veto: str) -> None:
    runtime, watch = watched
    watch.veto = veto
    line = f"lifecycle plugin 'watch' failed: moment '{veto}': ValueError: not today"
    if veto == "executing":
        container = runtime.create("cl-life-2", str(bundle("sleep", "60")))
        container.start()
        with pytest.raises(PluginError, match=line):
            container.exec({"args": ["true"], "cwd": "/"})
        assert container.status == "running"
        return
    with pytest.raises(PluginError, match=line):
        runtime.run("cl-life-2", str(bundle("true")))
    assert runtime.root.ids() == []
    assert names(watch)[-1] == ("deleted" if veto == "starting" else "failed")


def test_a_create_that_fails_is_told_with_its_step_and_error(watched: tuple[Runtime, Any], bundle: Bundle) -> None:
    runtime, watch = watched
    with pytest.raises(CorelaunchError):
        runtime.create("cl-life-3", str(bundle("/nonexistent")))
    last = watch.seen[-1]
    assert (last.name, last.status) == ("failed", "stopped")
    assert "nonexistent" in last.error
    assert last.step == "ready point" or last.step == "end of sync"


def test_what_a_plugin_edits_is_there_and_is_journaled_with_its_owner(
    watched: tuple[Runtime, Any], bundle: Bundle, output: Any
) -> None:
    runtime, watch = watched
    api = __import__("corelaunch.api", fromlist=["SetEnv"])
    watch.edits = [api.SetEnv("CL_EDIT", "yes"), api.AddMount("/cl-edit", "/etc", options=["ro"])]
    watch.plan_edits = [api.MakeDirectory("/tmp/cl-dir"), api.MakeSymlink("/tmp/cl-link", "cl-dir")]
    path = bundle("sh", "-c", "echo $CL_EDIT; test -f /cl-edit/passwd && echo mounted; readlink /tmp/cl-link")
    before = (path / "config.json").read_text()
    container = runtime.create("cl-life-4", str(path), io=ProcessIO(stdout=output.fd, stderr=output.fd))
    records = [one for one in read_records(container.directory)[0] if one["record"] == "edits"]
    assert [(one["owner"], one["distribution"], one["edit"]) for one in records[0]["edits"]] == [
        ("watch", "corelaunch-watch 1.0", kind) for kind in ("SetEnv", "AddMount", "MakeDirectory", "MakeSymlink")
    ]
    container.start()
    assert config_of(container)["process"]["env"][-1] == "CL_EDIT=yes"
    assert (path / "config.json").read_text() == before
    container.wait(10)
    container.delete(force=True)
    assert output.text().split() == ["yes", "mounted", "cl-dir"]


def test_an_edit_that_core_refuses_makes_nothing(watched: tuple[Runtime, Any], bundle: Bundle) -> None:
    runtime, watch = watched
    api = __import__("corelaunch.api", fromlist=["SetEnv"])
    watch.edits = [api.SetRlimit("RLIMIT_NONE", 1, 2)]
    with pytest.raises(ConfigError, match=r"lifecycle plugin 'watch': config.json: process.rlimits"):
        runtime.create("cl-life-5", str(bundle("true")))
    assert runtime.root.ids() == []
    assert watch.seen == []


def test_later_verbs_call_exactly_the_plugins_of_create(
    watched: tuple[Runtime, Any], site: Site, bundle: Bundle
) -> None:
    runtime, watch = watched
    runtime.create("cl-life-6", str(bundle("true"))).close()
    site.add("other")
    later = Runtime(str(runtime.root.path), plugins=["other"])
    later.registry = Registry()
    later.load("cl-life-6").start()
    later.load("cl-life-6").delete(force=True)
    assert names(watch)[-4:] == ["starting", "started", "stopped", "deleted"]
    assert later.registry.plugin("lifecycle", "other").seen == []


@pytest.mark.parametrize("how", ["gone", "broken"])
def test_a_plugin_that_is_missing_stops_delete_and_force_keeps_its_record_for_gc(
    watched: tuple[Runtime, Any], site: Site, bundle: Bundle, how: str
) -> None:
    runtime, _ = watched
    container = runtime.create("cl-life-7", str(bundle("true")))
    container.start()
    container.wait(10)
    container.close()
    site.remove("watch")
    if how == "broken":
        site.add("watch", "raise SystemExit('broken')")
    lines: list[str] = []
    later = Runtime(str(runtime.root.path), log=lambda level, text: lines.append(text))
    loaded = later.load("cl-life-7")
    assert loaded.status == "stopped"  # state needs no plugin
    why = r"pip install corelaunch-watch==1\.0" if how == "gone" else "SystemExit: broken"
    with pytest.raises(PluginError, match=why):
        loaded.delete()
    assert later.root.ids() == ["cl-life-7"]
    later.load("cl-life-7").delete(force=True)
    assert any("stays for gc" in line for line in lines)
    assert later.root.ids() == ["cl-life-7"]
    assert later.gc() == [("cl-life-7", "kept for a lifecycle plugin that is gone")]
    site.add("watch")
    again = Runtime(str(runtime.root.path))
    assert again.gc() == [("cl-life-7", "removed")]
    assert names(again.registry.plugin("lifecycle", "watch")) == ["deleted"]
    assert again.root.ids() == []


def test_an_upgraded_plugin_is_called_and_said_to_be_another_version(
    watched: tuple[Runtime, Any], site: Site, bundle: Bundle
) -> None:
    runtime, _ = watched
    runtime.create("cl-life-13", str(bundle("true"))).close()
    site.remove("watch")
    site.add("watch", version="2.0")
    lines: list[str] = []
    later = Runtime(str(runtime.root.path), log=lambda level, text: lines.append(text))
    later.load("cl-life-13").delete(force=True)
    line = "lifecycle plugin 'watch' is corelaunch-watch 2.0, the container was made with corelaunch-watch 1.0"
    assert lines == [line]
    assert names(later.registry.plugin("lifecycle", "watch")) == ["stopped", "deleted"]


def test_a_broken_plugin_stops_only_the_containers_that_have_it(
    watched: tuple[Runtime, Any], site: Site, bundle: Bundle
) -> None:
    runtime, _ = watched
    site.add("bad", "raise RuntimeError('half installed')")
    other = Runtime(str(runtime.root.path), plugins=["bad"])
    with pytest.raises(PluginError, match=r"'bad' is broken.*half installed"):
        other.create("cl-life-8", str(bundle("true")))
    plain = Runtime(str(runtime.root.path))
    container = plain.create("cl-life-9", str(bundle("sleep", "60")))
    loaded = other.load("cl-life-9")
    assert loaded.state()["status"] == "created"
    loaded.start()
    loaded.signal(9)
    container.wait(10)
    loaded.delete()
    assert plain.root.ids() == []


def test_coming_down_every_plugin_is_called(watched: tuple[Runtime, Any], site: Site, bundle: Bundle) -> None:
    runtime, _ = watched
    site.add("second")
    lines: list[str] = []
    both = Runtime(str(runtime.root.path), plugins=["watch", "second"], log=lambda level, text: lines.append(text))
    first, second = (both.registry.plugin("lifecycle", name) for name in ("watch", "second"))
    first.veto = "stopped"
    assert both.run("cl-life-10", str(bundle("true"))) == 0
    assert names(second)[-2:] == names(first)[-2:] == ["stopped", "deleted"]
    assert [line for line in lines if "not today" in line]


def test_the_plan_shows_each_edit_with_its_owner(watched: tuple[Runtime, Any], bundle: Bundle) -> None:
    from corelaunch.cli.plan import as_json, as_text

    runtime, watch = watched
    api = __import__("corelaunch.api", fromlist=["SetEnv"])
    watch.edits = [api.SetEnv("CL_EDIT", "yes")]
    prepared = runtime.plan("cl-life-11", str(bundle("true")))
    assert "  lifecycle:watch  SetEnv name=CL_EDIT value=yes" in list(as_text(prepared))
    value = json.loads(json.dumps(as_json(prepared)))
    assert value["lifecycle"] == [{"name": "watch", "distribution": "corelaunch-watch 1.0"}]
    edit = {"owner": "watch", "distribution": "corelaunch-watch 1.0"}
    assert value["edits"] == [{**edit, "edit": "SetEnv", "name": "CL_EDIT", "value": "yes"}]
    assert watch.seen == []


def test_an_interface_that_a_plugin_asks_for_is_placed(watched: tuple[Runtime, Any], bundle: Bundle) -> None:
    runtime, watch = watched
    api = __import__("corelaunch.api", fromlist=["SetEnv"])
    watch.edits = [api.AddNetwork("veth", {"address": "10.99.0.2/24"})]
    prepared = runtime.plan("cl-life-12", str(bundle("true")))
    assert [placed.owner for placed in prepared.backends.networks] == ["network_strategy:veth:0"]


def test_what_is_edited_of_the_process_holds_for_every_process_of_the_container(
    watched: tuple[Runtime, Any], bundle: Bundle, tmp_path: Path
) -> None:
    runtime, watch = watched
    api = __import__("corelaunch.api", fromlist=["SetEnv"])
    watch.edits = [
        api.SetEnv("CL_EDIT", "yes"),
        api.UnsetEnv("LD_PRELOAD"),
        api.DropCapability("CAP_KILL"),
        api.SetRlimit("RLIMIT_NOFILE", 99, 99),
        api.AddGroup(4242),
        api.SetAnnotation("of", "the container"),
    ]
    container = runtime.create("cl-life-13", str(bundle("sleep", "60")))
    container.start()
    capabilities = {kind: ["CAP_KILL", "CAP_CHOWN"] for kind in ("bounding", "effective", "permitted")}
    asked = {
        "args": ["/bin/sh", "-c", "env; id -G; ulimit -n; cat /proc/self/status"],
        "cwd": "/",
        "env": ["PATH=/bin", "LD_PRELOAD=x", "CL_EDIT=no"],
        "user": {"uid": 0, "gid": 0},
        "capabilities": capabilities,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1000, "hard": 1000}],
    }
    before = json.dumps(asked)
    read, write = os.pipe()
    process = container.exec(asked, io=ProcessIO(stdout=write))
    os.close(write)
    with open(read) as file:
        lines = file.read().splitlines()
    assert process.wait(10) == 0
    assert "CL_EDIT=yes" in lines
    assert not [line for line in lines if "LD_PRELOAD" in line or line == "CL_EDIT=no"]
    assert "0 4242" in lines
    assert "99" in lines
    assert "CapEff:\t0000000000000001" in lines
    assert json.dumps(asked) == before, "the caller's object stays"
    assert watch.seen[-1].process["env"] == ["PATH=/bin", "CL_EDIT=yes"], "plugins are told what runs"


def test_what_a_plugin_does_to_a_moments_annotations_stays_its_own(
    site: Site, bundle: Bundle, tmp_path: Path
) -> None:
    moment = "@hookimpl\ndef corelaunch_moment(moment):\n    moment.annotations['mine'] = 'yes'\n"
    site.add("scribbler", f"from corelaunch.api import hookimpl\ncorelaunch_api = 1\n{moment}")
    runtime = Runtime(str(tmp_path / "state"), plugins=["scribbler"])
    path = bundle("sleep", "60", change=lambda config: config.update(annotations={"theirs": "1"}))
    container = runtime.create("cl-life-15", str(path))
    try:
        assert container.state()["annotations"] == {"theirs": "1"}
        assert b"mine" not in b"".join(file.read_bytes() for file in Path(container.directory).glob("*.json"))
    finally:
        container.delete(force=True)
