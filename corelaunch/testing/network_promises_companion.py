"""Promises of a network strategy whose interface a program serves: it is announced, and ends with the container."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import errno
import time
from collections.abc import Iterable

import pytest

from corelaunch.api import Effect, KernelError, start_time

from .network_host import EffectRecorder, LaterProcess, is_running
from .network_stage import Stage, die_creating

#: How long a program may take to end.
END_SECONDS = 10.0
KIND = "companion"


class Accompanied:
    """No program runs that the journal does not know, and none outlives its container."""

    def test_a_program_is_in_the_journal_and_runs(self, stage: Stage) -> None:
        stage.need("companion")
        recorder = stage.give(stage.place())
        assert running(recorder.effects) != []
        assert [effect for effect in recorder.all_effects if not effect.done] == []

    def test_a_program_does_not_run_when_its_announcement_fails(self, stage: Stage) -> None:
        stage.need("companion")
        seen: list[Effect] = []

        def fail(effect: Effect) -> None:
            seen.append(effect)
            if effect.kind == KIND:
                raise KernelError("cannot write the journal", errno=errno.ENOSPC)

        recorder = EffectRecorder(at_intend=fail)
        placement = stage.place()
        with pytest.raises(KernelError, match="journal"):
            stage.create(placement, recorder)
        assert running(seen) == []
        stage.strategy.destroy(placement, recorder.effects)
        assert set(stage.container.links()) == {"lo"}

    def test_a_program_ends_with_the_containers_process(self, stage: Stage) -> None:
        stage.need("companion")
        recorder = stage.give(stage.place())
        stage.container.kill()
        end = time.monotonic() + END_SECONDS
        while running(recorder.effects) and time.monotonic() < end:
            time.sleep(0.01)
        assert running(recorder.effects) == []

    def test_a_program_ends_with_destroy_in_a_later_process(self, stage: Stage, later_process: LaterProcess) -> None:
        stage.need("companion")
        placement = stage.place()
        recorder = stage.give(placement)
        assert later_process.destroy(placement, recorder.effects) == ""
        assert running(recorder.effects) == []

    def test_a_program_that_was_started_before_a_kill_9_ends_with_destroy(self, stage: Stage) -> None:
        stage.need("companion")
        placement = stage.place()
        name = next(effect.name for effect in stage.create(placement).effects if effect.kind == KIND)
        with_second = stage.place(index=1)
        second = with_second.container_name
        effects = die_creating(stage, with_second, name.replace(placement.container_name, second))
        assert running(effects) != [], "it was confirmed before it was started"
        stage.strategy.destroy(with_second, effects)
        assert running(effects) == []
        assert second not in stage.container.links()

    def test_a_process_that_has_the_number_since_is_left_alone(self, stage: Stage) -> None:
        stage.need("companion")
        placement = stage.place()
        recorder = stage.create(placement)
        later = [
            effect.replace(args={**effect.args, "start_time": effect.args["start_time"] - 1})
            if effect.kind == KIND
            else effect
            for effect in recorder.effects
        ]
        stage.strategy.destroy(placement, later)
        assert running(recorder.effects) != []


def running(effects: Iterable[Effect]) -> list[int]:
    """Leaders of announced programs that run."""
    pids = [effect.args["pid"] for effect in effects if effect.kind == KIND and _is_still_it(effect)]
    return [pid for pid in pids if is_running(pid)]


def _is_still_it(effect: Effect) -> bool:
    started: int = effect.args["start_time"]
    return start_time(effect.args["pid"]) == started
