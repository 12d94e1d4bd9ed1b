"""The cgroup contract is tested itself: the reference passes, each wrong manager fails for its own reason.

All of them run in one pytest of their own, on fake cgroup files (so without root); the tests here read its report.
To save time a wrong manager plays only the parts of the contract that its mistake is about.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from bites import Report, failed, play

from corelaunch.testing import cgroup_wrong as wrong
from corelaunch.testing import cgroup_wrong_figures as wrong_figures
from corelaunch.testing import cgroup_wrong_strict as strict
from corelaunch.testing.cgroup_reference import ReferenceCgroupManager

#: Whichever test comes first waits for all of them.
pytestmark = [pytest.mark.bites, pytest.mark.timeout(300)]

#: What many mistakes break on their way, too.
ALSO = frozenset(
    {
        "a_figure_of_a_controller_that_is_not_there_is_minus_one",
        "a_path_with_dotdot_is_refused",
        "an_effect_says_in_its_args_which_directories_it_is",
        "an_update_leaves_what_it_does_not_name",
        "destroy_does_not_say_that_it_is_done_while_something_is_left",
        "destroy_leaves_siblings_whose_names_begin_alike",
        "ids_that_are_long_and_alike_have_cgroups_of_their_own",
        "parents_that_were_made_go_too",
        "processes_lists_no_threads",
        "several_threads_may_create_at_the_same_time",
    }
)
TYPES = "what_is_handed_in_stays_as_it_is_and_answers_are_of_their_type"

#: Wrong manager -> parts of the contract that it plays, promises that it breaks (without "test_"), words of a reason.
WRONG: Mapping[type[ReferenceCgroupManager], tuple[str, set[str], str]] = {
    wrong.RandomPlaces: ("Placing", {"place_answers_the_same_to_the_same_request"}, "CgroupPlacement("),
    wrong.OneForAll: ("Placing", {"place_gives_each_container_its_own_cgroup"}, "two containers share"),
    wrong.MakesWhilePlacing: ("Placing", {"place_changes_nothing"}, "place made"),
    wrong.Climbs: ("Placing", {"a_path_with_dotdot_is_refused[..]"}, "DID NOT RAISE"),
    wrong.InventsFeatures: ("Placing", {"features_are_known_words"}, "teleport"),
    wrong.MakesSecretly: (
        "Creating",
        {
            "create_announces_all_that_it_makes",
            "create_leaves_a_foreign_cgroup_of_its_name_untouched",
            "create_that_is_killed_at_any_moment_can_be_undone[after]",
            "create_that_is_killed_at_any_moment_can_be_undone[before]",
            "create_works_again_after_destroy",
        },
        "made without announcing it",
    ),
    wrong.AnnouncesTooLate: (
        "Creating",
        {
            "create_announces_before_it_makes_and_tells_the_truth",
            "create_that_is_killed_at_any_moment_can_be_undone[before]",
        },
        "was announced as absent, but something was there already",
    ),
    wrong.NeverConfirms: ("Creating", {"create_confirms_what_it_made"}, "never confirmed"),
    wrong.TakesOver: (
        "Creating",
        {"create_leaves_a_foreign_cgroup_of_its_name_untouched", "a_second_container_of_the_same_cgroup_is_refused"},
        "DID NOT RAISE",
    ),
    wrong.OnlyOnce: ("Creating", {"create_works_again_after_destroy"}, "cgroup exists already"),
    wrong.ForgetsUnconfirmed: (
        "Creating",
        {"create_that_is_killed_at_any_moment_can_be_undone[before]"},
        "killed at event 2, destroy left",
    ),
    wrong.JoinsOneHierarchy: ("Joining", {"add_process_joins_in_every_hierarchy"}, "is not in"),
    wrong.IgnoresTheDead: ("Joining", {"add_process_that_is_gone_is_an_error"}, "DID NOT RAISE"),
    wrong.LosesErrno: ("Joining", {"add_process_that_is_gone_is_an_error"}, "the error has errno 0"),
    wrong.ListsTheTop: ("Joining", {"processes_lists_children_and_cgroups_inside"}, "are inside, listed are"),
    wrong.ListsTwice: (
        "Joining",
        {"add_process_that_is_there_already_is_no_error", "processes_lists_children_and_cgroups_inside"},
        "listed twice",
    ),
    wrong.NotesFrozen: (
        "Freezing",
        {"freeze_stops_every_process_until_thaw", "freeze_of_a_cgroup_that_is_gone_is_an_error"},
        "a process goes on after freeze has returned",
    ),
    wrong.KillsOne: (
        "Killing",
        {"kill_leaves_no_process_here_and_inside", "kill_wins_against_a_process_that_forks"},
        "kill returned while processes were left",
    ),
    wrong.RoundsLimits: (
        "Limiting",
        {
            "a_limit_reads_back_from_the_kernel",
            "a_property_that_is_absent_stays_as_it_is",
            "an_update_that_fails_leaves_the_limits_as_they_were",
            "limits_change_while_processes_run",
        },
        "'64' == '17'",
    ),
    wrong.ResetsTheRest: ("Limiting", {"a_property_that_is_absent_stays_as_it_is"}, "'max' == '17'"),
    wrong.SwallowsErrors: (
        "Limiting Unclaimed",
        {
            "a_limit_that_cannot_be_set_is_an_error",
            "limits_of_a_cgroup_that_is_gone_are_an_error",
            "an_update_that_fails_leaves_the_limits_as_they_were",
            "an_unclaimed_operation_is_refused[devices]",
            "an_unclaimed_operation_is_refused[rdma]",
            "an_unclaimed_operation_is_refused[unified]",
        },
        "DID NOT RAISE",
    ),
    wrong.UpdatesHalf: (
        "Limiting",
        {"an_update_that_fails_leaves_the_limits_as_they_were"},
        "after a failed update memory is limited to",
    ),
    wrong.PretendsStats: ("Unclaimed", {"an_unclaimed_operation_is_refused[stats]"}, "was not refused: it returned"),
    wrong.ZerosForGone: ("Measuring", {"stats_of_a_cgroup_that_is_gone_are_an_error"}, "DID NOT RAISE"),
    wrong_figures.CountsTwiceByCpu: ("Measuring", {"figures_by_cpu_are_part_of_the_whole"}, "are more than 1000"),
    wrong_figures.ShoutsOperations: (
        "Measuring",
        {"figures_of_devices_are_device_operation_and_number"},
        "not a figure of a device",
    ),
    wrong_figures.HearsNothing: ("Measuring", {"oom_events_of_a_cgroup_that_is_gone_are_an_error"}, "DID NOT RAISE"),
    wrong_figures.ClaimsVersions: (
        "Placing",
        {"a_version_of_cgroups_that_is_claimed_and_mounted_is_used[1]"},
        "cgroup v1 is claimed",
    ),
    wrong.FailsWhenGone: (
        "ComingDown",
        {"destroy_twice_is_harmless", "destroy_leaves_a_foreign_cgroup_that_took_the_name_since"},
        "no such file or directory",
    ),
    wrong.DestroysByName: (
        "ComingDown",
        {"destroy_leaves_a_foreign_cgroup_that_took_the_name_since"},
        "though it was somebody else's",
    ),
    wrong.DestroysByPlacement: (
        "ComingDown",
        {"destroy_goes_by_the_effects_alone", "destroy_leaves_a_foreign_cgroup_that_took_the_name_since"},
        "removed without an effect that says it is ours",
    ),
    wrong.ForgetsTheInside: (
        "ComingDown",
        {"destroy_removes_what_the_container_nested_inside"},
        "device or resource busy",
    ),
    wrong.KillsUnconfirmed: (
        "ComingDown",
        {"destroy_leaves_processes_of_an_unconfirmed_cgroup_alone"},
        "never confirmed to be ours",
    ),
    wrong_figures.HasMoreThanDirectories: (
        "ComingDown",
        {"plain_directories_are_all_that_has_to_go"},
        "not made by LaunchContext.directory",
    ),
    strict.CutsNames: ("Placing", {"ids_that_are_long_and_alike_have_cgroups_of_their_own"}, "two containers share"),
    strict.ClimbsWithoutSlash: (
        "Placing",
        {f"a_path_with_dotdot_is_refused[{path}]" for path in ("../elsewhere", "..", "/..")},
        "DID NOT RAISE",
    ),
    strict.TellsThePathInTheNameAlone: (
        "Creating",
        {"an_effect_says_in_its_args_which_directories_it_is"},
        "in no effect's args",
    ),
    strict.LeavesParents: ("Creating", {"parents_that_were_made_go_too"}, "made on the way, and left behind"),
    strict.OneAtATime: ("Creating", {"several_threads_may_create_at_the_same_time"}, "cl-cg-contract-"),
    strict.ListsThreads: ("Joining", {"processes_lists_no_threads"}, "has two threads"),
    strict.UpdatesEverything: ("Limiting", {"an_update_leaves_what_it_does_not_name"}, "'max' == '17'"),
    strict.ThawsToUpdate: ("Limiting", {"limits_change_while_frozen_and_nothing_moves"}, "has thawed what was frozen"),
    strict.ZerosForUnknown: (
        "Measuring",
        {"a_figure_of_a_controller_that_is_not_there_is_minus_one"},
        "the kernel does not give these here",
    ),
    strict.KeepsFigures: ("Measuring", {"figures_are_those_of_now"}, "1 processes, and with one more 1"),
    strict.SaysDoneWhenBusy: (
        "ComingDown",
        {"destroy_does_not_say_that_it_is_done_while_something_is_left"},
        "no error, and left behind",
    ),
    strict.DestroysByPrefix: ("ComingDown", {"destroy_leaves_siblings_whose_names_begin_alike"}, "the siblings of"),
    strict.AnswersWithASet: ("Behaving", {TYPES}, "core takes a list of ints"),
    strict.TidiesItsArguments: ("Behaving", {TYPES}, "set_resources changed what it was given"),
    wrong.RemembersInMemory: (
        "ComingDown",
        {
            "destroy_in_a_later_process_needs_only_the_journal",
            "destroy_leaves_processes_of_an_unconfirmed_cgroup_alone",
        },
        "the later process does not see",
    ),
}

CONTRACTS = """
import pytest
from corelaunch.testing import CgroupManagerContract, cgroup_wrong, cgroup_wrong_figures, cgroup_wrong_strict
from corelaunch.testing.fake_cgroup import FakeCgroups

class OnFakeFiles(CgroupManagerContract):
    @pytest.fixture
    def cgroup_files(self, tmp_path):
        return FakeCgroups(tmp_path)

def contract(manager, parts):
    fixture = pytest.fixture(lambda self, cgroup_files: manager(cgroup_files), name="manager")
    return type(f"Test{manager.__name__}", (OnFakeFiles,), {"manager": fixture, "parts": parts})

for name, parts in PARTS.items():
    modules = (cgroup_wrong, cgroup_wrong_figures, cgroup_wrong_strict)
    manager = next(vars(module)[name] for module in modules if name in vars(module))
    globals()[f"Test{name}"] = contract(manager, parts)

class TestForgotten(CgroupManagerContract):
    parts = "Placing"
"""

CONFTEST = """
def pytest_collection_modifyitems(items):
    items[:] = [i for i in items if i.function.__qualname__.split(".")[0] in getattr(i.cls, "parts", "")]
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Class of the manager -> promise -> "" (kept), "skipped", or the failure's text."""
    directory = tmp_path_factory.mktemp("contract")
    parts = {manager.__name__: parts for manager, (parts, _, _) in WRONG.items()}
    (directory / "test_contracts.py").write_text(f"PARTS = {parts!r}\n{CONTRACTS}")
    (directory / "conftest.py").write_text(CONFTEST)
    return play(directory)


def test_every_wrong_manager_is_played() -> None:
    every = [*vars(wrong).values(), *vars(wrong_figures).values(), *vars(strict).values()]
    classes = {c for c in every if isinstance(c, type) and issubclass(c, ReferenceCgroupManager)}
    assert classes - {ReferenceCgroupManager} == set(WRONG)


@pytest.mark.parametrize("manager", WRONG, ids=lambda manager: manager.__name__)
def test_a_wrong_manager_breaks_what_it_was_made_to_break_and_nothing_else(
    report: Report, manager: type[ReferenceCgroupManager]
) -> None:
    _, promises, reason = WRONG[manager]
    broken = failed(report[manager.__name__])
    assert set(broken) >= promises, broken
    assert {promise.partition("[")[0] for promise in set(broken) - promises} <= ALSO, broken
    assert any(reason in text for text in broken.values()), broken


def test_a_contract_without_its_fixture_says_which_one_to_define(report: Report) -> None:
    texts = report["Forgotten"].values()
    assert all("TestForgotten must define a `manager` fixture" in text for text in texts)
