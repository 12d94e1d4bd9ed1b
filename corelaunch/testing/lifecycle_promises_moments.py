"""Promises of a lifecycle plugin about the moments of containers' lives."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import os
import tempfile

import pytest

from corelaunch.adjustment import copied
from corelaunch.api import CorelaunchError, PluginError
from corelaunch.hookspecs import MOMENTS, VETOES
from corelaunch.plugins.lifecycle_hooks import call_all

from .guest_child import Changes
from .lifecycle_stage import LIFE, NAME, Stage, an_ended_process

#: Letters of an id as engines make them, and of the longest that there may be.
USUAL, LONGEST = 64, 223


class Observing:
    """Moments come in any order that life brings, in several processes, and those on the way down are only told."""

    @pytest.mark.parametrize("name", [name for name in MOMENTS if name not in VETOES])
    def test_nothing_is_raised_where_nothing_can_be_stopped(self, stage: Stage, name: str) -> None:
        stage.need("corelaunch_moment")
        stage.lead_up_to(name)
        stage.tell(name)

    @pytest.mark.parametrize("name", VETOES)
    def test_a_veto_is_an_error_of_the_api(self, stage: Stage, name: str) -> None:
        """Any other exception reads like a bug, and hides the reason from whoever must act on it."""
        stage.need("corelaunch_moment")
        stage.lead_up_to(name)
        try:
            stage.tell(name)
        except PluginError as error:
            # What is none of the API becomes a PluginError whose ``what`` says "failed"
            assert not error.what.endswith("failed"), f"a veto that looks like a bug: {error}"
        except CorelaunchError:
            pass

    @pytest.mark.parametrize("name", MOMENTS)
    def test_a_moment_is_answered_with_nothing(self, stage: Stage, name: str) -> None:
        """Who returns False to say no is not heard: a veto is an exception."""
        stage.need("corelaunch_moment")
        stage.lead_up_to(name)
        told = {"moment": stage.moment(name)}
        answers = call_all(stage.registry, [(NAME, "")], "corelaunch_moment", name, up=name in VETOES, **told)
        assert answers == [], f"what a plugin returns at {name!r} is ignored"

    @pytest.mark.parametrize("name", MOMENTS)
    def test_what_a_moment_tells_is_not_changed(self, stage: Stage, name: str) -> None:
        """Only edits change a container, so that ``plan`` and the journal can tell of them."""
        stage.need("corelaunch_moment")
        stage.lead_up_to(name)
        moment = stage.moment(name)
        before = copied(moment.as_dict())
        stage.hooks["corelaunch_moment"](moment=moment, log=lambda level, message: None)
        after = moment.as_dict()
        assert [field for field in before if before[field] != after[field]] == [], "these were changed"

    def test_a_moment_of_a_later_release_is_passed_over(self, stage: Stage) -> None:
        stage.need("corelaunch_moment")
        stage.tell("checkpointed")

    def test_a_later_process_needs_no_memory_of_an_earlier_one(self, stage: Stage) -> None:
        """``create``, ``start`` and ``delete`` are commands of their own."""
        stage.need("corelaunch_moment")
        for name in LIFE:
            error = stage.child.run(lambda name=name: stage.tell(name)).error  # type: ignore[misc]
            assert error == "", f"in a process that has seen nothing before {name!r}: {error}"

    @pytest.mark.parametrize("name", ["created", "started", "executed", "paused", "resumed", "updated"])
    def test_a_process_that_has_ended_already_is_no_surprise(self, stage: Stage, name: str) -> None:
        """It runs beside us: what is looked up by ``moment.pid`` may be gone."""
        stage.need("corelaunch_moment")
        stage.lead_up_to(name)
        stage.tell(name, pid=an_ended_process())

    @pytest.mark.parametrize("name", ["stopped", "deleted", "failed"])
    def test_a_bundle_that_is_gone_is_no_surprise(self, stage: Stage, name: str) -> None:
        """Engines may remove it as soon as the container has ended, and ``gc`` comes later still."""
        stage.need("corelaunch_moment")
        stage.lead_up_to(name)
        stage.tell(name, bundle=f"{stage.directory}/gone")

    def test_the_end_may_be_told_twice(self, stage: Stage) -> None:
        """A delete that could not remove everything is tried again."""
        stage.need("corelaunch_moment")
        for name in ("creating", "stopped", "stopped", "deleted", "deleted"):
            stage.tell(name)

    def test_a_create_that_failed_may_be_tried_again(self, stage: Stage) -> None:
        """With the same id; "failed" is the end of the one before."""
        stage.need("corelaunch_moment")
        for step in ("", "spawn", "end of sync"):
            stage.tell("creating")
            stage.tell("failed", step=step)
        stage.live()

    def test_lives_of_several_containers_may_interleave(self, stage: Stage) -> None:
        stage.need("corelaunch_moment")
        for name in LIFE:
            for container_id in (stage.id(1, letters=USUAL), stage.id(2, letters=USUAL)):
                stage.tell(name, container_id)

    def test_an_id_may_live_again(self, stage: Stage) -> None:
        for _ in range(2):
            stage.live()

    def test_an_id_may_be_as_long_as_core_allows(self, stage: Stage) -> None:
        """223 letters, so that 32 more make a file name of it."""
        stage.live(stage.id(letters=LONGEST))

    @pytest.mark.parametrize("end", ["deleted", "failed"])
    def test_nothing_is_left_of_a_container_that_is_gone(self, stage: Stage, end: str) -> None:
        """What was made for it in /run, /dev/shm and the directory for temporaries; a log elsewhere may stay."""
        stage.need("corelaunch_moment")
        first = stage.id(1, letters=USUAL)
        places = ("/run", "/var/run", "/dev/shm", os.path.realpath(tempfile.gettempdir()))

        def work() -> list[str]:
            changes = Changes()
            if end == "deleted":
                stage.live(first)
            else:
                stage.adjusted(container_id=first)
                stage.tell("creating", first)
                stage.tell("hooks point", first)
                stage.tell("failed", first)
            changes.active = False
            return changes.left(first, places, os.path.dirname(os.path.dirname(stage.directory)))

        assert stage.apart(work) == [], f"at {end!r} this is still there"
