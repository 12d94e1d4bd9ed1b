"""What every lifecycle plugin promises, as tests: subclass :class:`LifecycleContract` and say which plugin.

    class TestAudit(LifecycleContract):
        @pytest.fixture
        def plugin(self):
            return corelaunch_audit      # the module or object of the entry point

Or without a line of code: ``pytest --corelaunch-contract lifecycle:NAME``. The test names are promises: one is renamed
only after a release that warns. No container is made and no root needed: the hooks are called as core calls them. A
plugin that refuses most configs overrides the fixture ``config`` with one that it accepts.
"""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from corelaunch.adjustment import copied
from corelaunch.api import API_VERSION, CorelaunchError, PluginError
from corelaunch.hookspecs import MOMENTS, VETOES

from .bundles import config as default_config
from .lifecycle_stage import LIFE, Stage, at_once, children, in_later_process, surroundings


class Declaring:
    """A plugin says what it is, in words that core knows."""

    def test_it_says_for_which_api_it_was_written(self, stage: Stage) -> None:
        assert getattr(stage.plugin, "corelaunch_api", None) == API_VERSION

    def test_every_hook_exists_and_takes_arguments_that_exist(self, stage: Stage) -> None:
        assert stage.hooks


class Adjusting:
    """Edits are asked for and never made, the same every time, and give a config that core accepts."""

    def test_edits_give_a_config_that_core_accepts(self, stage: Stage) -> None:
        stage.need("corelaunch_adjust_config")
        stage.adjusted()

    def test_a_config_that_leaves_out_what_is_optional_will_do(self, stage: Stage) -> None:
        """runtime-spec, config.md: mounts, annotations, hooks and most of linux and process may be absent."""
        stage.need("corelaunch_adjust_config")
        process = {"args": ["true"], "cwd": "/"}
        least = {key: stage.config[key] for key in ("ociVersion", "root")} | {"process": process}
        least["linux"] = {"namespaces": [{"type": "mount"}]}
        try:
            stage.adjusted(least)
        except PluginError:
            raise
        except CorelaunchError:
            pass  # it may refuse such a config; it must not stumble over it

    def test_the_same_config_gets_the_same_edits(self, stage: Stage) -> None:
        """``corelaunch plan`` must show what ``create`` will do."""
        stage.need("corelaunch_adjust_config")
        first = [one.json() for one in stage.adjusted().edits]
        stage.adjusted(container_id="cl-life-1")
        assert [one.json() for one in stage.adjusted().edits] == first

    def test_the_same_plan_gets_the_same_edits(self, stage: Stage) -> None:
        stage.need("corelaunch_adjust_plan")
        assert stage.planned() == stage.planned()

    def test_adjusting_changes_nothing(self, stage: Stage) -> None:
        """Neither the config that was handed in, nor the bundle."""
        stage.need("corelaunch_adjust_config")
        before, files = copied(stage.config), sorted(os.listdir(stage.directory))
        stage.adjusted()
        assert (stage.config, sorted(os.listdir(stage.directory))) == (before, files)


class Observing:
    """Moments come in any order that life brings, in several processes, and those on the way down are only told."""

    @pytest.mark.parametrize("name", [name for name in MOMENTS if name not in VETOES])
    def test_nothing_is_raised_where_nothing_can_be_stopped(self, stage: Stage, name: str) -> None:
        stage.need("corelaunch_moment")
        stage.tell(name)

    @pytest.mark.parametrize("name", VETOES)
    def test_a_veto_is_an_error_of_the_api(self, stage: Stage, name: str) -> None:
        """Any other exception reads like a bug, and hides the reason from whoever must act on it."""
        stage.need("corelaunch_moment")
        try:
            stage.tell(name)
        except PluginError as error:
            # What is none of the API becomes a PluginError whose ``what`` says "failed"
            assert not error.what.endswith("failed"), f"a veto that looks like a bug: {error}"
        except CorelaunchError:
            pass

    def test_a_moment_of_a_later_release_is_passed_over(self, stage: Stage) -> None:
        stage.need("corelaunch_moment")
        stage.tell("checkpointed")

    def test_a_later_process_needs_no_memory_of_an_earlier_one(self, stage: Stage) -> None:
        """``create``, ``start`` and ``delete`` are commands of their own."""
        stage.need("corelaunch_moment")
        for name in LIFE:
            error = in_later_process(lambda name=name: stage.tell(name))  # type: ignore[misc]
            assert error == "", f"in a process that has seen nothing before {name!r}: {error}"

    def test_the_end_may_be_told_twice(self, stage: Stage) -> None:
        """A delete that could not remove everything is tried again."""
        stage.need("corelaunch_moment")
        for name in ("creating", "stopped", "stopped", "deleted", "deleted"):
            stage.tell(name)

    def test_lives_of_several_containers_may_interleave(self, stage: Stage) -> None:
        stage.need("corelaunch_moment")
        for name in LIFE:
            for container_id in ("cl-life-1", "cl-life-2"):
                stage.tell(name, container_id)

    def test_an_id_may_live_again(self, stage: Stage) -> None:
        for _ in range(2):
            stage.live()


class Behaving:
    """A plugin is a guest in the runtime's process, and in that of whoever uses the API."""

    def test_the_process_stays_as_it_was(self, stage: Stage) -> None:
        before = surroundings()
        stage.live()
        after = surroundings()
        assert [what for what in before if before[what] != after[what]] == [], "these were changed"

    def test_nothing_is_written_to_stdout_or_stderr(self, stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
        """They are the container's, and engines parse what the command itself writes."""
        stage.live()
        assert capfd.readouterr() == ("", "")

    def test_no_descriptor_is_left_open(self, stage: Stage) -> None:
        counts = []
        for _ in range(3):
            stage.live()
            counts.append(len(os.listdir("/proc/self/fd")))
        # The first life may open what stays for the life of the process.
        assert counts[1] == counts[2]

    def test_no_child_process_is_left(self, stage: Stage) -> None:
        """The command ends at once, and an engine's subreaper would find a process that it does not know."""
        before = children()
        stage.live()
        assert children() - before == set(), "a child of the plugin is still there, or was not waited for"

    def test_several_threads_may_launch_at_the_same_time(self, stage: Stage) -> None:
        works = [lambda number=number: stage.live(f"cl-life-{number}") for number in range(4)]
        assert at_once(*works) == []


class LifecycleContract(Declaring, Adjusting, Observing, Behaving):
    """Promises of a lifecycle plugin. Fixtures: ``plugin`` must be overridden, ``config`` may."""

    @pytest.fixture
    def plugin(self) -> Any:
        """The module or object of the entry point."""
        pytest.fail(f"{type(self).__name__} must define a `plugin` fixture that returns the lifecycle plugin")

    @pytest.fixture
    def config(self) -> Mapping[str, Any]:
        """A config.json that the plugin accepts."""
        return default_config("true")

    @pytest.fixture
    def stage(self, plugin: Any, config: Mapping[str, Any], tmp_path: Path) -> Stage:
        """The plugin, and what the tests do to it."""
        return Stage(plugin, config, tmp_path)
