"""docs/hooks.md is made from the hooks as they are, and every example on it is a plugin that does what it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from corelaunch import api, hookspecs
from corelaunch.errors import ConfigError
from corelaunch.plugins.registry import Registry
from corelaunch.runtime import Runtime
from corelaunch.testing.bundles import config as default_config

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = CHECKOUT / "script/hook-catalogue"
EXAMPLES = sorted((CHECKOUT / "examples/hooks").glob("*.py"))
HOOKS = [name for name in vars(hookspecs) if name.startswith("corelaunch_")]
KIND = {hook: next((k for k, f in hookspecs.FACTORIES.items() if f == hook), "lifecycle") for hook in HOOKS}


def test_the_page_is_current() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_page_that_is_not_is_told(tmp_path: Path) -> None:
    copy = tmp_path / "script/hook-catalogue"
    copy.parent.mkdir()
    copy.write_text(SCRIPT.read_text())
    for part in ("corelaunch", "examples"):
        (tmp_path / part).symlink_to(CHECKOUT / part)
    (tmp_path / "docs").mkdir()
    page = (CHECKOUT / "docs/hooks.md").read_text()
    (tmp_path / "docs/hooks.md").write_text(page.replace("moment: Moment", "moment"))
    done = subprocess.run([sys.executable, copy, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "docs/hooks.md is out of date: script/hook-catalogue writes it anew\n",
    )


def test_every_hook_has_an_example_and_every_example_a_hook() -> None:
    assert [path.stem for path in EXAMPLES] == sorted(HOOKS)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with every example, installed as pip would."""
    site = tmp_path / "site"
    site.mkdir()
    for path in EXAMPLES:
        (site / f"cl_hook_{path.stem}.py").write_text(path.read_text())
        metadata = site / f"cl_hook_{path.stem}-1.dist-info"
        metadata.mkdir()
        entry = f"[{hookspecs.GROUPS[KIND[path.stem]]}]\n{path.stem} = cl_hook_{path.stem}\n"
        (metadata / "entry_points.txt").write_text(entry)
    return site


@pytest.fixture(params=[False, True], ids=["direct", "pluggy"])
def registry(request: pytest.FixtureRequest, site: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.syspath_prepend(str(site))
    return Registry([str(site), *sys.path], pluggy=request.param)


def call(registry: Registry, hook: str, **arguments: Any) -> Any:
    return registry.lifecycle(hook)[hook](**arguments)


def needs_no_memory_limit(registry: Registry) -> None:
    manager = registry.load("cgroup_manager", "corelaunch_cgroup_manager")
    with pytest.raises(ConfigError, match=r"memory must be limited: linux\.resources\.memory\.limit"):
        manager.place(api.CgroupRequest("demo"))
    assert "freeze" in manager.features


def shares_the_clos(registry: Registry) -> None:
    manager = registry.load("rdt_manager", "corelaunch_rdt_manager")
    assert manager.inner is not None
    assert sys.modules["cl_hook_corelaunch_rdt_manager"].named(api.RdtRequest("demo")).clos_id == "batch"


def fits_into_tunnels(registry: Registry) -> None:
    strategy = registry.load("network_strategy", "corelaunch_network_strategy")
    placement = strategy.place(api.NetworkRequest("demo", 0, "mine", {"address": "10.1.2.3/24"}))
    assert str(placement.options["mtu"]) == "1380"


def adjusts_config(registry: Registry) -> None:
    for uid, kinds in ((0, ["AddMount", "DropCapability"]), (1, ["AddMount"])):
        config = {"process": {"user": {"uid": uid}}}
        edits = call(registry, "corelaunch_adjust_config", config=config, container_id="demo", bundle="/b")
        assert [type(edit).__name__ for edit in edits] == kinds


def adjusts_plan(registry: Registry) -> None:
    given = {"plan": {}, "bundle": "/bundle"}
    for asked, edits in (({}, []), ({"org.example.cores": "true"}, [api.MakeDirectory("/var/crash", 0o1777)])):
        config = {**default_config("true"), "annotations": asked}
        assert call(registry, "corelaunch_adjust_plan", **given, config=config, container_id="demo") == edits


def vetoes(registry: Registry) -> None:
    def tell(name: str, bundle: str) -> None:
        moment = api.Moment(name, "demo", bundle, "", "creating")
        call(registry, "corelaunch_moment", moment=moment, log=print)

    tell("creating", "/var/lib/bundles/one")
    tell("deleted", "/tmp")
    with pytest.raises(ConfigError, match="bundles come from"):
        tell("creating", "/tmp")


def counts(registry: Registry) -> None:
    [command] = call(registry, "corelaunch_commands")
    assert isinstance(command, api.PluginCommand)
    assert command.run([], Runtime("/nonexistent/root")) == 0


def checks(registry: Registry) -> None:
    [check] = call(registry, "corelaunch_doctor")
    assert check.status in ("ok", "fail") and bool(check.hint) == (check.status == "fail")


def says_features(registry: Registry) -> None:
    found: Mapping[str, str] = call(registry, "corelaunch_features")
    assert found == {"org.example.policy": "2026-11"}


#: Hook -> what its example does.
DEEDS: dict[str, Callable[[Registry], None]] = {
    "corelaunch_cgroup_manager": needs_no_memory_limit,
    "corelaunch_rdt_manager": shares_the_clos,
    "corelaunch_network_strategy": fits_into_tunnels,
    "corelaunch_adjust_config": adjusts_config,
    "corelaunch_adjust_plan": adjusts_plan,
    "corelaunch_moment": vetoes,
    "corelaunch_commands": counts,
    "corelaunch_doctor": checks,
    "corelaunch_features": says_features,
}


@pytest.mark.parametrize("hook", HOOKS)
def test_an_example_does_what_it_says(registry: Registry, hook: str) -> None:
    DEEDS[hook](registry)


def test_a_docstring_without_its_fields_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # The script puts the checkout first, which must not outlive this test: in a fresh clone nothing is built there.
    monkeypatch.setattr(sys, "path", sys.path.copy())
    module = ModuleType("hook_catalogue")
    module.__file__ = str(SCRIPT)
    exec(compile(SCRIPT.read_text(), str(SCRIPT), "exec"), module.__dict__)
    module.hookspecs = ModuleType("hookspecs")  # type: ignore[attr-defined]

    def corelaunch_new() -> None:
        """A hook.

        When: now.
        """

    module.hookspecs.corelaunch_new = corelaunch_new
    with pytest.raises(SystemExit, match="corelaunch_new: its docstring has When, and must have When, Process"):
        module.split("corelaunch_new")
