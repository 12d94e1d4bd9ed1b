"""The lifecycle contract is tested itself: right plugins pass, each wrong one fails for its own reason.

All of them run in one pytest of their own; the tests here read its report.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from bites import Report, failed, play

from corelaunch.testing import lifecycle_wrong as wrong
from corelaunch.testing.lifecycle_reference import OnlooksLifecycle, ReferenceLifecycle

RIGHT = ("ReferenceLifecycle", "OnlooksLifecycle", "ChoosyLifecycle")
HOOKS = "every_hook_exists_and_takes_arguments_that_exist"

#: Wrong plugin -> promises that it breaks (without "test_"), words of a reason.
WRONG: Mapping[type[ReferenceLifecycle], tuple[set[str], str]] = {
    wrong.ForgetsTheApi: ({"it_says_for_which_api_it_was_written"}, "None == 1"),
    wrong.MisspellsAHook: ({HOOKS}, "corelaunch_momnt is no hook, corelaunch_moment is"),
    wrong.InventsAnArgument: ({HOOKS}, "corelaunch_moment has no argument 'container', only moment"),
    wrong.ChangesTheConfig: ({"edits_give_a_config_that_core_accepts"}, "it changed the config that it was given"),
    wrong.ReturnsAConfig: ({"edits_give_a_config_that_core_accepts"}, "none of its edits"),
    wrong.AsksForTheImpossible: ({"edits_give_a_config_that_core_accepts"}, "process.rlimits"),
    wrong.ExpectsEverything: ({"a_config_that_leaves_out_what_is_optional_will_do"}, "KeyError: 'mounts'"),
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
    wrong.EndsOnce: ({"the_end_may_be_told_twice"}, "deleted twice"),
    wrong.OneAtATime: ({"lives_of_several_containers_may_interleave"}, "is not finished"),
    wrong.GoesElsewhere: ({"the_process_stays_as_it_was"}, "working directory"),
    wrong.IgnoresPipes: (
        {"the_process_stays_as_it_was", "several_threads_may_launch_at_the_same_time"},
        "signal handlers",
    ),
    wrong.Prints: ({"nothing_is_written_to_stdout_or_stderr"}, "cl-life-0: creating"),
    wrong.LeaksDescriptors: ({"no_descriptor_is_left_open"}, "assert"),
    wrong.LeavesAChild: ({"no_child_process_is_left"}, "a child of the plugin is still there"),
}

#: These break what all promises stand on, or leave the process in another state for the tests after them.
FAR_REACHING = frozenset(
    {
        wrong.MisspellsAHook,
        wrong.InventsAnArgument,
        wrong.ChangesTheConfig,
        wrong.ReturnsAConfig,
        wrong.AsksForTheImpossible,
        wrong.StumblesComingDown,
        wrong.AssertsItsVeto,
        wrong.RemembersInMemory,
        wrong.OneAtATime,
        wrong.EndsOnce,
    }
)

CONTRACTS = """
import pytest
from corelaunch.testing import LifecycleContract, bundles, lifecycle_reference, lifecycle_wrong

def contract(plugin):
    fixture = pytest.fixture(lambda self: plugin(), name="plugin")
    config = {**bundles.config("true"), **getattr(plugin, "accepts", {})}
    more = {"config": pytest.fixture(lambda self: config, name="config")}
    return type(f"Test{plugin.__name__}", (LifecycleContract,), {"plugin": fixture, **more})

for module in (lifecycle_reference, lifecycle_wrong):
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
    return play(directory)


@pytest.mark.parametrize("plugin", RIGHT)
def test_a_right_plugin_keeps_every_promise(report: Report, plugin: str) -> None:
    assert failed(report[plugin]) == {}


def test_every_promise_is_kept_by_the_reference_and_none_is_skipped(report: Report) -> None:
    assert set(report["ReferenceLifecycle"].values()) == {""}
    assert "skipped" in report[OnlooksLifecycle.__name__].values()


def test_every_wrong_plugin_is_played() -> None:
    classes = {c for c in vars(wrong).values() if isinstance(c, type) and issubclass(c, ReferenceLifecycle)}
    assert classes - {ReferenceLifecycle} == set(WRONG)


@pytest.mark.parametrize("plugin", WRONG, ids=lambda plugin: plugin.__name__)
def test_a_wrong_plugin_breaks_what_it_was_made_to_break(report: Report, plugin: type[ReferenceLifecycle]) -> None:
    promises, reason = WRONG[plugin]
    broken = failed(report[plugin.__name__])
    assert set(broken) >= promises
    if plugin not in FAR_REACHING:
        assert set(broken) == promises
    assert any(reason in broken[promise] for promise in promises), broken


def test_a_contract_without_its_fixture_says_which_one_to_define(report: Report) -> None:
    texts = report["Forgotten"].values()
    assert all("TestForgotten must define a `plugin` fixture" in text for text in texts)
