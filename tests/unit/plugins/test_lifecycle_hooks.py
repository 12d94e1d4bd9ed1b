"""Lifecycle plugins are checked, called in order, and fail by name; directly and through pluggy alike."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch import hookspecs
from corelaunch.api import Moment
from corelaunch.errors import ConfigError, PluginError, TeardownError
from corelaunch.plugins.guard import Guard
from corelaunch.plugins.lifecycle_hooks import call_all, observe_all
from corelaunch.plugins.registry import Registry

Install = Callable[..., Path]

OBSERVER = """
from corelaunch.api import hookimpl
corelaunch_api = 1
seen = []
@hookimpl
def corelaunch_moment(moment):
    seen.append(moment.name)
    {failure}
"""
HEAD = "from corelaunch.api import *\nfrom corelaunch.api import hookimpl\ncorelaunch_api = 1\n"
MARK = HEAD + "@hookimpl\n"
MOMENT = Moment("creating", "demo", "/b", "spawn", "creating")
BOTH = [("first", ""), ("second", "")]


@pytest.fixture(params=[False, True], ids=["direct", "pluggy"])
def pluggy(request: pytest.FixtureRequest) -> bool:
    """Each test of both ways."""
    through: bool = request.param
    return through


def two(install: Install, pluggy: bool, failure: str) -> Registry:
    install("first", OBSERVER.format(failure=failure), kind="lifecycle")
    return Registry([str(install("second", OBSERVER.format(failure=""), kind="lifecycle"))], pluggy=pluggy)


def test_going_up_the_first_failure_is_a_veto(install: Install, pluggy: bool) -> None:
    registry = two(install, pluggy, "raise ValueError('no')")
    with pytest.raises(PluginError, match="lifecycle plugin 'first' failed: moment 'creating': ValueError: no"):
        observe_all(registry, BOTH, MOMENT, up=True)
    assert registry.plugin("lifecycle", "second").seen == []


def test_an_error_of_the_api_keeps_its_class_and_gets_the_plugins_name(install: Install, pluggy: bool) -> None:
    failure = "from corelaunch.api import ConfigError; raise ConfigError('not allowed', where='process.user')"
    registry = two(install, pluggy, failure)
    with pytest.raises(ConfigError) as caught:
        observe_all(registry, BOTH, MOMENT, up=True)
    assert str(caught.value) == "lifecycle plugin 'first': not allowed: process.user"


def test_coming_down_all_are_told_and_failures_collected(install: Install, pluggy: bool) -> None:
    registry = two(install, pluggy, "raise ValueError('no')")
    with pytest.raises(TeardownError, match="ValueError: no"):
        observe_all(registry, BOTH, MOMENT, up=False)
    assert registry.plugin("lifecycle", "second").seen == ["creating"]


def test_plugins_are_called_in_the_order_in_which_they_were_named(install: Install, pluggy: bool) -> None:
    record = "from builtins import __dict__ as shared\nshared.setdefault('cl_order', []).append({name!r})"
    for name in ("first", "second"):
        code = OBSERVER.format(failure=record.format(name=name).replace("\n", "\n    "))
        site = install(name, code.replace("@hookimpl", "@hookimpl(tryfirst=True)"), kind="lifecycle")
    registry = Registry([str(site)], pluggy=pluggy)
    import builtins

    order: list[str] = builtins.__dict__.setdefault("cl_order", [])
    for plugins in (BOTH, BOTH[::-1]):
        order.clear()
        observe_all(registry, plugins, MOMENT, up=True)
        assert order == [name for name, _ in plugins]


BROKEN = [
    ("import nonesuch", "ModuleNotFoundError: No module named 'nonesuch'"),
    ("corelaunch_api = 2", "was written for API 2, this is API 1"),
    (HEAD, "it implements no hook of lifecycle plugins"),
    (HEAD + "@hookimpl\ndef corelaunch_momnt(moment): pass", "corelaunch_momnt is no hook, corelaunch_moment is"),
    (MARK + "def corelaunch_moment(momento): pass", "corelaunch_moment has no argument 'momento', only moment"),
    (HEAD + "def corelaunch_moment(moment): pass", r"corelaunch_moment is not marked as a hook \(write @"),
    (HEAD + "@hookimpl\ndef corelaunch_cgroup_manager(): pass", "it implements no hook of lifecycle plugins"),
]


@pytest.mark.parametrize(("code", "why"), BROKEN, ids=[why for _, why in BROKEN])
def test_a_broken_plugin_is_named_with_the_reason(install: Install, pluggy: bool, code: str, why: str) -> None:
    registry = Registry([str(install("bad", code, kind="lifecycle"))], pluggy=pluggy)
    with pytest.raises(PluginError, match=why) as caught:
        observe_all(registry, [("bad", "")], MOMENT, up=True)
    assert "'bad'" in str(caught.value) or "corelaunch-bad 1.2" in str(caught.value)


def test_a_name_that_two_distributions_claim_is_refused_and_both_are_named(install: Install, pluggy: bool) -> None:
    install("same", OBSERVER.format(failure=""), kind="lifecycle", distribution="one")
    site = install("same", OBSERVER.format(failure=""), kind="lifecycle", distribution="two")
    with pytest.raises(PluginError, match=r"two plugins are called 'same': lifecycle plugin: one 1\.2 and two 1\.2"):
        observe_all(Registry([str(site)], pluggy=pluggy), [("same", "")], MOMENT, up=True)


def test_one_that_is_gone_is_asked_for_in_the_version_of_the_container(tmp_path: Path, pluggy: bool) -> None:
    with pytest.raises(PluginError, match=r"pip install corelaunch-audit==3\.1"):
        observe_all(Registry([str(tmp_path)], pluggy=pluggy), [("audit", "corelaunch-audit 3.1")], MOMENT, up=True)


IMPLEMENTATIONS = {
    "all arguments": "@hookimpl\ndef corelaunch_adjust_config(config, container_id, bundle):\n"
    "    return [SetEnv(container_id, bundle + config['ociVersion'])]",
    "some, in another order": "@hookimpl\ndef corelaunch_adjust_config(bundle, config):\n"
    "    return [SetEnv('A', bundle + config['ociVersion'])]",
    "none": "@hookimpl\ndef corelaunch_adjust_config():\n    return [SetEnv('A', 'b')]",
    "a default": "@hookimpl\ndef corelaunch_adjust_config(config, bundle='own'):\n    return [SetEnv('A', bundle)]",
    "another name": "@hookimpl(specname='corelaunch_adjust_config')\ndef my(bundle):\n    return [SetEnv('A', bundle)]",
    "an optional hook of a later release": "@hookimpl(optionalhook=True)\ndef corelaunch_later(x): pass\n"
    "@hookimpl\ndef corelaunch_adjust_config():\n    return []",
    "None": "@hookimpl\ndef corelaunch_adjust_config():\n    return None",
    "two in one plugin": "@hookimpl\ndef corelaunch_adjust_config():\n    return [SetEnv('A', '1')]\n"
    "@hookimpl(specname='corelaunch_adjust_config', tryfirst=True)\ndef mine():\n    return [SetEnv('B', '2')]",
    "a wrapper": "@hookimpl\ndef corelaunch_adjust_config():\n    return [SetEnv('A', '1')]\n"
    "@hookimpl(specname='corelaunch_adjust_config', wrapper=True)\ndef around():\n"
    "    found = yield\n    return [found[0] + [SetEnv('B', '2')]]",
    "an exception": "@hookimpl\ndef corelaunch_adjust_config():\n    raise LookupError('x')",
}


@pytest.mark.parametrize("code", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS.keys())
def test_both_ways_of_calling_give_the_same(install: Install, code: str) -> None:
    site = str(install("one", HEAD + code, kind="lifecycle"))

    def answer(pluggy: bool) -> Any:
        arguments = {"config": {"ociVersion": "1.0.2"}, "container_id": "demo", "bundle": "/b"}
        try:
            hook = "corelaunch_adjust_config"
            return call_all(Registry([site], pluggy=pluggy), [("one", "")], hook, hook, up=True, **arguments)
        except PluginError as error:
            return str(error)

    assert answer(True) == answer(False)


def test_an_object_is_a_plugin_as_well_as_a_module(install: Install, pluggy: bool) -> None:
    code = HEAD + "class Plugin:\n    corelaunch_api = 1\n    seen = []\n    @hookimpl\n"
    code += "    def corelaunch_moment(self, moment): self.seen.append(moment.name)\nplugin = Plugin()"
    site = install("one", code, kind="lifecycle")
    points = next(site.glob("*.dist-info")) / "entry_points.txt"
    points.write_text(points.read_text().rstrip() + ":plugin\n")
    registry = Registry([str(site)], pluggy=pluggy)
    observe_all(registry, [("one", "")], MOMENT, up=True)
    assert registry.plugin("lifecycle", "one").seen == ["creating"]


def test_a_plain_plugin_needs_no_pluggy(install: Install) -> None:
    site = install("one", OBSERVER.format(failure=""), kind="lifecycle")
    program = (
        "import sys\nfrom corelaunch.plugins.registry import Registry\n"
        f"Registry([{str(site)!r}]).lifecycle('one')\nprint('pluggy' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join([str(site), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "False\n"


def test_an_overrun_is_reported_when_the_call_returns(install: Install, pluggy: bool) -> None:
    lines: list[tuple[str, str]] = []
    guard = Guard(lambda level, text: lines.append((level, text)), seconds=0.01)
    code = OBSERVER.format(failure="import time; time.sleep(0.05)")
    registry = Registry([str(install("slow", code, kind="lifecycle"))], guard=guard, pluggy=pluggy)
    registry.lifecycle("slow")
    lines.clear()
    observe_all(registry, [("slow", "")], MOMENT, up=True)
    assert lines == [("warning", "lifecycle plugin 'slow': moment 'creating': took longer than 0.01 s")]


def test_what_a_plugin_logs_at_a_moment_comes_in_its_name(install: Install, pluggy: bool) -> None:
    lines: list[tuple[str, str]] = []
    guard = Guard(lambda level, text: lines.append((level, text)))
    code = HEAD + "@hookimpl\ndef corelaunch_moment(log, moment): log('warning', moment.name)"
    install("first", code, kind="lifecycle")
    registry = Registry([str(install("second", code, kind="lifecycle"))], guard=guard, pluggy=pluggy)
    observe_all(registry, BOTH, MOMENT, up=True)
    assert lines == [("warning", f"lifecycle plugin {name!r}: creating") for name in ("first", "second")]


def test_the_catalogue_is_whole() -> None:
    hooks = {name for name in vars(hookspecs) if name.startswith("corelaunch_")}
    assert hooks == {*hookspecs.FACTORIES.values(), *hookspecs.LIFECYCLE}
    assert set(hookspecs.VETOES) < set(hookspecs.MOMENTS)
