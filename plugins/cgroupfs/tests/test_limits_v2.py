"""What is written for cgroup v2, on plain files: the kernel's side of it is tested in the guest with pure v2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corelaunch_cgroupfs import controllers, needs
from corelaunch_cgroupfs.limits_v2 import cpu_weight, write_v2
from corelaunch_cgroupfs.stats_v2 import read_v2

from corelaunch.api import CgroupPlacement, ConfigError, KernelError, Unsupported

MIB = 1 << 20
FILES = (
    "pids.max",
    "memory.max",
    "memory.low",
    "memory.high",
    "memory.swap.max",
    "memory.current",
    "cpu.weight",
    "cpu.idle",
    "cpu.max",
    "cpu.max.burst",
    "cpuset.cpus",
    "cpuset.mems",
    "io.weight",
    "io.max",
    "hugetlb.2MB.max",
    "hugetlb.2MB.rsvd.max",
    "rdma.max",
)

Written = Callable[[dict[str, Any]], dict[str, str]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).touch()
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "cpu.max.burst").write_text("0\n")
    return tmp_path


@pytest.fixture
def written(directory: Path) -> Written:
    """Write resources; name -> content of what was written."""

    def write(resources: dict[str, Any]) -> dict[str, str]:
        for name in FILES:
            if name not in ("cpu.max", "cpu.max.burst"):
                (directory / name).write_text("")
        before = {name: (directory / name).read_text() for name in FILES}
        write_v2(str(directory), resources)
        after = {name: (directory / name).read_text() for name in FILES}
        return {name: text for name, text in after.items() if text != before[name]}

    return write


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"pids": {"limit": 7}}, {"pids.max": "7"}),
        ({"pids": {"limit": -1}}, {"pids.max": "max"}),
        ({"memory": {"limit": 64 * MIB}}, {"memory.max": str(64 * MIB)}),
        ({"memory": {"limit": -1}}, {"memory.max": "max", "memory.swap.max": "max"}),
        ({"memory": {"limit": MIB, "swap": MIB}}, {"memory.max": str(MIB), "memory.swap.max": "0"}),
        (
            {"memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB}},
            {"memory.max": str(64 * MIB), "memory.swap.max": str(32 * MIB), "memory.low": str(32 * MIB)},
        ),
        ({"memory": {"limit": 64 * MIB, "swap": -1}}, {"memory.max": str(64 * MIB), "memory.swap.max": "max"}),
        ({"cpu": {"shares": 1024}}, {"cpu.weight": "100"}),
        ({"cpu": {"idle": 1}}, {"cpu.idle": "1"}),
        ({"cpu": {"cpus": "0-1", "mems": "0"}}, {"cpuset.cpus": "0-1", "cpuset.mems": "0"}),
        ({"cpu": {"shares": 0, "quota": 0, "cpus": ""}}, {}),
        ({"blockIO": {"weight": 10}}, {"io.weight": "1"}),
        ({"blockIO": {"weight": 1000}}, {"io.weight": "10000"}),
        ({"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 1000}]}}, {"io.weight": "8:0 10000"}),
        ({"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}]}}, {"io.max": "8:0 rbps=600"}),
        ({"blockIO": {"throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 0}]}}, {"io.max": "8:0 wiops=max"}),
        (
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
            {"hugetlb.2MB.max": str(4 * MIB), "hugetlb.2MB.rsvd.max": str(4 * MIB)},
        ),
        (
            {"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}}},
            {"rdma.max": "mlx5_1 hca_handle=3 hca_object=10000"},
        ),
        ({"memory": {"limit": MIB}, "unified": {"memory.high": "5"}}, {"memory.max": str(MIB), "memory.high": "5"}),
    ],
)
def test_a_config_that_speaks_v1_is_written_as_v2(
    written: Written, resources: dict[str, Any], expected: dict[str, str]
) -> None:
    assert written(resources) == expected


def test_without_swap_accounting_there_is_nothing_to_lift_and_nothing_to_keep_from_swap(
    directory: Path,
) -> None:
    left = sorted(name for name in FILES if name != "memory.swap.max")
    (directory / "memory.swap.max").unlink()
    for swap in (MIB, -1):
        write_v2(str(directory), {"memory": {"limit": MIB, "swap": swap}})
    assert sorted(path.name for path in directory.iterdir()) == left
    with pytest.raises(Unsupported, match=r"no control memory\.swap\.max"):
        write_v2(str(directory), {"memory": {"limit": MIB, "swap": 2 * MIB}})


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ({"quota": 50000, "period": 200000}, "50000 200000"),
        ({"quota": -1, "period": 200000}, "max 200000"),
        ({"period": 200000}, "max 200000"),
    ],
)
def test_cpu_max_keeps_what_is_not_set(directory: Path, cpu: dict[str, int], expected: str) -> None:
    (directory / "cpu.max").write_text("max 100000")
    write_v2(str(directory), {"cpu": cpu})
    assert (directory / "cpu.max").read_text().startswith(expected)


def test_cpu_weight_meets_v1_at_its_least_default_and_greatest_and_only_rises() -> None:
    assert [cpu_weight(shares) for shares in (2, 1024, 262144)] == [1, 100, 10000]
    weights = [cpu_weight(shares) for shares in range(2, 262145, 97)]
    assert weights == sorted(weights)


@pytest.mark.parametrize(
    ("resources", "error", "where"),
    [
        ({"memory": {"swap": 5}}, ConfigError, "linux.resources.memory.swap"),
        ({"memory": {"limit": 64, "swap": 5}}, ConfigError, "linux.resources.memory.swap"),
        ({"memory": {"swappiness": 0}}, Unsupported, "linux.resources.memory.swappiness"),
        ({"memory": {"disableOOMKiller": True}}, Unsupported, "linux.resources.memory.disableOOMKiller"),
        ({"cpu": {"realtimeRuntime": 5}}, Unsupported, "linux.resources.cpu.realtimeRuntime"),
        ({"blockIO": {"leafWeight": 5}}, Unsupported, "linux.resources.blockIO.leafWeight"),
        ({"unified": {"../memory.max": "5"}}, ConfigError, "linux.resources.unified"),
        ({"unified": {"cgroup.procs": "0"}}, ConfigError, "linux.resources.unified.cgroup.procs"),
        ({"unified": {"cgroup.freeze": "1"}}, ConfigError, "linux.resources.unified.cgroup.freeze"),
        ({"unified": {"memory.nonesuch": "5"}}, Unsupported, "linux.resources.unified.memory.nonesuch"),
        (
            {"hugepageLimits": [{"pageSize": "../x", "limit": 5}]},
            ConfigError,
            "linux.resources.hugepageLimits[0].pageSize",
        ),
    ],
)
def test_what_v2_has_not_is_refused(
    directory: Path, resources: dict[str, Any], error: type[Exception], where: str
) -> None:
    with pytest.raises(error) as caught:
        write_v2(str(directory), resources)
    assert caught.value.where == where  # type: ignore[attr-defined]


def test_malformed_device_rules_are_refused_before_anything_is_made() -> None:
    v2 = CgroupPlacement({"": "/sys/fs/cgroup/x"})
    needs.check(v2, {"devices": [{"allow": False, "access": "rwm"}]})
    with pytest.raises(ConfigError) as caught:
        needs.check(v2, {"devices": [{"allow": False}, {"type": "p"}]})
    assert caught.value.where == "linux.resources.devices[1].type"


def test_network_classes_are_refused() -> None:
    with pytest.raises(Unsupported, match=r"network\.classID: cgroup v2 has no such controller"):
        needs.check(CgroupPlacement({"": "/x"}), {"network": {"classID": 1}})


def test_limits_without_any_cgroup_are_refused() -> None:
    needs.check(CgroupPlacement({}), {"memory": {}})
    with pytest.raises(Unsupported, match="the container has no cgroup"):
        needs.check(CgroupPlacement({}), {"memory": {"limit": 5}})


def test_no_limit_of_processes_needs_no_controller_and_a_limit_does(directory: Path) -> None:
    (directory / "pids.max").unlink()
    write_v2(str(directory), {"pids": {"limit": -1}})
    assert not (directory / "pids.max").exists()
    with pytest.raises(Unsupported, match=r"no control pids\.max"):
        write_v2(str(directory), {"pids": {"limit": 7}})


def test_every_controller_is_enabled_in_every_cgroup_above(tmp_path: Path) -> None:
    for level in (tmp_path / "root", tmp_path / "root/middle"):
        level.mkdir()
        (level / "cgroup.controllers").write_text("memory pids\n")
        (level / "cgroup.subtree_control").write_text("")
    controllers.enable(str(tmp_path / "root/middle/own"), None)
    for level in (tmp_path / "root", tmp_path / "root/middle"):
        # On a plain file the second write lies over the first.
        assert (level / "cgroup.subtree_control").read_text() == "+pidsry"


def test_figures_of_v2(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text(
        "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 2\nnr_throttled 1\nthrottled_usec 9\n"
    )
    (tmp_path / "memory.current").write_text("4096\n")
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.events").write_text("low 0\noom 1\noom_kill 3\n")
    (tmp_path / "pids.current").write_text("5\n")
    (tmp_path / "pids.max").write_text("17\n")
    (tmp_path / "io.stat").write_text("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n8:16 \n")
    stats = read_v2(str(tmp_path))
    assert (stats.cpu_usage_ns, stats.cpu_throttled_ns, stats.cpu_periods) == (7000, 9000, 2)
    assert (stats.memory_usage_bytes, stats.memory_limit_bytes, stats.oom_kills) == (4096, -1, 3)
    assert (stats.pids_current, stats.pids_limit, stats.memory_swap_usage_bytes) == (5, 17, -1)
    assert stats.io_bytes == [(8, 0, "read", 1), (8, 0, "write", 2), (8, 0, "discard", 5)]
    assert stats.io_operations == [(8, 0, "read", 3), (8, 0, "write", 4), (8, 0, "discard", 6)]


def test_figures_of_a_cgroup_that_is_gone_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(KernelError):
        read_v2(str(tmp_path / "gone"))
