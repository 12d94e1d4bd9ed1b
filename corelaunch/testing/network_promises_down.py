"""Promises of a network strategy on the way down: destroy, from the journal alone, at whatever point it was cut."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import errno
import time

import pytest

from corelaunch.api import Effect, KernelError

from .guest_surroundings import added, descriptors
from .network_host import EffectRecorder, LaterProcess, host_links
from .network_stage import CLEANUP_SECONDS, Stage, die_creating, own_links, replace_by_foreign


class ComingDown:
    """``destroy`` removes what the effects prove to be ours, all of it and nothing else."""

    def test_destroy_leaves_nothing_and_may_be_called_twice(self, stage: Stage) -> None:
        placement, before = stage.place(), set(host_links())
        recorder = stage.give(placement)
        stage.strategy.destroy(placement, recorder.effects)
        assert set(host_links()) == before
        stage.strategy.destroy(placement, recorder.effects)

    def test_destroy_in_a_later_process_needs_only_the_journal(self, stage: Stage, later_process: LaterProcess) -> None:
        placement, before = stage.place(), set(host_links())
        recorder = stage.give(placement)
        assert later_process.destroy(placement, recorder.effects) == ""
        assert set(host_links()) == before

    def test_destroy_removes_only_what_the_effects_name(self, stage: Stage) -> None:
        placement = stage.place_on_host()
        stage.create(placement)
        stage.strategy.destroy(placement, [])
        assert placement.host_name in host_links()

    def test_destroy_copes_with_a_dead_network_namespace(self, stage: Stage) -> None:
        placement, before = stage.place(), set(host_links())
        recorder = stage.give(placement)
        stage.container.die()
        stage.strategy.destroy(placement, recorder.effects)
        deadline = time.monotonic() + CLEANUP_SECONDS
        while set(host_links()) != before and time.monotonic() < deadline:
            time.sleep(0.02)
        stage.strategy.destroy(placement, recorder.effects)
        assert set(host_links()) == before

    def test_destroy_leaves_a_foreign_link_that_took_the_name_since(self, stage: Stage) -> None:
        placement = stage.place_on_host()
        recorder = stage.create(placement)
        replace_by_foreign(placement.host_name)
        before = own_links(placement)
        stage.strategy.destroy(placement, recorder.effects)
        assert own_links(placement) == before

    def test_kill_9_before_the_confirmation_leaves_what_destroy_finds(self, stage: Stage) -> None:
        placement, before = stage.place_on_host(), set(host_links())
        effects = die_creating(stage, placement, placement.host_name)
        assert placement.host_name in host_links(), "it was confirmed before it was made"
        stage.strategy.destroy(placement, effects)
        assert set(host_links()) == before

    def test_destroy_leaves_a_foreign_link_in_place_of_an_unconfirmed_one(self, stage: Stage) -> None:
        placement = stage.place_on_host()
        effects = die_creating(stage, placement, placement.host_name)
        replace_by_foreign(placement.host_name)
        before = own_links(placement)
        stage.strategy.destroy(placement, effects)
        assert own_links(placement) == before

    def test_create_that_fails_at_the_confirmation_is_undone_from_the_journal(
        self, stage: Stage, later_process: LaterProcess
    ) -> None:
        def fail(effect: Effect) -> None:
            raise KernelError("cannot write the journal", errno=errno.ENOSPC)

        placement, before, recorder = stage.place_on_host(), set(host_links()), EffectRecorder(at_done=fail)
        with pytest.raises(KernelError, match="journal"):
            stage.create(placement, recorder)
        assert later_process.destroy(placement, recorder.effects) == ""
        assert set(host_links()) == before

    def test_no_descriptor_is_left_open(self, stage: Stage) -> None:
        seen = []
        for index in range(3):
            placement = stage.place(index=index)
            stage.strategy.destroy(placement, stage.give(placement).effects)
            seen.append(descriptors())
        # The first round may open what stays for the life of the process.
        assert not added(seen[1], seen[2]), f"left open with each round: {added(seen[1], seen[2])}"
