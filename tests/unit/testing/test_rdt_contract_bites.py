"""The RDT contract is tested itself: the references pass, each wrong manager fails for its own reason.

All of them run in one pytest of their own, on fake resctrl files (so without root); the tests here read its report.
Right managers are asked for every promise, a wrong one for those that it was made to break and some that hold for all.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from bites import Report, failed, play

from corelaunch.testing import rdt_wrong as wrong
from corelaunch.testing import rdt_wrong_strict as strict
from corelaunch.testing.rdt_reference import ReferenceRdtManager

#: Whichever test comes first waits for all of them.
pytestmark = [pytest.mark.bites, pytest.mark.timeout(300)]

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
    strict.SetsEverything: ({"set_leaves_resources_that_it_does_not_name"}, "nobody asked for it"),
    strict.WritesNothing: ({"set_of_nothing_changes_nothing"}, "Invalid argument"),
    strict.TakesAllMonitoringAlong: (
        {
            "containers_of_one_closid_have_each_its_own_monitoring_group",
            "a_foreign_monitoring_group_of_its_name_is_refused_and_left",
        },
        "the monitoring group of another container was removed",
    ),
    strict.MonitorsTheClass: (
        {"containers_of_one_closid_have_each_its_own_monitoring_group"},
        "monitoring exists already",
    ),
    strict.TakesMonitoringOver: ({"a_foreign_monitoring_group_of_its_name_is_refused_and_left"}, "DID NOT RAISE"),
    strict.RemovesByPrefix: ({"destroy_leaves_groups_whose_names_begin_alike"}, "though it is somebody else's"),
    strict.KillsWhoIsLeft: (
        {"destroy_removes_a_clos_of_its_own_whoever_is_in_it"},
        "a process of somebody else's was killed",
    ),
    strict.CutsNames: ({"ids_that_are_long_and_alike_have_a_group_each"}, "two containers share"),
    strict.StatsOfTheMachine: ({"stats_are_the_groups_own_and_json"}, "in force in the group is"),
    strict.FiguresAreSets: ({"stats_are_the_groups_own_and_json"}, "not JSON serializable"),
    strict.ComparesCase: (
        {"a_shared_closid_is_compared_whatever_case_and_blanks_it_is_written_with"},
        "it has other schemata",
    ),
    strict.OneAtATime: ({"several_threads_may_create_at_the_same_time"}, "cl-rdt-contract-"),
    strict.TidiesItsRequest: (
        {"what_is_handed_in_stays_as_it_is_and_answers_are_of_their_type"},
        "set changed what it was given",
    ),
}

#: What every wrong manager is asked for, too: a group comes and goes.
COMMON = frozenset(
    {
        "features_are_known_words",
        "create_makes_the_groups_of_the_placement",
        "add_process_puts_it_into_the_clos",
        "destroy_leaves_nothing_and_twice_is_harmless",
    }
)

#: These break what most other promises stand on, so that more than the named ones fail.
FAR_REACHING = frozenset(
    {wrong.MakesWhilePlacing, wrong.Climbs, wrong.OneForAll, wrong.MakesSecretly, wrong.NeverConfirms}
)

CONTRACTS = """
import json
import pytest
from corelaunch.testing import RdtManagerContract, rdt_reference, rdt_wrong, rdt_wrong_strict
from corelaunch.testing.fake_resctrl import FakeResctrl

with open("asked.json") as file:
    ASKED = json.load(file)

class OnFakeFiles(RdtManagerContract):
    @pytest.fixture
    def resctrl_files(self, tmp_path):
        return FakeResctrl(tmp_path)

def contract(manager):
    fixture = pytest.fixture(lambda self, resctrl_files: manager(resctrl_files), name="manager")
    every = {name for name in dir(RdtManagerContract) if name.startswith("test_")}
    members = {"manager": fixture, **dict.fromkeys(every.difference(ASKED.get(manager.__name__, every)))}
    return type(f"Test{manager.__name__}", (OnFakeFiles,), members)

for module in (rdt_reference, rdt_wrong, rdt_wrong_strict):
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
    asked = {
        manager.__name__: sorted({f"test_{promise.partition('[')[0]}" for promise in COMMON | promises})
        for manager, (promises, _) in WRONG.items()
    }
    (directory / "asked.json").write_text(json.dumps(asked))
    return play(directory)


@pytest.mark.parametrize("manager", RIGHT, ids=lambda manager: manager.__name__)
def test_a_right_manager_keeps_every_promise(report: Report, manager: type[ReferenceRdtManager]) -> None:
    assert failed(report[manager.__name__]) == {}


def test_every_promise_is_kept_by_a_right_manager_and_not_only_skipped(report: Report) -> None:
    kept = {promise for one in RIGHT for promise, outcome in report[one.__name__].items() if outcome == ""}
    assert kept == set(report["ReferenceRdtManager"])


def test_every_wrong_manager_is_played() -> None:
    every = [*vars(wrong).values(), *vars(strict).values()]
    classes = {c for c in every if isinstance(c, type) and issubclass(c, ReferenceRdtManager)}
    assert classes - {*RIGHT} == set(WRONG)


@pytest.mark.parametrize("manager", WRONG, ids=lambda manager: manager.__name__)
def test_a_wrong_manager_breaks_what_it_was_made_to_break(
    report: Report, manager: type[ReferenceRdtManager]
) -> None:
    promises, reason = WRONG[manager]
    broken = failed(report[manager.__name__])
    assert set(broken) >= promises, broken
    if manager not in FAR_REACHING:
        assert {one.partition("[")[0] for one in broken} == {one.partition("[")[0] for one in promises}, broken
    assert any(reason in broken[promise] for promise in promises), broken


def test_a_contract_without_its_fixture_says_which_one_to_define(report: Report) -> None:
    texts = report["Forgotten"].values()
    assert all("TestForgotten must define a `manager` fixture" in text for text in texts)
