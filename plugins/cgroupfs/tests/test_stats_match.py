"""Every figure of ``stats`` is what the kernel's own file says, in the unit of its name: on v1 and on v2."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import pytest
from corelaunch_cgroupfs.manager import CgroupfsManager

from corelaunch.api import CgroupStats
from corelaunch.testing.cgroup_kernel import KernelCgroups
from corelaunch.testing.cgroup_stage import Made, Stage
from corelaunch.testing.cgroup_subject import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

MIB = 1 << 20
#: Uses a CPU, memory and a child, and then stands still.
BUSY = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000 & echo done; wait"
_USER_HZ_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
#: No limit of v1: the greatest multiple of a page.
_NO_LIMIT = 1 << 62

#: Figure -> controller, file, key in it ("": the file is one number), factor.
V1: Mapping[str, tuple[str, str, str, int]] = {
    "cpu_usage_ns": ("cpuacct", "cpuacct.usage", "", 1),
    "cpu_user_ns": ("cpuacct", "cpuacct.stat", "user", _USER_HZ_NS),
    "cpu_system_ns": ("cpuacct", "cpuacct.stat", "system", _USER_HZ_NS),
    "cpu_periods": ("cpu", "cpu.stat", "nr_periods", 1),
    "cpu_throttled_periods": ("cpu", "cpu.stat", "nr_throttled", 1),
    "cpu_throttled_ns": ("cpu", "cpu.stat", "throttled_time", 1),
    "memory_usage_bytes": ("memory", "memory.usage_in_bytes", "", 1),
    "memory_limit_bytes": ("memory", "memory.limit_in_bytes", "", 1),
    "memory_max_usage_bytes": ("memory", "memory.max_usage_in_bytes", "", 1),
    "memory_failures": ("memory", "memory.failcnt", "", 1),
    "memory_and_swap_usage_bytes": ("memory", "memory.memsw.usage_in_bytes", "", 1),
    "memory_and_swap_limit_bytes": ("memory", "memory.memsw.limit_in_bytes", "", 1),
    "kernel_memory_usage_bytes": ("memory", "memory.kmem.usage_in_bytes", "", 1),
    "memory_swap_usage_bytes": ("memory", "memory.stat", "total_swap", 1),
    "oom_kills": ("memory", "memory.oom_control", "oom_kill", 1),
    "pids_current": ("pids", "pids.current", "", 1),
    "pids_limit": ("pids", "pids.max", "", 1),
}
V2: Mapping[str, tuple[str, str, str, int]] = {
    "cpu_usage_ns": ("", "cpu.stat", "usage_usec", 1000),
    "cpu_user_ns": ("", "cpu.stat", "user_usec", 1000),
    "cpu_system_ns": ("", "cpu.stat", "system_usec", 1000),
    "cpu_periods": ("", "cpu.stat", "nr_periods", 1),
    "cpu_throttled_periods": ("", "cpu.stat", "nr_throttled", 1),
    "cpu_throttled_ns": ("", "cpu.stat", "throttled_usec", 1000),
    "memory_usage_bytes": ("", "memory.current", "", 1),
    "memory_limit_bytes": ("", "memory.max", "", 1),
    "memory_max_usage_bytes": ("", "memory.peak", "", 1),
    "memory_failures": ("", "memory.events", "max", 1),
    "memory_swap_usage_bytes": ("", "memory.swap.current", "", 1),
    "memory_and_swap_failures": ("", "memory.swap.events", "max", 1),
    "oom_kills": ("", "memory.events", "oom_kill", 1),
    "pids_current": ("", "pids.current", "", 1),
    "pids_limit": ("", "pids.max", "", 1),
}


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage(CgroupfsManager(), KernelCgroups())
    yield made
    made.close()


@pytest.fixture
def made(stage: Stage) -> Made:
    """A limited cgroup whose processes have worked and stand still."""
    cgroup = stage.create()
    limits = {"limit": 64 * MIB}
    stage.set(cgroup, {"memory": limits, "pids": {"limit": 20}, "cpu": {"quota": 20000, "period": 100000}})
    subject = stage.join(cgroup, BUSY)
    assert subject.hears(60)
    return cgroup


def number(text: str, key: str) -> int:
    """A number of a control file; -1 for no limit, and for what the file does not have."""
    if key:
        return next((int(line.split()[1]) for line in text.split("\n") if line.split()[0] == key), -1)
    return -1 if text == "max" or int(text) > _NO_LIMIT else int(text)


def read(made: Made, figures: Mapping[str, tuple[str, str, str, int]]) -> dict[str, int]:
    """What the kernel's files say now."""
    found = {}
    for name, (controller, file, key, factor) in figures.items():
        path = f"{made.placement.paths.get(controller, '')}/{file}"
        if controller in made.placement.paths and os.path.exists(path):
            value = number(KernelCgroups().read(path), key)
            found[name] = value * factor if value > 0 else value
        else:
            found[name] = -1
    return found


def test_each_figure_is_between_what_its_file_says_before_and_after(stage: Stage, made: Made) -> None:
    table = V2 if set(made.placement.paths) == {""} else V1

    wrong: list[str] = []

    def matches() -> bool:
        before = read(made, table)
        stats: CgroupStats = stage.manager.stats(made.placement)
        after = read(made, table)
        found = {name: getattr(stats, name) for name in table}
        wrong[:] = [
            f"{name}: {before[name]} to {after[name]}, stats say {value}"
            for name, value in found.items()
            if not min(before[name], after[name]) <= value <= max(before[name], after[name])
        ]
        return not wrong

    # Memory goes up and down by itself (a stock of charges is given back): one look in which nothing moved will do.
    assert wait_until(matches), wrong


def test_what_was_used_and_limited_is_there(stage: Stage, made: Made) -> None:
    stats = stage.manager.stats(made.placement)
    assert stats.cpu_usage_ns > 1_000_000 and stats.memory_usage_bytes > 0
    assert (stats.memory_limit_bytes, stats.pids_limit) == (64 * MIB, 20)
    assert stats.pids_current == len(stage.manager.processes(made.placement)) >= 2
    assert stats.cpu_periods >= 0 and stats.oom_kills == 0


def test_memory_stat_has_every_line_of_the_file(stage: Stage, made: Made) -> None:
    path = f"{made.placement.paths.get('memory', made.placement.paths.get(''))}/memory.stat"
    keys = {line.split()[0] for line in KernelCgroups().read(path).split("\n")}
    assert set(stage.manager.stats(made.placement).memory_stat) == keys


def test_the_processors_are_those_of_the_cpuset_of_v1(stage: Stage, made: Made) -> None:
    if "cpuset" not in made.placement.paths:
        assert stage.manager.stats(made.placement).cpuset_cpus == ()  # as runc, which tells them on v1 alone
        return
    text = KernelCgroups().read(f"{made.placement.paths['cpuset']}/cpuset.cpus")
    cpus = [int(part) for one in text.split(",") for part in one.split("-")]
    found = stage.manager.stats(made.placement).cpuset_cpus
    assert (min(found), max(found)) == (min(cpus), max(cpus))
