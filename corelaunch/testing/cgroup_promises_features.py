"""Promises of a cgroup manager about limits and figures, and that what is not claimed is refused."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from corelaunch.api import CgroupManager, CgroupPlacement, CgroupRequest, ConfigError, KernelError, Unsupported

from .cgroup_stage import Stage
from .cgroup_subject import TOO_MUCH

MIB = 1 << 20

#: Feature -> the operations that belong to it.
OPERATIONS: dict[str, tuple[Callable[[CgroupManager, CgroupPlacement], Any], ...]] = {
    "limits": (lambda manager, placement: manager.set_resources(placement, {"pids": {"limit": 17}}),),
    "update": (lambda manager, placement: manager.update_resources(placement, {"pids": {"limit": 17}}),),
    "freeze": (
        lambda manager, placement: manager.freeze(placement),
        lambda manager, placement: manager.thaw(placement),
        lambda manager, placement: manager.frozen(placement),
    ),
    "kill": (lambda manager, placement: manager.kill(placement),),
    "stats": (lambda manager, placement: manager.stats(placement),),
    "oom": (lambda manager, placement: manager.oom_kill_count(placement),),
    "oom-events": (lambda manager, placement: manager.open_oom_events(placement),),
    "rdma": (lambda manager, placement: manager.set_resources(placement, {"rdma": {"cl0": {"hcaHandles": 1}}}),),
    "adopt": (lambda manager, placement: manager.adopt(placement, CgroupRequest("cl-cg-contract")),),
    "self-join": (lambda manager, placement: manager.open_join_files(placement),),
    "unified": (lambda manager, placement: manager.set_resources(placement, {"unified": {"pids.max": "17"}}),),
    "devices": (lambda manager, placement: manager.set_resources(placement, {"devices": [{"allow": False}]}),),
}


#: Member of linux.resources -> an object that limits something by it.
LIMITS: dict[str, dict[str, Any] | list[Any]] = {
    "pids": {"limit": 17},
    "memory": {"limit": 32 * MIB},
    "cpu": {"shares": 512},
    "blockIO": {"weight": 100},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 2 * MIB}],
}


class Unclaimed:
    """What is outside ``features``."""

    @pytest.mark.parametrize("feature", OPERATIONS)
    def test_an_unclaimed_operation_is_refused(self, stage: Stage, feature: str) -> None:
        """Unsupported, and not a quiet nothing: who asked would take it for done."""
        if feature in stage.manager.features:
            pytest.skip("the feature is claimed: other promises test it")
        made = stage.create()
        for operation in OPERATIONS[feature]:
            try:
                answer = operation(stage.manager, made.placement)
            except Unsupported:
                continue
            pytest.fail(
                f"feature {feature!r} is not claimed, but its operation was not refused: it returned {answer!r}"
            )


class Limiting:
    """``set_resources``."""

    def test_a_limit_reads_back_from_the_kernel(self, stage: Stage) -> None:
        """The number in the control file is the number in the config."""
        stage.need("limits")
        made = stage.create()
        stage.set(made, {"pids": {"limit": 17}})
        assert stage.control(made, "pids", "pids.max", "pids.max") == "17"
        stage.set(made, {"memory": {"limit": 32 * MIB}})
        assert stage.control(made, "memory", "memory.limit_in_bytes", "memory.max") == str(32 * MIB)

    def test_minus_one_lifts_a_limit(self, stage: Stage) -> None:
        """As in the runtime-spec."""
        stage.need("limits")
        made = stage.create()
        stage.set(made, {"pids": {"limit": 17}})
        stage.set(made, {"pids": {"limit": -1}})
        assert stage.control(made, "pids", "pids.max", "pids.max") == "max"

    def test_a_property_that_is_absent_stays_as_it_is(self, stage: Stage) -> None:
        """``update`` changes what it names."""
        stage.need("limits")
        made = stage.create()
        stage.set(made, {"pids": {"limit": 17}})
        stage.set(made, {})
        stage.set(made, {"memory": {"limit": 32 * MIB}})
        assert stage.control(made, "pids", "pids.max", "pids.max") == "17"

    def test_limits_that_are_not_claimed_are_refused_already_by_place(self, stage: Stage) -> None:
        """``plan`` must not promise what ``create`` will refuse."""
        stage.need("limits")
        claimed = stage.manager.limits_of
        if claimed is None:
            pytest.skip("limits of every kind are claimed")
        unknown = sorted(claimed - set(LIMITS))
        assert not unknown, f"limits_of has members of linux.resources that the contract does not know: {unknown}"
        made, taken = stage.create(), {member: LIMITS[member] for member in claimed}
        stage.manager.place(made.request.replace(resources=taken))
        for member in LIMITS.keys() - claimed:
            resources = {member: LIMITS[member]}
            with pytest.raises(Unsupported):
                stage.manager.set_resources(made.placement, resources)
                pytest.fail(f"set_resources took {resources}, and limits_of does not claim it")
            with pytest.raises(Unsupported):
                stage.manager.place(made.request.replace(resources=resources))
                pytest.fail(f"place took {resources}, which set_resources will refuse")

    def test_an_update_leaves_what_it_does_not_name(self, stage: Stage) -> None:
        """``corelaunch update --memory`` is about memory alone."""
        stage.need("limits", "update")
        made = stage.create()
        stage.join(made)
        stage.set(made, {"pids": {"limit": 17}})
        stage.update(made, {"memory": {"limit": 32 * MIB}})
        assert stage.control(made, "pids", "pids.max", "pids.max") == "17"

    def test_limits_change_while_frozen_and_nothing_moves(self, stage: Stage) -> None:
        """A paused container can be updated, and stays paused."""
        stage.need("limits", "update", "freeze")
        made = stage.create()
        subject = stage.join(made, "while echo tick; do sleep 0.01; done")
        assert subject.hears(5), "the test's own process does not run"
        stage.manager.freeze(made.placement)
        stage.update(made, {"pids": {"limit": 23}})
        subject.drain()
        assert stage.manager.frozen(made.placement), "an update has thawed what was frozen"
        assert not subject.hears(0.1), "an update has thawed what was frozen"

    def test_a_limit_that_cannot_be_set_is_an_error(self, stage: Stage) -> None:
        """Never dropped silently; from the kernel with path and errno, from the manager's own check with JSON path."""
        stage.need("limits")
        made = stage.create()
        with pytest.raises((KernelError, ConfigError)) as caught:
            stage.set(made, {"pids": {"limit": 1 << 40}})
        assert caught.value.where, f"the error does not say where: {caught.value!r}"
        if isinstance(caught.value, KernelError):
            assert caught.value.errno == errno.EINVAL, f"the error has errno {caught.value.errno}"

    def test_limits_of_a_cgroup_that_is_gone_are_an_error(self, stage: Stage) -> None:
        """With path and errno."""
        stage.need("limits")
        made = stage.create()
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        with pytest.raises(KernelError) as caught:
            stage.manager.set_resources(made.placement, {"pids": {"limit": 17}})
        assert caught.value.errno and caught.value.where, f"without errno or path: {caught.value!r}"

    def test_limits_change_while_processes_run(self, stage: Stage) -> None:
        """Up and down, in whichever order the kernel wants the writes."""
        stage.need("limits", "update")
        made = stage.create()
        stage.join(made)
        for size in (32, 64, 16):
            stage.update(made, {"memory": {"limit": size * MIB}, "pids": {"limit": size}})
            assert stage.control(made, "memory", "memory.limit_in_bytes", "memory.max") == str(size * MIB)
            assert stage.control(made, "pids", "pids.max", "pids.max") == str(size)

    def test_an_update_that_fails_leaves_the_limits_as_they_were(self, stage: Stage) -> None:
        """All or none: nobody can tell from an error which half of an update is in force."""
        stage.need("limits", "update")
        made = stage.create()
        stage.join(made)
        stage.update(made, {"memory": {"limit": 32 * MIB}, "pids": {"limit": 17}})
        with pytest.raises((KernelError, ConfigError)):
            stage.update(made, {"memory": {"limit": 16 * MIB}, "pids": {"limit": 1 << 40}})
        memory = stage.control(made, "memory", "memory.limit_in_bytes", "memory.max")
        assert memory == str(32 * MIB), f"after a failed update memory is limited to {memory}"
        assert stage.control(made, "pids", "pids.max", "pids.max") == "17"

    def test_the_pids_limit_holds(self, stage: Stage) -> None:
        """The kernel, and not only the file, knows it."""
        stage.need("limits")
        stage.need_kernel()
        made = stage.create()
        stage.set(made, {"pids": {"limit": 3 if made.first is None else 4}})
        subject = stage.join(made, "sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait; echo all")
        output = subject.output()
        assert "fork" in output.lower() or "unavailable" in output.lower(), f"five processes, output {output!r}"


class Measuring:
    """``stats`` and ``oom_kill_count``."""

    def test_stats_are_numbers_and_unknown_ones_are_minus_one(self, stage: Stage) -> None:
        """No figure is None or a string, and something is known."""
        stage.need("stats")
        made = stage.create()
        stage.join(made)
        figures = stage.manager.stats(made.placement).as_dict()
        wrong = {
            name: value
            for name, value in figures.items()
            if name.endswith(("_ns", "_bytes", "_current", "_limit", "_periods", "_kills", "_failures"))
            and not name.startswith("io_")
            and not name.endswith("_per_cpu_ns")
            and (not isinstance(value, int) or value < -1)
        }
        assert not wrong, f"not a figure: {wrong}"
        assert any(isinstance(value, int) and value >= 0 for value in figures.values()), "no figure at all is known"

    def test_a_figure_of_a_controller_that_is_not_there_is_minus_one(self, stage: Stage) -> None:
        """0 would be a figure: a container without the controller is not one that has used nothing."""
        stage.need("stats")
        made = stage.create()
        stage.join(made)
        for path in made.directories:
            with suppress(OSError):
                stage.files.read(f"{path}/cpu.stat")
                pytest.skip("the kernel tells of CPU time everywhere here")
        if {"cpu", "cpuacct"} & set(made.placement.paths):
            pytest.skip("there is a controller for CPU time here")
        stats = stage.manager.stats(made.placement)
        figures = {name: value for name, value in stats.as_dict().items() if name.startswith("cpu_")}
        invented = [name for name, value in figures.items() if isinstance(value, int) and value != -1]
        assert not invented, f"the kernel does not give these here: {invented}"

    def test_figures_are_those_of_now(self, stage: Stage) -> None:
        """Not those of the call before."""
        stage.need("stats")
        made = stage.create()
        stage.join(made)
        before = stage.manager.stats(made.placement).pids_current
        stage.join(made)
        after = stage.manager.stats(made.placement).pids_current
        if -1 in (before, after):
            pytest.skip("this manager does not count processes")
        assert after == before + 1, f"{before} processes, and with one more {after}"

    def test_figures_by_cpu_are_part_of_the_whole(self, stage: Stage) -> None:
        """One figure for each CPU, and together no more than what a later look says of all."""
        stage.need("stats")
        made = stage.create()
        stage.join(made)
        first, second = stage.manager.stats(made.placement), stage.manager.stats(made.placement)
        by_cpu = list(first.cpu_usage_per_cpu_ns)
        assert all(isinstance(value, int) and value >= 0 for value in by_cpu), f"not figures: {by_cpu}"
        assert not by_cpu or sum(by_cpu) <= second.cpu_usage_ns, f"{by_cpu} are more than {second.cpu_usage_ns}"

    def test_figures_of_devices_are_device_operation_and_number(self, stage: Stage) -> None:
        """(major, minor, the kernel's word in lower case, number), or whoever prints them prints nonsense."""
        stage.need("stats")
        made = stage.create()
        stage.join(made)
        figures = stage.manager.stats(made.placement).as_dict()
        names = [name for name in figures if name.startswith("io_") and name != "io_pressure"]
        for row in [row for name in names for row in figures[name]]:
            major, minor, operation, value = row
            good = all(isinstance(number, int) and number >= 0 for number in (major, minor, value))
            assert good and operation == operation.lower(), f"not a figure of a device: {row}"

    def test_stats_show_the_limits_that_were_set(self, stage: Stage) -> None:
        """Both are read from the same files."""
        stage.need("stats", "limits")
        made = stage.create()
        stage.set(made, {"pids": {"limit": 17}, "memory": {"limit": 32 * MIB}})
        stage.join(made)
        stats = stage.manager.stats(made.placement)
        assert (stats.pids_limit, stats.memory_limit_bytes) == (17, 32 * MIB)
        assert stats.pids_current == len(stage.manager.processes(made.placement))

    def test_stats_of_a_cgroup_that_is_gone_are_an_error(self, stage: Stage) -> None:
        """Zeros would be taken for figures."""
        stage.need("stats")
        made = stage.create()
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        with pytest.raises(KernelError) as caught:
            stage.manager.stats(made.placement)
        assert caught.value.errno == errno.ENOENT, f"the error has errno {caught.value.errno}"
        assert caught.value.where, "the error does not name the cgroup"

    def test_the_oom_count_is_0_at_first_and_when_it_is_gone(self, stage: Stage) -> None:
        """Core reads it after a failure, whatever has become of the cgroup."""
        stage.need("oom")
        made = stage.create()
        assert stage.manager.oom_kill_count(made.placement) == 0
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        assert stage.manager.oom_kill_count(made.placement) == 0

    def test_oom_events_of_a_cgroup_that_is_gone_are_an_error(self, stage: Stage) -> None:
        """Who waits for them would wait for ever."""
        stage.need("oom-events")
        made = stage.create()
        stage.end_processes()
        stage.manager.destroy(made.placement, made.ctx.effects)
        with pytest.raises(KernelError) as caught:
            stage.manager.open_oom_events(made.placement)
        assert caught.value.errno == errno.ENOENT, f"the error has errno {caught.value.errno}"

    def test_an_oom_kill_wakes_who_waits_for_it(self, stage: Stage) -> None:
        """And nothing does before it."""
        stage.need("oom-events", "oom", "limits")
        stage.need_kernel()
        made = stage.create()
        stage.set(made, {"memory": {"limit": 8 * MIB, "swap": 8 * MIB}})
        events, mask = stage.manager.open_oom_events(made.placement)
        try:
            poll = select.poll()
            poll.register(events, mask)
            assert not poll.poll(100), "awake before anything has happened"
            subject = stage.join(made, TOO_MUCH)
            assert subject.wait() == -9
            assert poll.poll(10_000), "an OOM kill, and nobody was woken"
        finally:
            os.close(events)

    def test_an_oom_kill_is_counted(self, stage: Stage) -> None:
        """So that "killed" can be told from "killed for its memory"."""
        stage.need("oom", "limits")
        stage.need_kernel()
        made = stage.create()
        stage.set(made, {"memory": {"limit": 8 * MIB, "swap": 8 * MIB}})
        subject = stage.join(made, TOO_MUCH)
        assert subject.wait() == -9
        assert stage.manager.oom_kill_count(made.placement) >= 1
