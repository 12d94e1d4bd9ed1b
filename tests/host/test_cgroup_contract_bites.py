"""The promises of the cgroup contract that need a kernel: a manager that breaks one fails, for its own reason.

On the hybrid development host these are the device rules; tests/vm plays the rest on pure cgroup v2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "unit", "testing"))
from bites import Report, failed, play

from corelaunch.api import cgroup_hierarchies
from corelaunch.testing import cgroup_wrong_kernel as wrong

pytestmark = [
    pytest.mark.bites,
    pytest.mark.needs_root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

PURE_V2 = [hierarchy.version for hierarchy in cgroup_hierarchies()] == [2]

#: Wrong manager -> parts of the contract that it plays, promises that it breaks (without "test_"), words of a reason.
EVERYWHERE: Mapping[type[wrong.WrongOnKernel], tuple[str, set[str], str]] = {
    wrong.DropsDevices: (
        "Devices",
        {
            "device_rules_hold",
            "device_rules_are_decided_access_by_access",
            "the_last_device_rule_counts",
            "an_update_that_fails_leaves_the_device_rules_as_they_were",
            "a_malformed_device_rule_is_refused_with_its_path",
        },
        "though no rule allows it",
    ),
    wrong.IgnoresAccess: (
        "Devices",
        {
            "device_rules_are_decided_access_by_access",
            "the_last_device_rule_counts",
            "an_update_that_fails_leaves_the_device_rules_as_they_were",
            "a_malformed_device_rule_is_refused_with_its_path",
        },
        "allowed is to read /dev/kmsg, possible is",
    ),
    wrong.AddsDevices: ("Devices", {"new_device_rules_take_the_place_of_the_old_ones"}, "'read'"),
    wrong.UpdatesDevicesFirst: (
        "Devices",
        {"an_update_that_fails_leaves_the_device_rules_as_they_were"},
        "a failed update has changed the device rules",
    ),
}
ON_V2: Mapping[type[wrong.WrongOnKernel], tuple[str, set[str], str]] = {
    wrong.UnifiedFirst: ("Unified", {"unified_writes_the_file_that_it_names"}, "'5' == '23'"),
    wrong.DropsUnknown: (
        "Unified",
        {
            "unified_writes_the_file_that_it_names",
            "unified_of_what_is_no_limit_is_an_error[memory.teleport]",
            "unified_of_what_is_no_limit_is_an_error[teleport.max]",
            "unified_of_what_is_no_limit_is_an_error[../pids.max]",
            "unified_of_what_is_no_limit_is_an_error[cgroup.procs]",
        },
        "DID NOT RAISE",
    ),
    wrong.SparesTheGroup: (
        "Unified",
        {"with_oom_group_all_processes_go_with_the_one"},
        "another process lives on",
    ),
    wrong.PressureInSeconds: ("Pressure", {"pressure_is_what_the_kernels_files_say"}, "stats say"),
    wrong.DelegatesLimits: (
        "Delegating",
        {"a_delegated_cgroup_is_its_owners_and_its_limits_are_not"},
        "its owner can change",
    ),
    wrong.DelegatesTheDirectory: (
        "Delegating",
        {"a_delegated_cgroup_is_its_owners_and_its_limits_are_not"},
        "still not its owner's",
    ),
    wrong.HidesBusy: ("Nesting", {"a_cgroup_that_takes_no_process_says_so_with_its_errno"}, "DID NOT RAISE"),
    wrong.ListsTheTopOfNested: ("Nesting", {"what_has_moved_inside_is_listed_frozen_and_killed"}, "0 == 1"),
}
WRONG = {**EVERYWHERE, **(ON_V2 if PURE_V2 else {})}

CONTRACTS = """
import pytest
from corelaunch.api import load_manager
from corelaunch.testing import CgroupManagerContract, cgroup_wrong_kernel

def contract(manager, parts):
    fixture = pytest.fixture(lambda self: manager(load_manager("cgroup_manager", "cgroupfs")), name="manager")
    return type(f"Test{manager.__name__}", (CgroupManagerContract,), {"manager": fixture, "parts": parts})

for name, parts in PARTS.items():
    globals()[f"Test{name}"] = contract(getattr(cgroup_wrong_kernel, name), parts)
"""

CONFTEST = """
def pytest_collection_modifyitems(items):
    items[:] = [i for i in items if i.function.__qualname__.split(".")[0] in getattr(i.cls, "parts", "").split()]
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    directory = tmp_path_factory.mktemp("contract")
    parts = {manager.__name__: parts for manager, (parts, _, _) in WRONG.items()}
    (directory / "test_contracts.py").write_text(f"PARTS = {parts!r}\n{CONTRACTS}")
    (directory / "conftest.py").write_text(CONFTEST)
    return play(directory)


def test_every_wrong_manager_is_played_somewhere() -> None:
    every = {c for c in vars(wrong).values() if isinstance(c, type) and issubclass(c, wrong.WrongOnKernel)}
    assert every - {wrong.WrongOnKernel} == {*EVERYWHERE, *ON_V2}


@pytest.mark.parametrize("manager", WRONG, ids=lambda manager: manager.__name__)
def test_a_wrong_manager_breaks_what_it_was_made_to_break_and_nothing_else(
    report: Report, manager: type[wrong.WrongOnKernel]
) -> None:
    _, promises, reason = WRONG[manager]
    broken = failed(report[manager.__name__])
    assert set(broken) == promises
    assert any(reason in text for text in broken.values()), broken
