"""Plugins are found without importing them, chosen by name, and a bad one spoils nothing but itself."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pluggy
import pytest

from corelaunch import api, hookspecs
from corelaunch.errors import KernelError, PluginError, Unsupported
from corelaunch.plugins.discovery import find, plugin_directories
from corelaunch.plugins.guard import Guard
from corelaunch.plugins.manager import load_through_pluggy
from corelaunch.plugins.registry import Registry

MANAGER = """
from corelaunch.api import CgroupManager, hookimpl
corelaunch_api = 1
class Manager(CgroupManager):
    place = create = add_process = processes = destroy = lambda *_: None
MANAGER = Manager()
@hookimpl
def corelaunch_cgroup_manager():
    return MANAGER
"""

Install = Callable[..., Path]


def test_the_scan_finds_what_importlib_metadata_finds() -> None:
    ours = {(e.kind, e.name, e.value) for e in find(sys.path)}
    theirs = {
        (kind, point.name, point.value)
        for kind, group in hookspecs.GROUPS.items()
        for point in importlib.metadata.entry_points(group=group)
    }
    assert ours == theirs


def test_a_distribution_that_pip_is_replacing_is_not_a_second_one(install: Install) -> None:
    site = install("mine")
    install("mine", distribution="~orelaunch-mine")
    assert isinstance(Registry([str(site)]).load("cgroup_manager", "mine"), api.CgroupManager)


def test_only_what_is_chosen_is_imported(install: Install) -> None:
    site = install("mine")
    install("bomb", "raise SystemExit('imported')")
    registry = Registry([str(site)])
    assert registry.names("cgroup_manager") == ["bomb", "mine"]
    assert isinstance(registry.load("cgroup_manager", "mine"), api.CgroupManager)
    assert registry.load("cgroup_manager", "mine") is registry.load("cgroup_manager", "mine")


def test_both_dispatch_paths_give_the_same_backend(install: Install) -> None:
    registry = Registry([str(install("mine"))])
    assert load_through_pluggy(registry, "cgroup_manager", "mine") is registry.load("cgroup_manager", "mine")


def test_a_plugin_whose_distribution_the_journal_names_is_found_without_a_look_at_the_others(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install("mine")
    (entry,) = Registry([str(site)]).entries("cgroup_manager")
    monkeypatch.setattr("corelaunch.plugins.registry.find", lambda directories: pytest.fail("it looked"))
    registry = Registry(["/nowhere", str(site)])
    assert isinstance(registry.load("cgroup_manager", "mine", made_by=entry.label), api.CgroupManager)


@pytest.mark.parametrize("label", ["mine 99", "mine", "other 1", "../mine 1", ""])
def test_a_distribution_that_is_not_there_any_more_leaves_it_to_the_name(install: Install, label: str) -> None:
    registry = Registry([str(install("mine"))])
    assert isinstance(registry.load("cgroup_manager", "mine", made_by=label), api.CgroupManager)


def test_no_directory_of_a_plugin_is_left_out() -> None:
    places = plugin_directories()
    assert {(e.kind, e.name) for e in find(places)} == {(e.kind, e.name) for e in find(sys.path)}
    assert os.path.dirname(os.__file__) not in places


def test_our_hookimpl_marks_as_pluggys_does() -> None:
    def ours() -> None: ...
    def theirs() -> None: ...

    for options in (
        {},
        {"tryfirst": True},
        {"specname": "x"},
        {"wrapper": True},
        {"optionalhook": True, "trylast": True},
    ):
        api.hookimpl(**options)(ours)
        pluggy.HookimplMarker("corelaunch")(**options)(theirs)
        assert vars(ours) == vars(theirs)
    assert vars(api.hookimpl(ours)) == vars(pluggy.HookimplMarker("corelaunch")(theirs))


def test_an_unknown_name_lists_the_installed_ones_and_the_usual_package(install: Install) -> None:
    registry = Registry([str(install("mine"))])
    with pytest.raises(PluginError) as caught:
        registry.load("cgroup_manager", "systemd")
    assert str(caught.value) == (
        "no cgroup manager called 'systemd' is installed: installed: mine (pip install corelaunch-systemd)"
    )


def test_a_plugin_that_is_gone_is_asked_for_in_the_version_that_made_the_container(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"pip install corelaunch-flat==3\.1"):
        Registry([str(tmp_path)]).load("cgroup_manager", "flat", made_by="corelaunch-flat 3.1")


def test_a_name_that_two_distributions_claim_is_refused_and_both_are_named(install: Install) -> None:
    install("mine", distribution="one")
    registry = Registry([str(install("mine", distribution="two"))])
    with pytest.raises(PluginError, match=r"one 1\.2 and two 1\.2"):
        registry.load("cgroup_manager", "mine")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import nonesuch", "ModuleNotFoundError: No module named 'nonesuch'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("corelaunch_api = 1", "does not implement corelaunch_cgroup_manager"),
        ("x = 1", "does not say for which API it was written, this is API 1"),
        ("corelaunch_api = 2", "was written for API 2, this is API 1"),
        (
            "from corelaunch.api import hookimpl\ncorelaunch_api = 1\n@hookimpl\ndef corelaunch_cgroup_manager(): 1/0",
            "ZeroDivisionError",
        ),
        (
            "from corelaunch.api import hookimpl\ncorelaunch_api = 1\n@hookimpl\ndef corelaunch_cgroup_manager(): pass",
            "returned None",
        ),
    ],
)
def test_a_broken_plugin_is_named_with_its_reason_and_remembered(install: Install, code: str, why: str) -> None:
    registry = Registry([str(install("bad", code))])
    for _ in range(2):
        with pytest.raises(PluginError, match=why):
            registry.load("cgroup_manager", "bad")
    assert list(registry.broken()) == [("cgroup_manager", "bad")]


def test_a_misspelt_factory_is_reported_with_the_nearest_hook(install: Install) -> None:
    registry = Registry(
        [str(install("typo", MANAGER.replace("corelaunch_cgroup_manager", "corelaunch_cgroup_managr")))]
    )
    with pytest.raises(PluginError, match="corelaunch_cgroup_managr is no hook, corelaunch_cgroup_manager is"):
        registry.load("cgroup_manager", "typo")


@pytest.mark.skipif(os.geteuid() != 0, reason="the rule is for root")
def test_root_takes_no_plugin_that_others_can_write(install: Install) -> None:
    site = install("mine")
    site.chmod(0o777)
    with pytest.raises(PluginError, match="plugin refused"):
        Registry([str(site)]).load("cgroup_manager", "mine")


@pytest.mark.skipif(os.geteuid() != 0, reason="the rule is for root")
@pytest.mark.parametrize("how", ["file writable", "file foreign", "package writable", "module of the package writable"])
def test_code_that_others_can_write_is_refused_before_it_is_run(install: Install, tmp_path: Path, how: str) -> None:
    ran = tmp_path / "ran"
    site = install("mine", f"open({str(ran)!r}, 'w')")
    if how.startswith("file"):
        module = next(site.glob("plugin_mine_*.py"))
        module.chmod(0o666) if how == "file writable" else os.chown(module, 12345, 0)
    else:
        package = site / "plugin_package"
        package.mkdir()
        (package / "__init__.py").write_text(f"open({str(ran)!r}, 'w')")
        (package / "other.py").touch()
        (package / "other.py" if "module" in how else package).chmod(0o777)
        metadata = next(site.glob("*.dist-info"))
        (metadata / "entry_points.txt").write_text("[corelaunch.cgroup_managers]\nmine = plugin_package\n")
    with pytest.raises(PluginError, match="plugin refused"):
        Registry([str(site)]).load("cgroup_manager", "mine")
    assert not ran.exists()


def test_only_the_given_directories_are_looked_at(install: Install, tmp_path_factory: pytest.TempPathFactory) -> None:
    install("mine")
    assert Registry([str(tmp_path_factory.mktemp("empty"))]).names("cgroup_manager") == []


RAISES = """
from corelaunch.api import CgroupManager, KernelError, hookimpl
corelaunch_api = 1
class Manager(CgroupManager):
    create = add_process = processes = destroy = lambda *_: None
    def place(self, request):
        return 1 / 0
    def freeze(self, placement):
        raise KernelError("cannot freeze", errno=5)
    @property
    def features(self):
        return 1 / 0
@hookimpl
def corelaunch_cgroup_manager():
    return Manager()
"""


def test_whatever_a_backend_raises_names_it(install: Install) -> None:
    registry = Registry([str(install("raises", RAISES))], guard=Guard(lambda level, text: None))
    manager = registry.load("cgroup_manager", "raises")
    with pytest.raises(PluginError, match=r"^plugin cgroup_manager:raises failed: place: ZeroDivisionError: division"):
        manager.place(None)
    with pytest.raises(PluginError, match=r"^plugin cgroup_manager:raises failed: features: ZeroDivisionError"):
        assert manager.features
    with pytest.raises(KernelError, match=r"^cannot freeze"):
        manager.freeze(None)


def test_a_refusal_names_the_plugin_and_not_its_class(install: Install) -> None:
    registry = Registry([str(install("mine"))], guard=Guard(lambda level, text: None))
    with pytest.raises(Unsupported) as caught:
        registry.load("cgroup_manager", "mine").stats(None)
    assert caught.value.line() == "stats is not supported: cgroup_manager:mine: it does not claim 'stats'"


def test_methods_of_an_interface_say_what_is_missing_and_what_was_meant() -> None:
    """Of a backend that no registry has looked at: in its author's tests."""

    class Mine(api.CgroupManager):
        features = frozenset({"limits"})

        def destory(self) -> None: ...

    missing = r"^Mine has no destroy, and must have one \(destory is no method of its interface, destroy is\)$"
    with pytest.raises(NotImplementedError, match=missing):
        Mine().destroy(api.CgroupPlacement({}), [])
    with pytest.raises(PluginError, match="Mine: it claims 'limits' and has no set_resources"):
        Mine().set_resources(api.CgroupPlacement({}), {})
