"""What is told of a broken promise: the plugin's own line where there is one, and one cause for what it has broken."""

from __future__ import annotations

from types import ModuleType

import pytest

from corelaunch.api import KernelError, PluginError, Unsupported
from corelaunch.testing.failure_causes import cause_of

PLUGIN = """
def stumble(number):
    raise KeyError(f"container-{number}")
"""


@pytest.fixture
def plugin() -> ModuleType:
    module = ModuleType("plugin")
    exec(compile(PLUGIN, "/home/author/corelaunch_mine/manager.py", "exec"), vars(module))
    return module


def caught(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as found:  # noqa: BLE001 -- it is what the test is about
        return found


def test_two_promises_that_met_one_line_of_the_plugin_have_one_cause(plugin: ModuleType) -> None:
    causes = []
    for number in (1, 2):
        with pytest.raises(KeyError) as info:
            plugin.stumble(number)
        causes.append(cause_of(caught(PluginError(f"failed at moment {number}"), info.value)))
    assert causes[0][0] == causes[1][0]
    assert causes[0][1] == "failed at moment 1 (corelaunch_mine/manager.py:3)"
    assert cause_of(info.value)[1] == "KeyError: 'container-2' (corelaunch_mine/manager.py:3)"


def test_an_error_that_was_raised_from_itself_has_an_end() -> None:
    error = KernelError("cannot make it", why="no")
    assert cause_of(caught(error, error))[1].startswith("cannot make it: no")


def test_assertions_of_different_promises_are_different_causes() -> None:
    first, second = caught(AssertionError("15 of 16")), AssertionError("15 of 17")
    assert cause_of(first)[1] == "15 of 16"
    assert cause_of(first)[0] != cause_of(second)[0]


def test_what_was_not_refused_is_told_in_words() -> None:
    words = []
    for _ in range(2):
        with pytest.raises(pytest.fail.Exception) as info, pytest.raises(KernelError):
            pass
        words.append(cause_of(info.value))
    assert words[0] == words[1]
    assert words[0][1].startswith("nothing was refused here, and the promise is an error (")


def test_a_feature_that_is_claimed_and_refused_is_told_so() -> None:
    words = cause_of(caught(Unsupported("freeze is not supported")))[1]
    assert words.startswith("the plugin refuses what its features promise: freeze is not supported")
