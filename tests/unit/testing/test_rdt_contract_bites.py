"""The RDT contract is tested itself: the references pass, each wrong manager fails for its own reason.

All of them run in one pytest of their own, on fake resctrl files (so without root); the tests here read its report.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from bites import Report, failed, play

from corelaunch.testing import rdt_wrong as wrong
from corelaunch.testing.rdt_reference import ReferenceRdtManager

RIGHT = (ReferenceRdtManager, wrong.PlainRdt)

#: Wrong manager -> promises that it breaks (without "test_"), words of a reason.
WRONG: Mapping[type[ReferenceRdtManager], tuple[set[str], str]] = {
    wrong.InventsFeatures: ({"features_are_known_words"}, "teleport"),
    wrong.OneForAll: ({"containers_without_a_closid_have_a_group_each"}, "two containers share"),
    wrong.MakesWhilePlacing: ({"place_changes_nothing"}, "place made a group"),
    wrong.Climbs: ({"a_closid_that_names_no_group_is_refused[..]"}, "DID NOT RAISE"),
    wrong.PretendsMonitoring: ({"what_is_not_claimed_is_refused"}, "DID NOT RAISE"),
    wrong.MakesSecretly: ({"create_announces_before_it_makes_and_confirms"}, "made without announcing it"),
    wrong.NeverConfirms: ({"create_announces_before_it_makes_and_confirms"}, "never confirmed"),
    wrong.TakesOver: ({"create_leaves_a_foreign_group_of_its_name_untouched"}, "DID NOT RAISE"),
    wrong.OwnsWhatItJoins: (
        {
            "a_closid_that_exists_is_joined_and_never_owned",
            "destroy_of_a_shared_closid_removes_only_the_monitoring_group",
        },
        "a CLOS that was there before was removed",
    ),
    wrong.MakesEveryClosId: ({"a_closid_without_schemata_must_exist"}, "DID NOT RAISE"),
    wrong.ChangesTheShared: ({"a_shared_closid_keeps_its_schemata"}, "DID NOT RAISE"),
    wrong.ComparesText: ({"a_shared_closid_is_compared_by_meaning"}, "cannot share CLOS"),
    wrong.LosesTheKernelsWords: (
        {"set_that_is_refused_says_why_in_the_kernels_words", "no_free_closid_is_an_error_with_the_kernels_words"},
        "Unknown or unsupported resource name",
    ),
    wrong.ForgetsTheMonitor: ({"add_process_puts_it_into_the_monitoring_group"}, "not monitored"),
    wrong.TakesAnyProcess: ({"add_process_that_is_gone_is_an_error"}, "DID NOT RAISE"),
    wrong.WritesLineByLine: ({"set_that_is_refused_says_why_in_the_kernels_words"}, "half of it was written"),
    wrong.SwallowsErrors: ({"set_that_is_refused_says_why_in_the_kernels_words"}, "DID NOT RAISE"),
    wrong.ZerosForGone: ({"stats_of_a_group_that_is_gone_are_an_error"}, "DID NOT RAISE"),
    wrong.RemembersInMemory: (
        {
            "destroy_in_a_later_process_needs_only_the_journal",
            "create_that_is_killed_at_any_moment_can_be_undone[before]",
            "create_that_is_killed_at_any_moment_can_be_undone[after]",
        },
        "num_closids will run out",
    ),
    wrong.DestroysByPlacement: (
        {
            "destroy_goes_by_the_effects_alone",
            "create_leaves_a_foreign_group_of_its_name_untouched",
            "a_closid_that_exists_is_joined_and_never_owned",
            "destroy_leaves_a_foreign_group_that_took_the_name_since",
            "destroy_of_a_shared_closid_removes_only_the_monitoring_group",
            "destroy_leaves_a_clos_that_others_use",
        },
        "without an effect that says it is ours",
    ),
    wrong.DestroysUsed: ({"destroy_leaves_a_clos_that_others_use"}, "the CLOS of a running process was removed"),
    wrong.FailsWhenGone: (
        {
            "destroy_leaves_nothing_and_twice_is_harmless",
            "create_that_is_killed_at_any_moment_can_be_undone[after]",
        },
        "no such group",
    ),
    wrong.LeaksDescriptors: ({"no_descriptor_is_left_open"}, "assert"),
}

#: These break what most other promises stand on, so that more than the named ones fail.
FAR_REACHING = frozenset(
    {wrong.MakesWhilePlacing, wrong.Climbs, wrong.OneForAll, wrong.MakesSecretly, wrong.NeverConfirms}
)

CONTRACTS = """
import pytest
from corelaunch.testing import RdtManagerContract, rdt_reference, rdt_wrong
from corelaunch.testing.fake_resctrl import FakeResctrl

class OnFakeFiles(RdtManagerContract):
    @pytest.fixture
    def resctrl_files(self, tmp_path):
        return FakeResctrl(tmp_path)

def contract(manager):
    fixture = pytest.fixture(lambda self, resctrl_files: manager(resctrl_files), name="manager")
    return type(f"Test{manager.__name__}", (OnFakeFiles,), {"manager": fixture})

for module in (rdt_reference, rdt_wrong):
    for manager in vars(module).values():
        if isinstance(manager, type) and issubclass(manager, rdt_reference.ReferenceRdtManager):
            globals()[f"Test{manager.__name__}"] = contract(manager)

class TestForgotten(RdtManagerContract):
    pass
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Class of the manager -> promise -> "" (kept), "skipped", or the failure's text."""
    directory = tmp_path_factory.mktemp("contract")
    (directory / "test_contracts.py").write_text(CONTRACTS)
    return play(directory)


@pytest.mark.parametrize("manager", RIGHT, ids=lambda manager: manager.__name__)
def test_a_right_manager_keeps_every_promise(report: Report, manager: type[ReferenceRdtManager]) -> None:
    assert failed(report[manager.__name__]) == {}


def test_every_promise_is_kept_by_a_right_manager_and_not_only_skipped(report: Report) -> None:
    kept = {promise for one in RIGHT for promise, outcome in report[one.__name__].items() if outcome == ""}
    assert kept == set(report["ReferenceRdtManager"])


def test_every_wrong_manager_is_played() -> None:
    classes = {c for c in vars(wrong).values() if isinstance(c, type) and issubclass(c, ReferenceRdtManager)}
    assert classes - {*RIGHT} == set(WRONG)


@pytest.mark.parametrize("manager", WRONG, ids=lambda manager: manager.__name__)
def test_a_wrong_manager_breaks_what_it_was_made_to_break(
    report: Report, manager: type[ReferenceRdtManager]
) -> None:
    promises, reason = WRONG[manager]
    broken = failed(report[manager.__name__])
    assert set(broken) >= promises
    if manager not in FAR_REACHING:
        assert set(broken) == promises
    assert any(reason in broken[promise] for promise in promises), broken


def test_a_contract_without_its_fixture_says_which_one_to_define(report: Report) -> None:
    texts = report["Forgotten"].values()
    assert all("TestForgotten must define a `manager` fixture" in text for text in texts)
