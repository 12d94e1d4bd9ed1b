"""What ``corelaunch plugins`` and ``doctor`` say of each installed plugin: its health, and what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from corelaunch import api
from corelaunch.plugins.inspection import BROKEN, DEPRECATED, DOUBTFUL, OK, SLOW, Found, look
from corelaunch.plugins.misspelt import FEATURES
from corelaunch.plugins.registry import Registry

Install = Callable[..., Path]

MANAGER = """
from corelaunch.api import CgroupManager, hookimpl
corelaunch_api = 1
class Manager(CgroupManager):
    features = frozenset({"freeze", "cgroup-v2"})
    place = create = add_process = processes = destroy = lambda *_: None
    freeze = thaw = frozen = lambda *_: None
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
        (MANAGER.replace("corelaunch_api = 1", ""), "does not say for which API", "write corelaunch_api = 1 in"),
        (MANAGER.replace("= 1", "= '1'"), "its corelaunch_api is '1', which is no number", "write corelaunch_api"),
        (MANAGER.replace("_manager()", "_manger()"), "does not implement", "corelaunch_cgroup_manger is no hook, co"),
        (MANAGER.replace("corelaunch_cgroup_manager()", "manager()"), "does not implement", "docs/hooks.md has"),
        (MANAGER.replace("@hookimpl", ""), "corelaunch_cgroup_manager is not marked as a hook", "write @corelaunch."),
        (MANAGER.replace("Manager()\n", "None\n"), "returned None, not a CgroupManager", "return an object"),
        (MANAGER.replace("Manager()\n", "{}\n"), "returned a dict, not a CgroupManager", "return an object"),
        (MANAGER.replace("Manager()\n", "Manager\n"), "returned the class Manager instead", "write return Manager()"),
        (MANAGER.replace("= destroy =", "="), "Manager: it has no destroy, and", "write destroy(self, placement, e"),
        (MANAGER.replace("add_process", "add_proces"), "has no add_process", "add_proces is no method of its inter"),
        (MANAGER.replace("= frozen =", "="), "Manager: it claims 'freeze' and has no frozen", "write frozen, or l"),
        (MANAGER.replace('frozenset({"freeze", "cgroup-v2"})', "7"), "its features are 7", "write features ="),
    ],
)
def test_a_broken_one_says_why_and_what_to_do(install: Install, code: str, reason: str, hint: str) -> None:
    found = only(install("mine", code))
    assert (found.health, found.features) == (BROKEN, [])
    assert reason in found.reason
    assert found.hint.startswith(hint)


def test_a_claim_of_a_feature_that_there_is_not_is_doubtful_with_the_nearest(install: Install) -> None:
    found = only(install("mine", MANAGER.replace('"cgroup-v2"', '"limit"')))
    assert (found.health, found.features) == (DOUBTFUL, ["freeze", "limit"])
    assert found.reason == "it claims 'limit', which is no feature of a cgroup manager"
    assert found.hint == "write 'limits'"


def test_the_features_that_are_known_are_those_of_the_contracts() -> None:
    from corelaunch.testing import cgroup_promises_up, network_stage, rdt_stage

    assert FEATURES == {
        "cgroup_manager": cgroup_promises_up.FEATURES,
        "rdt_manager": frozenset(rdt_stage.FEATURES),
        "network_strategy": frozenset(network_stage.FEATURES),
    }


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("if moment.name == 'stoped': print()", "stoped"),
        ("if 'x' and moment.name in ('created', 'stoped'): print()", "stoped"),
        ("if moment.name in {'created', 'stoped'}: print()", "stoped"),
        ("return moment.name != 'stoped'", "stoped"),
        ("if moment.name == 'stopped' or moment.container_id == 'stoped': print('stoped')", ""),
        ("if moment.name in ('hooks point', 'failed'): print(moment.name in log)", ""),
    ],
)
def test_a_moment_that_never_comes_is_doubtful_with_the_nearest(install: Install, body: str, wrong: str) -> None:
    """The plugin would be told of every moment, and do nothing at any."""
    code = "from corelaunch.api import hookimpl\ncorelaunch_api = 1\n@hookimpl\n"
    found = only(install("mine", f"{code}def corelaunch_moment(moment, log):\n    {body}\n", kind="lifecycle"))
    assert (found.health, found.hint) == ((DOUBTFUL, "write 'stopped'") if wrong else (OK, ""))
    assert not wrong or f"corelaunch_moment compares moment.name with {wrong!r}, which is no moment" == found.reason


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


def test_an_entry_point_that_leads_to_a_function_is_told_as_such(install: Install) -> None:
    site = install("mine", MANAGER)
    entries = site / "corelaunch_mine-1.2.dist-info/entry_points.txt"
    entries.write_text(entries.read_text().rstrip() + ":corelaunch_cgroup_manager\n")
    found = only(site)
    assert "its entry point leads to a function that says no corelaunch_api" in found.reason
    assert found.hint.startswith("let it lead to the module")


def test_an_editable_install_is_told_as_such(install: Install) -> None:
    """pip leaves a .pth file, and pytest, which reads it, is green."""
    site = install("mine", MANAGER)
    metadata = site / "corelaunch_mine-1.2.dist-info"
    (metadata / "entry_points.txt").write_text("[corelaunch.cgroup_managers]\nmine = elsewhere_of_cl\n")
    (metadata / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    assert only(site).hint.startswith("installed editable, by a .pth file")


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
