"""Promises of an RDT manager on the way down: destroy, from the journal alone."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import os

from .cgroup_subject import wait_until
from .guest_surroundings import added, descriptors
from .rdt_stage import LaterProcess, Stage


class ComingDown:
    """``destroy`` removes what the effects prove to be ours, all of it and nothing else."""

    def test_destroy_leaves_nothing_and_twice_is_harmless(self, stage: Stage) -> None:
        made = stage.create(stage.request(monitoring="monitoring" in stage.manager.features))
        for _ in range(2):
            stage.manager.destroy(made.placement, made.ctx.effects)
            left = [path for path in stage.groups(made) if os.path.lexists(path)]
            assert not left, f"left behind: {left}"

    def test_destroy_in_a_later_process_needs_only_the_journal(self, stage: Stage) -> None:
        stage.create(stage.request(9))  # what is learnt here the later process does not know
        later = LaterProcess(stage.manager)
        made = stage.create()
        assert stage.destroy_later(later, made) == ""
        assert not os.path.lexists(made.placement.clos), "the later process left the CLOS: num_closids will run out"

    def test_destroy_goes_by_the_effects_alone(self, stage: Stage) -> None:
        made = stage.create()
        stage.manager.destroy(made.placement, [])
        assert os.path.isdir(made.placement.clos), "removed without an effect that says it is ours"

    def test_destroy_leaves_a_foreign_group_that_took_the_name_since(self, stage: Stage) -> None:
        made = stage.create()
        held = os.open(made.placement.clos, os.O_RDONLY | os.O_DIRECTORY)  # or the inode is used again
        stage.files.rmdir(made.placement.clos)
        stage.files.mkdir(made.placement.clos)
        stage.manager.destroy(made.placement, made.ctx.effects)
        os.close(held)
        assert os.path.isdir(made.placement.clos), "removed, though it was somebody else's"

    def test_destroy_of_a_shared_closid_removes_only_the_monitoring_group(self, stage: Stage) -> None:
        stage.need("monitoring")
        path = stage.make_group("cl-rdt-shared")
        made = stage.create(stage.request(clos_id="cl-rdt-shared", monitoring=True))
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert os.path.isdir(path), "a CLOS that was there before was removed"
        assert not os.path.lexists(made.placement.monitoring), "the monitoring group is left: RMIDs will run out"

    def test_destroy_removes_a_clos_of_its_own_whoever_is_in_it(self, stage: Stage) -> None:
        """The spec: MUST remove it. A process that somebody has put there goes to the root group."""
        made, other = stage.create(), stage.subject()
        stage.files.write(f"{made.placement.clos}/tasks", f"{other.pid}\n")
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert not os.path.lexists(made.placement.clos), "left behind: num_closids will run out"
        assert not wait_until(lambda: not other.alive, 0.1), "a process of somebody else's was killed"

    def test_destroy_leaves_groups_whose_names_begin_alike(self, stage: Stage) -> None:
        made = stage.create()
        path = stage.make_group(f"{os.path.basename(made.placement.clos)}0")
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert os.path.isdir(path), "removed, though it is somebody else's"

    def test_destroy_leaves_a_clos_that_others_use(self, stage: Stage) -> None:
        """A named CLOS that we made first, and others joined: their limits must not go with us."""
        stage.need("schemata")
        request = stage.request(clos_id="cl-rdt-shared", schemata=(stage.smaller(),))
        made = stage.create(request)
        other = stage.subject()
        stage.files.write(f"{made.placement.clos}/tasks", f"{other.pid}\n")
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert os.path.isdir(made.placement.clos), "the CLOS of a running process was removed"

    def test_no_descriptor_is_left_open(self, stage: Stage) -> None:
        seen = []
        for _ in range(3):
            made = stage.create()
            stage.manager.destroy(made.placement, made.ctx.effects)
            seen.append(descriptors())
        assert not added(seen[1], seen[2]), f"left open with each round: {added(seen[1], seen[2])}"
