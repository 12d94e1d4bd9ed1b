"""Promises of an RDT manager about a CLOS that has a closID: who may join it, who may change it, and when it goes."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import os

import pytest

from corelaunch.api import AlreadyExists, ConfigError, CorelaunchError, Effect

from .context import Killed, RecordingContext
from .rdt_stage import Stage

NAME = "cl-rdt-shared"


class Sharing:
    """A closID is the name of a class: whoever comes first makes it, and it belongs to nobody (config-linux.md)."""

    def test_a_closid_that_exists_is_joined_and_never_owned(self, stage: Stage) -> None:
        path = stage.make_group(NAME)
        made = stage.create(stage.request(clos_id=NAME))
        subject = stage.subject()
        stage.manager.add_process(made.placement, subject.handle)
        assert subject.pid in stage.tasks(path)
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert os.path.isdir(path), "a CLOS that was there before was removed"

    def test_a_closid_without_schemata_must_exist(self, stage: Stage) -> None:
        with pytest.raises(CorelaunchError):
            stage.create(stage.request(clos_id="cl-rdt-none"))
        assert not os.path.exists(f"{stage.root}/cl-rdt-none"), "a group was made that nobody can have meant"

    def test_a_closid_that_was_made_stays_when_its_container_goes(self, stage: Stage) -> None:
        stage.need("schemata")
        made = stage.create(stage.request(clos_id=NAME, schemata=(stage.smaller(),)))
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert os.path.isdir(made.placement.clos), "the spec: MUST NOT remove it, if closID is set"

    def test_a_second_container_joins_what_the_first_has_made(self, stage: Stage) -> None:
        stage.need("schemata")
        line = stage.smaller()
        first, second = (stage.create(stage.request(one, clos_id=NAME, schemata=(line,))) for one in (0, 1))
        subjects = [stage.subject(), stage.subject()]
        for made, subject in zip((first, second), subjects, strict=True):
            stage.manager.add_process(made.placement, subject.handle)
            stage.manager.set(made.placement, made.request)
        stage.manager.destroy(first.placement, first.ctx.effects)
        assert stage.tasks(second.placement.clos) == sorted(subject.pid for subject in subjects)
        assert stage.in_force(second.placement.clos, line.partition(":")[0]) == stage.meant(line)

    def test_a_new_closid_has_its_schemata_before_anybody_can_join_it(self, stage: Stage) -> None:
        """A launch that is killed between the two leaves nothing for others to stumble over."""
        stage.need("schemata")
        line = stage.smaller()
        request = stage.request(clos_id=NAME, schemata=(line,))
        for moment in range(1, 64):
            ctx = RecordingContext(request.container_id, kill_at=moment)
            try:
                stage.create(request, ctx)
                killed = False
            except Killed:
                killed = True
            placement = stage.place(request)
            stage.manager.destroy(placement, ctx.effects)
            if os.path.isdir(placement.clos):
                now = stage.in_force(placement.clos, line.partition(":")[0])
                assert now == stage.meant(line), f"killed at event {moment}, a group without its schemata is left"
                stage.files.rmdir(placement.clos)
            if not killed:
                return

    def test_a_closid_that_somebody_makes_at_the_same_moment_is_joined(self, stage: Stage) -> None:
        stage.need("schemata")
        request = stage.request(clos_id=NAME, schemata=(stage.smaller(),))
        subject = stage.subject()

        class Raced(RecordingContext):
            def intend(self, kind: str, name: str, *, absent: bool, **args: object) -> Effect:
                effect = super().intend(kind, name, absent=absent, **args)
                if kind == "clos" and not os.path.isdir(name):
                    stage.make_group(NAME, request.schemata[0] + "\n")
                    stage.files.write(f"{name}/tasks", f"{subject.pid}\n")
                return effect

        ctx = Raced(request.container_id)
        made = stage.create(request, ctx)
        stage.manager.destroy(made.placement, ctx.effects)
        assert stage.tasks(made.placement.clos) == [subject.pid], "what the other has made was removed"

    def test_a_shared_closid_keeps_its_schemata(self, stage: Stage) -> None:
        stage.need("schemata")
        path = stage.make_group(NAME, stage.smaller() + "\n")
        before = stage.files.read(f"{path}/schemata")
        request = stage.request(clos_id=NAME, schemata=(stage.line(),))
        with pytest.raises(ConfigError):
            made = stage.create(request)
            stage.manager.set(made.placement, request)
        assert stage.files.read(f"{path}/schemata") == before, "the schemata of others were changed"

    def test_a_shared_closid_is_compared_by_meaning(self, stage: Stage) -> None:
        stage.need("schemata")
        stage.make_group(NAME, stage.smaller() + "\n")
        resource, _, values = stage.smaller().partition(":")
        turned = ";".join(item.replace("=", "=00") for item in reversed(values.split(";")))
        request = stage.request(clos_id=NAME, schemata=(f"{resource}:{turned}",))
        made = stage.create(request)
        stage.manager.set(made.placement, request)

    def test_a_shared_closid_is_compared_whatever_case_and_blanks_it_is_written_with(self, stage: Stage) -> None:
        """The kernel takes ``L3:0= FFF`` and shows ``L3:0=fff``."""
        stage.need("schemata")
        line = stage.line()
        stage.make_group(NAME, line + "\n")
        resource, _, values = line.partition(":")
        asked = f"{resource}:{values.upper().replace('=', '= ')}"
        request = stage.request(clos_id=NAME, schemata=(asked,))
        made = stage.create(request)
        stage.manager.set(made.placement, request)

    def test_containers_of_one_closid_have_each_its_own_monitoring_group(self, stage: Stage) -> None:
        """And the end of one is not the end of the other's figures."""
        stage.need("monitoring")
        stage.make_group(NAME)
        one, two = (stage.create(stage.request(number, clos_id=NAME, monitoring=True)) for number in (0, 1))
        assert one.placement.monitoring != two.placement.monitoring, "two containers share a monitoring group"
        subject = stage.subject()
        stage.manager.add_process(two.placement, subject.handle)
        stage.manager.destroy(one.placement, one.ctx.effects)
        assert os.path.isdir(two.placement.monitoring), "the monitoring group of another container was removed"
        assert stage.tasks(two.placement.monitoring) == [subject.pid]

    def test_a_foreign_monitoring_group_of_its_name_is_refused_and_left(self, stage: Stage) -> None:
        stage.need("monitoring")
        stage.make_group(NAME)
        request = stage.request(clos_id=NAME, monitoring=True)
        placement, ctx = stage.place(request), RecordingContext(request.container_id)
        stage.files.mkdir(placement.monitoring)
        with pytest.raises(AlreadyExists):
            stage.create(request, ctx)
        stage.manager.destroy(placement, ctx.effects)
        assert os.path.isdir(placement.monitoring), "somebody else's monitoring group was removed"

    def test_a_domain_that_is_not_mentioned_may_have_any_value(self, stage: Stage) -> None:
        stage.need("schemata")
        stage.make_group(NAME, stage.smaller() + "\n")
        resource, _, values = stage.smaller().partition(":")
        request = stage.request(clos_id=NAME, schemata=(f"{resource}:{values.split(';')[-1]}",))
        made = stage.create(request)
        stage.manager.set(made.placement, request)

    def test_bandwidth_is_compared_as_the_kernel_rounds_it(self, stage: Stage) -> None:
        stage.need("schemata")
        line = stage.line_of("MB")
        domains = [item.partition("=")[0] for item in line.partition(":")[2].split(";")]
        odd = "MB:" + ";".join(f"{domain}=41" for domain in domains)
        stage.make_group(NAME, odd + "\n")
        request = stage.request(clos_id=NAME, schemata=(odd,))
        made = stage.create(request)
        stage.manager.set(made.placement, request)

    def test_the_root_group_is_joined_and_never_changed_or_removed(self, stage: Stage) -> None:
        stage.need("schemata")
        before = stage.files.read(f"{stage.root}/schemata")
        made = stage.create(stage.request(clos_id="/", schemata=(stage.line(),)))
        subject = stage.subject()
        stage.manager.add_process(made.placement, subject.handle)
        stage.manager.set(made.placement, made.request)
        other = stage.request(1, clos_id="/", schemata=(stage.smaller(),))
        with pytest.raises(ConfigError):
            second = stage.create(other)
            stage.manager.set(second.placement, other)
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert stage.files.read(f"{stage.root}/schemata") == before, "the whole machine's schemata were changed"
        assert [effect for effect in made.ctx.all_effects if effect.kind == "clos"] == []

    def test_a_container_of_the_root_group_is_monitored_there(self, stage: Stage) -> None:
        stage.need("monitoring")
        made, subject = stage.create(stage.request(clos_id="/", monitoring=True)), stage.subject()
        stage.manager.add_process(made.placement, subject.handle)
        assert os.path.dirname(made.placement.monitoring) == f"{stage.root}/mon_groups"
        assert subject.pid in stage.tasks(made.placement.monitoring)
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert not os.path.lexists(made.placement.monitoring), "the monitoring group is left: RMIDs will run out"
