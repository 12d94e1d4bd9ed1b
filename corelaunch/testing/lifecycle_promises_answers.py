"""Promises of a lifecycle plugin about what it says and answers: its hooks, edits, commands, checks and annotations."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from corelaunch.adjustment import copied
from corelaunch.api import API_VERSION, CorelaunchError, DoctorCheck, PluginCommand, PluginError

from .lifecycle_stage import Stage

#: What the runtime-spec lets a config leave out (config.md: mounts, annotations, hooks, and linux itself).
_LEAST = {
    "without mounts and annotations": {"namespaces": [{"type": "mount"}]},
    "without linux": None,
}


class Declaring:
    """A plugin says what it is, in words that core knows, and every call of it comes to an end."""

    def test_it_says_for_which_api_it_was_written(self, stage: Stage) -> None:
        assert getattr(stage.plugin, "corelaunch_api", None) == API_VERSION

    def test_every_hook_exists_and_takes_arguments_that_exist(self, stage: Stage) -> None:
        assert stage.hooks

    def test_every_call_returns(self, stage: Stage) -> None:
        """In time, and to a process that has still what is its own: core waits for it, and so do all after it."""
        why = stage.trial()
        assert not why, why


class Adjusting:
    """Edits are asked for and never made, the same every time, and give a config that core accepts."""

    def test_edits_give_a_config_that_core_accepts(self, stage: Stage) -> None:
        stage.need("corelaunch_adjust_config")
        stage.adjusted()

    @pytest.mark.parametrize("left_out", _LEAST)
    def test_a_config_that_leaves_out_what_is_optional_will_do(self, stage: Stage, left_out: str) -> None:
        stage.need("corelaunch_adjust_config")
        process = {"args": ["true"], "cwd": "/"}
        least: dict[str, Any] = {key: stage.config[key] for key in ("ociVersion", "root")} | {"process": process}
        if _LEAST[left_out] is not None:
            least["linux"] = _LEAST[left_out]
        try:
            stage.adjusted(least)
        except PluginError:
            raise
        except CorelaunchError:
            pass  # it may refuse such a config; it must not stumble over it

    def test_the_same_config_gets_the_same_edits(self, stage: Stage) -> None:
        """``corelaunch plan`` must show what ``create`` will do."""
        stage.need("corelaunch_adjust_config")
        first = stage.edits()
        stage.edits(stage.id(1))
        assert stage.edits() == first

    def test_edits_are_the_same_in_another_process(self, stage: Stage) -> None:
        """``plan`` and ``create`` are two, and a program has seen other containers before."""
        stage.need("corelaunch_adjust_config")
        alone = stage.apart(lambda: stage.edits(stage.id(2)))
        stage.edits(stage.id(1))
        after_another = stage.edits(stage.id(2))
        assert after_another == alone, "other edits than in a process that has seen no other container"

    def test_the_same_plan_gets_the_same_edits(self, stage: Stage) -> None:
        stage.need("corelaunch_adjust_plan")
        assert stage.planned() == stage.planned()

    def test_adjusting_changes_nothing(self, stage: Stage) -> None:
        """Neither the config that was handed in, nor the bundle, nor any file: ``corelaunch plan`` asks, too."""
        stage.need("corelaunch_adjust_config")
        before, files = copied(stage.config), stage.bundle_files()
        changes = stage.changes_of(stage.adjusted)
        assert changes == [], "adjusting is only asking, and this was changed"
        stage.adjusted()
        assert (stage.config, stage.bundle_files()) == (before, files)

    def test_adjusting_a_plan_changes_nothing(self, stage: Stage) -> None:
        """What is handed in is a copy: a change of it is lost, and only an edit counts."""
        stage.need("corelaunch_adjust_plan")
        changes = stage.changes_of(stage.planned)
        assert changes == [], "adjusting is only asking, and this was changed"
        config, plan = stage.plan()
        given = {"config": copied(config), "plan": plan.json(), "container_id": stage.id(), "bundle": stage.directory}
        stage.hooks["corelaunch_adjust_plan"](**given)
        changed = [name for name, value in (("config", config), ("plan", plan.json())) if given[name] != value]
        assert changed == [], "it changed what it was given; return edits, see corelaunch.api"


class Extending:
    """Commands, checks of ``doctor`` and annotations of ``features``, as core takes them."""

    def test_commands_are_words_that_core_does_not_have(self, stage: Stage) -> None:
        """A command of core's cannot be replaced: one of the same name would never be called."""
        from ..cli.main import COMMANDS

        commands = self.answer(stage, "corelaunch_commands")
        for one in commands if isinstance(commands, (list, tuple)) else [commands]:
            assert type(one) is PluginCommand, f"{one!r} is no PluginCommand"
            good = one.name and one.name.isascii() and one.name.replace("-", "").isalnum() and one.name[0] != "-"
            assert good, f"{one.name!r} is no word for a command"
            assert one.name not in COMMANDS, f"{one.name!r} is a command of core's, which cannot be replaced"
            assert one.summary and "\n" not in one.summary, f"{one.name!r} has no summary of one line"
            assert callable(one.run), f"{one.name!r} cannot be run"
        names = [one.name for one in commands] if isinstance(commands, (list, tuple)) else []
        assert len(set(names)) == len(names), f"two commands of one name: {names}"

    def test_checks_are_ok_warn_or_fail_and_say_what(self, stage: Stage) -> None:
        for one in self.answer(stage, "corelaunch_doctor"):
            assert type(one) is DoctorCheck, f"{one!r} is no DoctorCheck"
            assert one.status in ("ok", "warn", "fail"), f"{one.name}: the status {one.status!r} is none"
            assert one.name and one.text, f"{one!r} does not say what was looked at, or what was found"

    def test_annotations_are_text_under_names_of_its_own(self, stage: Stage) -> None:
        answer = self.answer(stage, "corelaunch_features")
        assert isinstance(answer, Mapping), f"{answer!r} is no mapping"
        for name, value in answer.items():
            assert type(name) is str and type(value) is str, f"{name!r}: {value!r} is no text"
            others = name.startswith(("org.opencontainers.", "org.corelaunch.version", "org.corelaunch.cgroup"))
            assert "." in name and not others, f"{name!r} is no name of the plugin's own domain"

    @pytest.mark.parametrize("hook", ["corelaunch_commands", "corelaunch_doctor", "corelaunch_features"])
    def test_being_asked_changes_nothing(self, stage: Stage, hook: str) -> None:
        """The same question gets the same answer, and no file is touched."""
        stage.need(hook)
        call: Callable[[], Any] = stage.hooks[hook]
        changes = stage.changes_of(call)
        assert changes == [], f"{hook} is only asked, and this was changed"

    def answer(self, stage: Stage, hook: str) -> Any:
        """What a hook answers; an exception of it is the failure."""
        stage.need(hook)
        answer = stage.hooks[hook]()
        return [] if answer is None and hook != "corelaunch_features" else answer
