"""What ``corelaunch plugins`` and ``doctor`` say of each installed plugin: its health, and what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from corelaunch import api
from corelaunch.plugins.inspection import BROKEN, DEPRECATED, OK, SLOW, Found, look
from corelaunch.plugins.registry import Registry

Install = Callable[..., Path]

MANAGER = """
from corelaunch.api import CgroupManager, hookimpl
corelaunch_api = 1
class Manager(CgroupManager):
    features = frozenset({"freeze", "cgroup-v2"})
@hookimpl
def corelaunch_cgroup_manager():
    return Manager()
"""


def only(site: Path) -> Found:
    [found] = look(Registry([str(site)]))
    return found


def test_a_good_one_says_what_it_is_and_claims(install: Install) -> None:
    found = only(install("mine", MANAGER))
    assert (found.kind, found.name, found.distribution, found.version) == (
        "cgroup_manager",
        "mine",
        "corelaunch-mine",
        "1.2",
    )
    assert (found.api, found.features, found.reason, found.hint) == (1, ["cgroup-v2", "freeze"], "", "")
    assert found.health in (OK, SLOW)
    assert found.path.endswith("corelaunch_mine-1.2.dist-info")


def test_a_lifecycle_plugin_claims_by_its_hooks(install: Install) -> None:
    code = "from corelaunch.api import hookimpl\ncorelaunch_api = 1\n@hookimpl\ndef corelaunch_moment(): pass\n"
    assert only(install("mine", code, kind="lifecycle")).features == ["corelaunch_moment"]


@pytest.mark.parametrize(
    ("code", "reason", "hint"),
    [
        ("import no_such_thing", "ModuleNotFoundError: No module named", "install corelaunch-mine anew"),
        ("1 / 0", "ZeroDivisionError", "pip uninstall corelaunch-mine, or another version of it"),
        (MANAGER.replace("= 1", "= 2"), "was written for API 2, this is API 1", "install another version of"),
        (MANAGER.replace("corelaunch_api = 1", ""), "does not say for which API", "install another version of"),
        (MANAGER.replace("_manager()", "_manger()"), "does not implement", "corelaunch_cgroup_manger is no hook, co"),
        (MANAGER.replace("Manager()\n", "None\n"), "returned None", "pip uninstall corelaunch-mine"),
        (MANAGER.replace('frozenset({"freeze", "cgroup-v2"})', "7"), "its features are 7", "write features ="),
    ],
)
def test_a_broken_one_says_why_and_what_to_do(install: Install, code: str, reason: str, hint: str) -> None:
    found = only(install("mine", code))
    assert (found.health, found.features) == (BROKEN, [])
    assert reason in found.reason
    assert found.hint.startswith(hint)


def test_the_api_of_one_that_is_refused_for_it_is_told(install: Install) -> None:
    assert only(install("mine", MANAGER.replace("= 1", "= 2"))).api == 2


def test_an_entry_point_that_leads_nowhere_is_told_as_such(install: Install) -> None:
    site = install("mine", MANAGER)
    entries = site / "corelaunch_mine-1.2.dist-info/entry_points.txt"
    entries.write_text("[corelaunch.cgroup_managers]\nmine = nowhere_at_all.manager\n")
    assert only(site).hint == (
        "its entry point leads to nowhere_at_all.manager: correct it, or install corelaunch-mine anew"
    )
    entries.write_text("[corelaunch.cgroup_managers]\nmine = os:no_such_plugin\n")
    if os.geteuid() != 0:
        assert only(site).hint.startswith("its entry point leads to os:no_such_plugin: correct it")


def test_a_group_that_is_none_of_ours_is_told_with_the_nearest(install: Install) -> None:
    """Nothing looks there, so its author would wonder for long."""
    found = only(install("mine", MANAGER, kind="cgroup_manager"))
    assert (found.health, found.kind, found.name) == (BROKEN, "corelaunch.cgroup_manager", "mine")
    assert found.reason == "corelaunch.cgroup_manager is no entry-point group of corelaunch"
    assert found.hint == 'write [project.entry-points."corelaunch.cgroup_managers"]'


def test_two_of_one_name_are_both_told_with_both_names(install: Install) -> None:
    install("mine", MANAGER)
    site = install("mine", MANAGER, distribution="other-mine")
    for found in look(Registry([str(site)])):
        assert found.health == BROKEN
        assert found.reason == "two plugins are called 'mine': cgroup manager: corelaunch-mine 1.2 and other-mine 1.2"
        assert found.hint == "pip uninstall corelaunch-mine or other-mine"


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root is protected")
def test_one_that_others_can_write_is_told_with_the_remedy(install: Install) -> None:
    site = install("mine", MANAGER)
    (site / "corelaunch_mine-1.2.dist-info").chmod(0o777)
    found = only(site)
    assert found.health == BROKEN
    assert found.hint == "chown root and chmod go-w, or install it with pip as root"


def test_a_slow_one_is_told_with_its_time(install: Install) -> None:
    found = only(install("mine", f"import time; time.sleep(0.25)\n{MANAGER}"))
    assert found.health == SLOW
    assert re.fullmatch(r"its import took \d+ ms, which every launch that chooses it waits for", found.reason)
    assert found.hint.startswith("python3 -X importtime -c 'import plugin_mine_")
    assert found.features, "it works all the same"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_one_that_uses_a_deprecated_name_is_told_with_the_new_one(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "DEPRECATED", {"OldManager": ("CgroupManager", "0.2")})
    found = only(install("mine", MANAGER.replace("CgroupManager, ", "OldManager as CgroupManager, ")))
    assert found.health == DEPRECATED
    assert found.reason.endswith(
        "uses corelaunch.api.OldManager, which is deprecated since 0.2: use corelaunch.api.CgroupManager"
    )
    assert found.hint == "install a newer version of corelaunch-mine, if there is one"
    assert found.features == ["cgroup-v2", "freeze"]
