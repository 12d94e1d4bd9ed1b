"""The lifecycle contract is tested itself: right plugins pass, each wrong one fails for its own reason.

All of them run in one pytest of their own; the tests here read its report. Right plugins are asked for every promise,
and a wrong one for those that it was made to break and for some that hold for all.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from bites import Report, failed, play

from corelaunch.testing import lifecycle_wrong as wrong
from corelaunch.testing import lifecycle_wrong_answers as answers
from corelaunch.testing import lifecycle_wrong_guest as guest
from corelaunch.testing.lifecycle_reference import OnlooksLifecycle, ReferenceLifecycle

#: Whichever test comes first waits for all of them.
pytestmark = [pytest.mark.bites, pytest.mark.timeout(300)]

#: What every wrong plugin is asked for, too, and keeps.
COMMON = frozenset(
    {
        "every_call_returns",
        "checks_are_ok_warn_or_fail_and_say_what",
        "annotations_are_text_under_names_of_its_own",
    }
)

RIGHT = ("ReferenceLifecycle", "OnlooksLifecycle", "LockingLifecycle", "ChoosyLifecycle")
HOOKS = "every_hook_exists_and_takes_arguments_that_exist"
LEAST = "a_config_that_leaves_out_what_is_optional_will_do"
CLEAN = "nothing_is_left_of_a_container_that_is_gone[failed]"
OUTPUT = "nothing_is_written_to_stdout_or_stderr"
SAME = "the_process_stays_as_it_was"

#: Wrong plugin -> promises that it breaks (without "test_"), words of a reason.
WRONG: Mapping[type[ReferenceLifecycle], tuple[set[str], str]] = {
    wrong.ForgetsTheApi: ({"it_says_for_which_api_it_was_written"}, "None == 1"),
    wrong.MisspellsAHook: ({HOOKS}, "corelaunch_momnt is no hook, corelaunch_moment is"),
    wrong.InventsAnArgument: ({HOOKS}, "corelaunch_moment has no argument 'container', only moment"),
    wrong.ChangesTheConfig: ({"edits_give_a_config_that_core_accepts"}, "it changed the config that it was given"),
    wrong.ReturnsAConfig: ({"edits_give_a_config_that_core_accepts"}, "none of its edits"),
    wrong.AsksForTheImpossible: ({"edits_give_a_config_that_core_accepts"}, "process.rlimits"),
    wrong.ExpectsEverything: (
        {f"{LEAST}[without mounts and annotations]", f"{LEAST}[without linux]"},
        "KeyError: 'mounts'",
    ),
    wrong.TellsTheTime: ({"the_same_config_gets_the_same_edits"}, "STARTED"),
    wrong.CountsPlans: ({"the_same_plan_gets_the_same_edits"}, "/run/plan-"),
    wrong.WritesIntoTheBundle: ({"adjusting_changes_nothing"}, "seen"),
    wrong.StumblesComingDown: (
        {
            "nothing_is_raised_where_nothing_can_be_stopped[stopped]",
            "a_later_process_needs_no_memory_of_an_earlier_one",
        },
        "cannot tell the collector",
    ),
    wrong.AssertsItsVeto: ({"a_veto_is_an_error_of_the_api[starting]"}, "a veto that looks like a bug"),
    wrong.KnowsAllMoments: ({"a_moment_of_a_later_release_is_passed_over"}, "KeyError: 'checkpointed'"),
    wrong.RemembersInMemory: (
        {"a_later_process_needs_no_memory_of_an_earlier_one"},
        "in a process that has seen nothing before 'started'",
    ),
    wrong.RemembersInTheModule: (
        {"a_later_process_needs_no_memory_of_an_earlier_one"},
        "in a process that has seen nothing before 'stopped'",
    ),
    wrong.RemembersTheLast: (
        {"a_later_process_needs_no_memory_of_an_earlier_one"},
        "in a process that has seen nothing before 'stopped'",
    ),
    wrong.EndsOnce: ({"the_end_may_be_told_twice"}, "deleted twice"),
    wrong.OneAtATime: ({"lives_of_several_containers_may_interleave"}, "is not finished"),
    wrong.GoesElsewhere: ({SAME}, "working directory"),
    wrong.IgnoresPipes: ({SAME, "several_threads_may_launch_at_the_same_time"}, "signal handlers"),
    wrong.Prints: ({OUTPUT}, "-0: creating"),
    wrong.LeaksDescriptors: ({"no_descriptor_is_left_open"}, "assert"),
    wrong.LeavesAChild: ({"no_child_process_is_left"}, "a child of the plugin is still there"),
    guest.LeavesAThread: ({"no_thread_is_left"}, "after each life there are more threads"),
    guest.LeavesAZombie: ({"no_child_process_is_left"}, "was not waited for"),
    guest.NeedsManyFiles: ({SAME}, "limits"),
    guest.SpeaksAnotherLanguage: ({SAME}, "locale"),
    guest.SetsAnAlarm: ({SAME}, "timers"),
    guest.StepsBack: ({SAME}, "priority"),
    guest.ReapsEverybody: ({"children_of_others_are_not_waited_for"}, "the exit status of a child that is not its own"),
    guest.ClosesEverything: ({"every_call_returns"}, "it closed descriptors that are not its own"),
    guest.AdoptsOrphans: ({SAME}, "child subreaper"),
    guest.LogsToNobody: ({OUTPUT}, "-0 is creating"),
    guest.Warns: ({OUTPUT}, "the policy is out of date"),
    guest.LetsAProgramSpeak: ({OUTPUT}, "cl-life-"),
    guest.PatchesPython: ({"what_all_share_is_not_replaced"}, "os.unlink"),
    guest.CatchesWhatIsUncaught: ({SAME}, "sys.excepthook"),
    guest.HurriesSockets: ({SAME}, "sockets' timeout"),
    guest.BequeathsItsLog: ({"no_program_inherits_what_stays_open"}, "not close-on-exec"),
    guest.LeaksWhenItFails: ({"no_descriptor_is_left_open"}, "assert"),
    guest.ReadsStdin: ({"nothing_is_read_from_stdin"}, "for the container"),
    guest.Hangs: ({"every_call_returns"}, "corelaunch_moment at 'started' has not returned after 1 s"),
    guest.EndsTheProcess: ({"every_call_returns"}, "it ended the process of the runtime in corelaunch_moment"),
    guest.Exits: ({"a_veto_is_an_error_of_the_api[executing]"}, "SystemExit: not today"),
    guest.SwallowsInterrupts: ({"an_interrupt_goes_through"}, "moment 'creating', line"),
    guest.NeedsItsDirectory: ({"any_directory_and_a_bare_environment_will_do"}, "No such file or directory"),
    guest.NeedsTheEnvironment: ({"any_directory_and_a_bare_environment_will_do"}, "KeyError: 'HOME'"),
    answers.VetoesByFalse: ({"a_moment_is_answered_with_nothing[creating]"}, "is ignored"),
    answers.LogsInItsOwnWords: (
        {"nothing_is_raised_where_nothing_can_be_stopped[started]"},
        "logged with the level 'notice'",
    ),
    answers.ChangesTheProcess: ({"what_a_moment_tells_is_not_changed[executing]"}, "process"),
    answers.ChangesTheAnnotations: ({"what_a_moment_tells_is_not_changed[creating]"}, "annotations"),
    answers.ChangesThePlan: ({"adjusting_a_plan_changes_nothing"}, "it changed what it was given"),
    answers.WritesIntoTheRootfs: ({"adjusting_changes_nothing"}, "rootfs/opt"),
    answers.WritesWhilePlanning: ({"adjusting_a_plan_changes_nothing"}, "cl-life-plan-"),
    answers.CountsRequests: ({"adjusting_changes_nothing"}, "cl-life-count-"),
    answers.RemembersTheFirst: ({"edits_are_the_same_in_another_process"}, "a process that has seen no other"),
    answers.KnowsItsProcess: ({"edits_are_the_same_in_another_process"}, "RUNTIME_PID"),
    answers.NeedsALivingProcess: ({"a_process_that_has_ended_already_is_no_surprise[started]"}, "No such"),
    answers.NeedsTheBundle: ({"a_bundle_that_is_gone_is_no_surprise[stopped]"}, "No such file or directory"),
    answers.NeedsLinux: ({f"{LEAST}[without linux]"}, "KeyError: 'linux'"),
    answers.ShortensIds: ({"lives_of_several_containers_may_interleave"}, "runs already"),
    answers.MakesLongNames: ({"an_id_may_be_as_long_as_core_allows"}, "file name too long"),
    answers.ForgetsFailures: ({CLEAN}, "at 'failed' this is still there"),
    answers.TakesOverACommand: ({"commands_are_words_that_core_does_not_have"}, "is a command of core's"),
    answers.CommandsAreFunctions: ({"commands_are_words_that_core_does_not_have"}, "is no PluginCommand"),
    answers.ShoutsAtTheDoctor: ({"checks_are_ok_warn_or_fail_and_say_what"}, "the status 'error' is none"),
    answers.RepairsWhatItFinds: ({"being_asked_changes_nothing[corelaunch_doctor]"}, "only asked"),
    answers.CountsFeatures: ({"annotations_are_text_under_names_of_its_own"}, "is no text"),
    answers.SpeaksForCore: ({"annotations_are_text_under_names_of_its_own"}, "no name of the plugin's own domain"),
}

#: These break what most promises stand on.
FAR_REACHING = frozenset({wrong.MisspellsAHook, wrong.InventsAnArgument})

CONTRACTS = """
import json
import pytest
from corelaunch.testing import LifecycleContract, bundles, lifecycle_reference, lifecycle_wrong
from corelaunch.testing import lifecycle_wrong_answers, lifecycle_wrong_guest

with open("asked.json") as file:
    ASKED = json.load(file)

def contract(plugin):
    fixture = pytest.fixture(lambda self: plugin(), name="plugin")
    config = {**bundles.config("true"), **getattr(plugin, "accepts", {})}
    more = {"config": pytest.fixture(lambda self: config, name="config")}
    more["call_seconds"] = pytest.fixture(lambda self: 1.0 if plugin.__name__ == "Hangs" else 30.0, name="call_seconds")
    every = {name for name in dir(LifecycleContract) if name.startswith("test_")}
    more.update(dict.fromkeys(every.difference(ASKED.get(plugin.__name__, every))))
    return type(f"Test{plugin.__name__}", (LifecycleContract,), {"plugin": fixture, **more})

for module in (lifecycle_reference, lifecycle_wrong, lifecycle_wrong_answers, lifecycle_wrong_guest):
    for plugin in vars(module).values():
        if isinstance(plugin, type) and hasattr(plugin, "corelaunch_moment"):
            globals()[f"Test{plugin.__name__}"] = contract(plugin)

class TestForgotten(LifecycleContract):
    pass
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Class of the plugin -> promise -> "" (kept), "skipped", or the failure's text."""
    directory = tmp_path_factory.mktemp("contract")
    (directory / "test_contracts.py").write_text(CONTRACTS)
    asked = {
        plugin.__name__: sorted({f"test_{promise.partition('[')[0]}" for promise in COMMON | promises})
        for plugin, (promises, _) in WRONG.items()
    }
    (directory / "asked.json").write_text(json.dumps(asked))
    try:
        return play(directory)
    finally:
        for note in Path("/dev/shm").glob("cl-life-*-cl-life-*"):  # of ForgetsFailures
            note.unlink(missing_ok=True)


@pytest.mark.parametrize("plugin", RIGHT)
def test_a_right_plugin_keeps_every_promise(report: Report, plugin: str) -> None:
    assert failed(report[plugin]) == {}


def test_every_promise_is_kept_by_the_reference_and_none_is_skipped(report: Report) -> None:
    assert set(report["ReferenceLifecycle"].values()) == {""}
    assert "skipped" in report[OnlooksLifecycle.__name__].values()


def test_every_wrong_plugin_is_played() -> None:
    every = [*vars(wrong).values(), *vars(answers).values(), *vars(guest).values()]
    classes = {c for c in every if isinstance(c, type) and issubclass(c, ReferenceLifecycle)}
    assert classes - {ReferenceLifecycle} == set(WRONG)


@pytest.mark.parametrize("plugin", WRONG, ids=lambda plugin: plugin.__name__)
def test_a_wrong_plugin_breaks_what_it_was_made_to_break(report: Report, plugin: type[ReferenceLifecycle]) -> None:
    promises, reason = WRONG[plugin]
    broken = failed(report[plugin.__name__])
    assert set(broken) >= promises, broken
    if plugin not in FAR_REACHING:
        # A promise for each moment may be broken at several.
        assert {promise.partition("[")[0] for promise in broken} == {one.partition("[")[0] for one in promises}, broken
    assert any(reason in broken[promise] for promise in promises), broken


def test_a_contract_without_its_fixture_says_which_one_to_define(report: Report) -> None:
    texts = report["Forgotten"].values()
    assert all("TestForgotten must define a `plugin` fixture" in text for text in texts)
