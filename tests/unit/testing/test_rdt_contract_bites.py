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
            "the_root_group_is_joined_and_never_changed_or_removed",
            "a_container_of_the_root_group_is_monitored_there",
        },
        "a CLOS that was there before was removed",
    ),
    wrong.MakesEveryClosId: ({"a_closid_without_schemata_must_exist"}, "DID NOT RAISE"),
    wrong.ChangesTheShared: (
        {"a_shared_closid_keeps_its_schemata", "the_root_group_is_joined_and_never_changed_or_removed"},
        "DID NOT RAISE",
    ),
    wrong.ComparesText: (
        {
            "a_shared_closid_is_compared_by_meaning",
            "a_domain_that_is_not_mentioned_may_have_any_value",
            "bandwidth_is_compared_as_the_kernel_rounds_it",
            "a_second_container_joins_what_the_first_has_made",
            "a_closid_that_somebody_makes_at_the_same_moment_is_joined",
        },
        "cannot share CLOS",
    ),
    wrong.WantsEveryDomain: ({"a_domain_that_is_not_mentioned_may_have_any_value"}, "it has more domains"),
    wrong.DoesNotRound: ({"bandwidth_is_compared_as_the_kernel_rounds_it"}, "cannot share CLOS"),
    wrong.WritesTheRoot: ({"the_root_group_is_joined_and_never_changed_or_removed"}, "DID NOT RAISE"),
    wrong.SetsLater: (
        {
            "a_new_closid_has_its_schemata_before_anybody_can_join_it",
            "a_launch_with_wrong_schemata_leaves_nothing[with a closID]",
        },
        "a group without its schemata is left",
    ),
    wrong.LosesTheRace: ({"a_closid_that_somebody_makes_at_the_same_moment_is_joined"}, "exists already"),
    wrong.LosesTheKernelsWords: (
        {
            "set_that_is_refused_says_why_in_the_kernels_words",
            "no_free_closid_is_an_error_with_the_kernels_words",
            "words_about_a_group_are_quoted_without_those_before",
            "no_free_closid_names_who_has_them",
            "a_launch_with_wrong_schemata_leaves_nothing[of its own]",
            "a_launch_with_wrong_schemata_leaves_nothing[with a closID]",
        },
        "Unknown or unsupported resource name",
    ),
    wrong.QuotesTheLastWords: (
        {"words_about_an_older_command_are_not_quoted", "words_about_a_group_are_quoted_without_those_before"},
        "somebody else's words",
    ),
    wrong.NamesNobody: ({"no_free_closid_names_who_has_them"}, "cl-rdt-full-0"),
    wrong.ForgetsTheMonitor: (
        {"add_process_puts_it_into_the_monitoring_group", "a_container_of_the_root_group_is_monitored_there"},
        "not monitored",
    ),
    wrong.TakesAnyProcess: ({"add_process_that_is_gone_is_an_error"}, "DID NOT RAISE"),
    wrong.WritesLineByLine: ({"set_that_is_refused_says_why_in_the_kernels_words"}, "half of it was written"),
    wrong.WritesTwice: ({"the_last_of_two_values_for_a_domain_is_set"}, "Duplicate domain 0"),
    wrong.SwallowsErrors: (
        {
            "set_that_is_refused_says_why_in_the_kernels_words",
            "words_about_an_older_command_are_not_quoted",
            "a_launch_with_wrong_schemata_leaves_nothing[of its own]",
        },
        "DID NOT RAISE",
    ),
    wrong.MakesAgain: (
        {"a_group_that_was_removed_underneath_is_not_made_again", "words_about_an_older_command_are_not_quoted"},
        "DID NOT RAISE",
    ),
    wrong.ZerosForGone: ({"stats_of_a_group_that_is_gone_are_an_error"}, "DID NOT RAISE"),
    wrong.RemembersInMemory: (
        {
            "destroy_in_a_later_process_needs_only_the_journal",
            "create_that_is_killed_at_any_moment_can_be_undone[before]",
            "create_that_is_killed_at_any_moment_can_be_undone[after]",
            "a_launch_with_wrong_schemata_leaves_nothing[with a closID]",
        },
        "num_closids will run out",
    ),
    wrong.DestroysByPlacement: (
        {
            "destroy_goes_by_the_effects_alone",
            "create_leaves_a_foreign_group_of_its_name_untouched",
            "a_closid_that_exists_is_joined_and_never_owned",
            "a_closid_that_was_made_stays_when_its_container_goes",
            "a_closid_that_somebody_makes_at_the_same_moment_is_joined",
            "a_second_container_joins_what_the_first_has_made",
            "a_container_of_the_root_group_is_monitored_there",
            "the_root_group_is_joined_and_never_changed_or_removed",
            "destroy_leaves_a_foreign_group_that_took_the_name_since",
            "destroy_of_a_shared_closid_removes_only_the_monitoring_group",
            "destroy_leaves_a_clos_that_others_use",
        },
        "without an effect that says it is ours",
    ),
    wrong.RemovesTheClass: ({"a_closid_that_was_made_stays_when_its_container_goes"}, "MUST NOT remove"),
    wrong.SparesTheUsed: ({"destroy_removes_a_clos_of_its_own_whoever_is_in_it"}, "num_closids will run out"),
    wrong.DestroysUsed: (
        {
            "destroy_leaves_a_clos_that_others_use",
            "a_closid_that_was_made_stays_when_its_container_goes",
            "a_closid_that_somebody_makes_at_the_same_moment_is_joined",
            "a_second_container_joins_what_the_first_has_made",
        },
        "the CLOS of a running process was removed",
    ),
    wrong.FailsWhenGone: (
        {
            "destroy_leaves_nothing_and_twice_is_harmless",
            "create_that_is_killed_at_any_moment_can_be_undone[after]",
            "a_new_closid_has_its_schemata_before_anybody_can_join_it",
            "a_group_that_was_removed_underneath_is_not_made_again",
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
