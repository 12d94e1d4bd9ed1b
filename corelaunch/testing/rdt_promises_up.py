"""Promises of an RDT manager on the way up: place, create, add_process, set, stats."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from corelaunch.api import (
    AlreadyExists,
    ConfigError,
    CorelaunchError,
    KernelError,
    ProcessHandle,
    RdtPlacement,
    Unsupported,
)

from .context import Killed, RecordingContext
from .guest_child import at_once
from .host import host_lacks
from .rdt_stage import FEATURES, Stage


class Placing:
    """``place`` is pure, and no closID leads out of the file system."""

    def test_features_are_known_words(self, stage: Stage) -> None:
        unknown = set(stage.manager.features) - set(FEATURES)
        assert not unknown, f"no contract knows what these promise: {sorted(unknown)}"

    def test_place_answers_the_same_to_the_same_request(self, stage: Stage) -> None:
        assert stage.place(stage.request()) == stage.place(stage.request())

    def test_place_changes_nothing(self, stage: Stage) -> None:
        before = stage.files.children(stage.root)
        stage.place(stage.request(schemata=(stage.line(),) if "schemata" in stage.manager.features else ()))
        assert stage.files.children(stage.root) == before, "place made a group"

    def test_a_placement_survives_the_journal(self, stage: Stage) -> None:
        placement = stage.place(stage.request())
        assert RdtPlacement(**json.loads(json.dumps(placement.as_dict()))) == placement

    def test_ids_that_are_long_and_alike_have_a_group_each(self, stage: Stage) -> None:
        """An id has up to 223 letters, and engines make many that begin alike."""
        long = "cl-rdt-contract-".ljust(222, "0")
        one, two = (stage.place(stage.request().replace(container_id=long + end)).clos for end in "12")
        assert one != two, "two containers share a CLOS that neither of them named"
        assert len(os.path.basename(one)) <= 255, "no name of a directory"

    def test_containers_without_a_closid_have_a_group_each(self, stage: Stage) -> None:
        first, second = stage.place(stage.request(0)), stage.place(stage.request(1))
        assert first.clos != second.clos, "two containers share a CLOS that neither of them named"

    def test_containers_of_one_closid_share_its_group(self, stage: Stage) -> None:
        placements = [stage.place(stage.request(number, clos_id="cl-rdt-shared")) for number in (0, 1)]
        assert placements[0].clos == placements[1].clos == f"{stage.root}/cl-rdt-shared"

    def test_the_closid_slash_is_the_root_group(self, stage: Stage) -> None:
        assert stage.place(stage.request(clos_id="/")).clos == stage.root

    @pytest.mark.parametrize("clos_id", ["..", ".", "a/../..", "a/b", "/a", "info", "mon_groups", "mon_data", "a\nb"])
    def test_a_closid_that_names_no_group_is_refused(self, stage: Stage, clos_id: str) -> None:
        stage.place(stage.request())
        with pytest.raises(ConfigError):
            stage.manager.place(stage.request(clos_id=clos_id))

    def test_what_is_not_claimed_is_refused(self, stage: Stage) -> None:
        left = [feature for feature in FEATURES if feature not in stage.manager.features]
        if not left:
            pytest.skip(f"all of {', '.join(FEATURES)} are claimed")
        placement = stage.place(stage.request())
        operations: dict[str, Callable[[], object]] = {
            "monitoring": lambda: stage.manager.place(stage.request(monitoring=True)),
            "schemata": lambda: stage.manager.set(placement, stage.request(schemata=("L3:0=3",))),
            "stats": lambda: stage.manager.stats(placement),
        }
        for feature in left:
            with pytest.raises(Unsupported):
                operations[feature]()


class Creating:
    """``create`` announces, makes what is its own to make, and confirms; what others made it joins or leaves alone."""

    def test_create_makes_the_groups_of_the_placement(self, stage: Stage) -> None:
        made = stage.create(stage.request(monitoring="monitoring" in stage.manager.features))
        assert [path for path in stage.groups(made) if not os.path.isdir(path)] == []

    def test_create_announces_before_it_makes_and_confirms(self, stage: Stage) -> None:
        made = stage.create(stage.request(monitoring="monitoring" in stage.manager.features))
        assert made.ctx.dishonest == []
        announced = {effect.args.get("path", effect.name) for effect in made.ctx.all_effects}
        assert set(stage.groups(made)) <= announced, "a group was made without announcing it"
        assert [effect for effect in made.ctx.all_effects if not effect.done] == [], "never confirmed"

    def test_create_leaves_a_foreign_group_of_its_name_untouched(self, stage: Stage) -> None:
        request, ctx = stage.request(), RecordingContext()
        placement = stage.place(request)
        stage.make_group(os.path.basename(placement.clos))
        with pytest.raises(AlreadyExists):
            stage.create(request, ctx)
        stage.manager.destroy(placement, ctx.effects)
        assert os.path.isdir(placement.clos), "somebody else's group was removed"

    @pytest.mark.parametrize("lost", [True, False], ids=["before", "after"])
    def test_create_that_is_killed_at_any_moment_can_be_undone(self, stage: Stage, lost: bool) -> None:
        before = stage.files.children(stage.root)
        request = stage.request(monitoring="monitoring" in stage.manager.features)
        for moment in range(1, 64):
            ctx = RecordingContext(request.container_id, kill_at=moment, lost=lost)
            try:
                stage.create(request, ctx)
                killed = False
            except Killed:
                killed = True
            stage.manager.destroy(stage.place(request), ctx.effects)
            left = set(stage.files.children(stage.root)) - set(before)
            assert not left, f"killed at event {moment}, destroy left {sorted(left)}"
            if not killed:
                return

    def test_create_works_again_after_destroy(self, stage: Stage) -> None:
        for _ in range(3):
            made = stage.create()
            stage.manager.destroy(made.placement, made.ctx.effects)


class Using:
    """Processes are in their groups, schemata are in force, and refusals are the kernel's own."""

    def test_add_process_puts_it_into_the_clos(self, stage: Stage) -> None:
        made, subject = stage.create(), stage.subject()
        stage.manager.add_process(made.placement, subject.handle)
        stage.manager.add_process(made.placement, subject.handle)  # already there is success
        assert stage.tasks(made.placement.clos) == [subject.pid]

    def test_add_process_puts_it_into_the_monitoring_group(self, stage: Stage) -> None:
        stage.need("monitoring")
        made, subject = stage.create(stage.request(monitoring=True)), stage.subject()
        stage.manager.add_process(made.placement, subject.handle)
        assert made.placement.monitoring, "monitoring was asked for, and no group was placed"
        assert subject.pid in stage.tasks(made.placement.monitoring), "it is in the CLOS and not monitored"

    def test_add_process_that_is_gone_is_an_error(self, stage: Stage) -> None:
        made, subject = stage.create(), stage.subject()
        handle = ProcessHandle(subject.pid, subject.handle.start_time + 1)
        with pytest.raises(CorelaunchError):
            stage.manager.add_process(made.placement, handle)
        assert stage.tasks(made.placement.clos) == [], "another process of the same number was put into the CLOS"

    def test_set_writes_the_schemata(self, stage: Stage) -> None:
        stage.need("schemata")
        request = stage.request(schemata=(stage.smaller(),))
        made = stage.create(request)
        stage.manager.set(made.placement, request)
        resource, _, values = stage.smaller().partition(":")
        lines = [line.strip() for line in stage.files.read(f"{made.placement.clos}/schemata").splitlines()]
        (line,) = (line for line in lines if line.startswith(f"{resource}:"))
        now = [int(item.partition("=")[2].strip(), 16) for item in line.partition(":")[2].split(";")]
        assert now == [int(item.partition("=")[2], 16) for item in values.split(";")], f"in force is {line}"

    def test_set_leaves_resources_that_it_does_not_name(self, stage: Stage) -> None:
        stage.need("schemata")
        made = stage.create()
        resource, _, values = stage.line_of("MB").partition(":")
        domains = [item.partition("=")[0] for item in values.split(";")]
        stage.files.write(f"{made.placement.clos}/schemata", f"{resource}:{';'.join(f'{one}=50' for one in domains)}\n")
        before = stage.in_force(made.placement.clos, resource)
        if not stage.smaller().startswith("L3:"):
            host_lacks("a second resource")
        stage.manager.set(made.placement, stage.request(schemata=(stage.smaller(),)))
        assert stage.in_force(made.placement.clos, resource) == before, f"{resource} was set, and nobody asked for it"

    def test_set_of_nothing_changes_nothing(self, stage: Stage) -> None:
        """A container may ask for a group of its own, and for no more."""
        stage.need("schemata")
        made = stage.create()
        before = stage.files.read(f"{made.placement.clos}/schemata")
        stage.manager.set(made.placement, made.request)
        assert stage.files.read(f"{made.placement.clos}/schemata") == before

    def test_stats_are_the_groups_own_and_json(self, stage: Stage) -> None:
        """``events --stats`` prints them."""
        stage.need("stats", "schemata")
        request = stage.request(schemata=(stage.smaller(),))
        made = stage.create(request)
        stage.manager.set(made.placement, request)
        stats = stage.manager.stats(made.placement)
        assert json.loads(json.dumps(stats)), "no figure at all"
        resource = stage.smaller().partition(":")[0]
        shown = [text.strip() for text in _texts(stats) if text.strip().startswith(f"{resource}:")]
        # Those of the root group may stand beside them, as in runc's.
        own = [text for text in shown if stage.meant(text) == stage.meant(stage.smaller())]
        assert own or not shown, f"in force in the group is {stage.smaller()}, and not {shown}"

    def test_several_threads_may_create_at_the_same_time(self, stage: Stage) -> None:
        """A program that uses the API does, with one manager."""

        def launch(number: int) -> None:
            for _ in range(5):
                made = stage.create(stage.request(number))
                assert os.path.isdir(made.placement.clos), f"{made.placement.clos} was not made"
                stage.manager.destroy(made.placement, made.ctx.effects)
                assert not os.path.isdir(made.placement.clos), f"{made.placement.clos} is left"

        for failure in at_once(lambda: launch(0), lambda: launch(1)):
            raise failure

    def test_stats_of_a_group_that_is_gone_are_an_error(self, stage: Stage) -> None:
        stage.need("stats")
        made = stage.create()
        assert stage.manager.stats(made.placement)
        stage.manager.destroy(made.placement, made.ctx.effects)
        with pytest.raises(KernelError):
            stage.manager.stats(made.placement)


def _texts(value: Any) -> Iterator[str]:
    """The texts anywhere in figures."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)
