"""cgroupfs on the cgroup hierarchies of this host: what the contract suite does not ask of every manager."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corelaunch_cgroupfs import layout, membership
from corelaunch_cgroupfs.layout import own_path
from corelaunch_cgroupfs.manager import CgroupfsManager

from corelaunch.api import (
    AlreadyExists,
    CgroupPlacement,
    CgroupRequest,
    ConfigError,
    KernelError,
    ProcessHandle,
    Unsupported,
    cgroup_hierarchies,
    cgroups_of,
)
from corelaunch.testing.cgroup_kernel import KernelCgroups
from corelaunch.testing.cgroup_stage import Made, Stage
from corelaunch.testing.cgroup_subject import Subject
from corelaunch.testing.context import RecordingContext

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(all(h.version == 2 for h in cgroup_hierarchies()), reason="this host lacks cgroup v1"),
]

MIB = 1 << 20
ID = f"cl-cg-host-{os.getpid()}"


class Cgroups(Stage):
    """A stage whose containers choose their path."""

    def make(self, path: str = "", resources: dict[str, Any] | None = None) -> Made:
        request = CgroupRequest(ID, path, resources or {})
        placement = self.manager.place(request)
        for directory in placement.paths.values():
            while not os.path.isdir(directory):
                self._directories.append(directory)
                directory = os.path.dirname(directory)
        ctx = RecordingContext(ID)
        made = Made(request, placement, ctx, None)
        self.manager.create(placement, request, None, ctx)
        return made

    def value(self, made: Made, controller: str, name: str) -> str:
        return Path(made.placement.paths[controller], name).read_text().rstrip("\n")


@pytest.fixture
def cgroups() -> Iterator[Cgroups]:
    stage = Cgroups(CgroupfsManager(), KernelCgroups())
    yield stage
    stage.close()


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "inner"),
        [
            (f"/cl-cg-a/{ID}", f"/cl-cg-a/{ID}"),
            (f"//cl-cg-a/.//{ID}/", f"/cl-cg-a/{ID}"),
            (f"/cl-cg.slice:corelaunch:{ID}", f"/cl-cg.slice:corelaunch:{ID}"),
        ],
    )
    def test_an_absolute_path_is_the_same_below_the_root_of_every_hierarchy(self, path: str, inner: str) -> None:
        placement = CgroupfsManager().place(CgroupRequest(ID, path))
        hierarchies = cgroup_hierarchies()
        assert set(placement.paths) == {c for h in hierarchies for c in h.controllers or ("",)}
        assert set(placement.paths.values()) == {h.mountpoint + inner for h in hierarchies}

    @pytest.mark.parametrize(("path", "inner"), [("", f"/{ID}"), (f"cl-cg-a/./{ID}", f"/cl-cg-a/{ID}")])
    def test_a_relative_path_or_none_is_below_our_own_cgroup(self, path: str, inner: str) -> None:
        own = {name: path for names, path in cgroups_of("self").items() for name in names.split(",")}
        placement = CgroupfsManager().place(CgroupRequest(ID, path))
        for hierarchy in cgroup_hierarchies():
            for controller in hierarchy.controllers or ("",):
                assert placement.paths[controller] == hierarchy.mountpoint + own[controller].rstrip("/") + inner

    def test_what_limits_the_runtime_limits_a_container_without_a_path(self, cgroups: Cgroups) -> None:
        ours = cgroups.make(f"/cl-cg-own-{os.getpid()}", {"pids": {"limit": 7}})
        names = [name for name in ("pids", "") if name in ours.placement.paths]
        script = (
            "from corelaunch_cgroupfs.manager import CgroupfsManager\n"
            "from corelaunch.api import CgroupRequest\n"
            "import sys; sys.stdin.readline()\n"
            f"for path in ('', 'sub/{ID}'):\n"
            f"    placement = CgroupfsManager().place(CgroupRequest({ID!r}, path))\n"
            f"    print(*(placement.paths[name] for name in {names}), placement.extra['inner'][{names[0]!r}])\n"
        )
        words = [sys.executable, "-c", script]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as runtime:
            for directory in ours.directories:
                Path(directory, "cgroup.procs").write_text(str(runtime.pid))
            seen, _ = runtime.communicate("go\n", timeout=30)
        own = f"/cl-cg-own-{os.getpid()}"
        roots = [os.path.dirname(ours.placement.paths[name]) for name in names]
        for line, inner in zip(seen.splitlines(), (f"/{ID}", f"/sub/{ID}"), strict=True):
            assert line.split() == [*(root + own + inner for root in roots), own + inner]

    @pytest.mark.parametrize(
        ("own", "root", "below"),
        [
            ("/", "/", ""),
            ("/a/b", "/", "/a/b"),
            ("/docker/x", "/docker/x", ""),
            ("/docker/x/y", "/docker/x", "/y"),
            ("/docker/xy", "/docker/x", ""),
            ("/../other", "/", ""),
        ],
    )
    def test_our_own_cgroup_is_found_below_what_is_mounted(self, own: str, root: str, below: str) -> None:
        assert own_path({"cpu,cpuacct": own}, ("cpuacct", "cpu"), root) == below

    def test_on_pure_v2_it_is_beside_our_own_cgroup_which_can_give_no_controllers(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unified = type(cgroup_hierarchies()[0])((), "/sys/fs/cgroup", "/", 2)
        monkeypatch.setattr(layout, "cgroup_hierarchies", lambda: [unified])
        for own, expected in (("/", f"/{ID}"), ("/one", f"/{ID}"), ("/one/two", f"/one/{ID}")):
            monkeypatch.setattr(layout, "cgroups_of", lambda pid, own=own: {"": own})
            placement = layout.place(CgroupRequest(ID))
            assert placement.paths == {"": "/sys/fs/cgroup" + expected}

    @pytest.mark.parametrize("path", ["..", "/a/../b", "/", "//", ".", "/a\0b", "/a\nb", "/" + "x" * 256])
    def test_a_path_that_climbs_or_is_the_root_or_cannot_be_a_name_is_refused(self, path: str) -> None:
        with pytest.raises(ConfigError) as caught:
            CgroupfsManager().place(CgroupRequest(ID, path))
        assert caught.value.where == "linux.cgroupsPath"


class TestDirectories:
    def test_missing_parents_are_made_and_removed_if_nobody_moved_in(self, cgroups: Cgroups) -> None:
        made = cgroups.make(f"/cl-cg-p{os.getpid()}/q/{ID}")
        cgroups.manager.destroy(made.placement, made.ctx.effects)
        assert not cgroups.left(made)

    def test_a_parent_that_another_container_uses_stays(self, cgroups: Cgroups) -> None:
        parent = f"/cl-cg-p{os.getpid()}"
        first, second = cgroups.make(f"{parent}/one"), cgroups.make(f"{parent}/two")
        cgroups.manager.destroy(first.placement, first.ctx.effects)
        assert all(os.path.isdir(path) for path in second.directories)
        assert not any(os.path.isdir(path) for path in first.directories)

    def test_nothing_is_made_when_one_hierarchy_has_such_a_cgroup(self, cgroups: Cgroups) -> None:
        placement = cgroups.manager.place(CgroupRequest(ID))
        last = list(placement.paths.values())[-1]
        os.mkdir(last)
        try:
            with pytest.raises(AlreadyExists):
                cgroups.make()
            assert [path for path in placement.paths.values() if os.path.isdir(path)] == [last]
        finally:
            os.rmdir(last)

    def test_a_cpuset_has_the_cpus_and_nodes_of_its_parent(self, cgroups: Cgroups) -> None:
        made = cgroups.make(f"/cl-cg-p{os.getpid()}/{ID}")
        root = Path(os.path.dirname(os.path.dirname(made.placement.paths["cpuset"])))
        for name in ("cpuset.cpus", "cpuset.mems"):
            assert cgroups.value(made, "cpuset", name) == (root / name).read_text().strip() != ""

    def test_cgroups_nested_deeper_than_any_path_can_be_are_removed(self, cgroups: Cgroups) -> None:
        made = cgroups.make()
        here = os.open(".", os.O_RDONLY)
        try:
            os.chdir(made.placement.paths["pids"])
            for _ in range(40):  # 40 * 201 bytes: beyond PATH_MAX
                os.mkdir("d" * 200)
                os.chdir("d" * 200)
        finally:
            os.fchdir(here)
            os.close(here)
        assert cgroups.manager.processes(made.placement) == []
        cgroups.manager.destroy(made.placement, made.ctx.effects)
        assert not cgroups.left(made)

    def test_a_cgroup_with_a_process_is_an_error_that_names_it(
        self, cgroups: Cgroups, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("corelaunch_cgroupfs.directories.BUSY_SECONDS", 0.05)
        made = cgroups.make()
        subject = cgroups.join(made)
        with pytest.raises(KernelError, match=f"processes in it: {subject.pid}") as caught:
            cgroups.manager.destroy(made.placement, made.ctx.effects)
        assert caught.value.errno == errno.EBUSY

    def test_a_place_outside_of_cgroup_filesystems_is_refused(self, cgroups: Cgroups, tmp_path: Path) -> None:
        with pytest.raises(Unsupported, match="is not in a cgroup filesystem"):
            placement = CgroupPlacement({"pids": str(tmp_path / ID)})
            cgroups.manager.create(placement, CgroupRequest(ID), None, RecordingContext())
        assert not (tmp_path / ID).exists()


class TestLimits:
    def check(self, cgroups: Cgroups, resources: dict[str, Any], *expected: tuple[str, str, str]) -> Made:
        made = cgroups.make(resources=resources)
        cgroups.manager.set_resources(made.placement, resources)
        for controller, name, value in expected:
            assert cgroups.value(made, controller, name) == value, name
        return made

    def test_memory(self, cgroups: Cgroups) -> None:
        memory = {
            "limit": 64 * MIB,
            "swap": 96 * MIB,
            "reservation": 32 * MIB,
            "swappiness": 0,
            "disableOOMKiller": True,
        }
        made = self.check(
            cgroups,
            {"memory": memory},
            ("memory", "memory.limit_in_bytes", str(64 * MIB)),
            ("memory", "memory.memsw.limit_in_bytes", str(96 * MIB)),
            ("memory", "memory.soft_limit_in_bytes", str(32 * MIB)),
            ("memory", "memory.swappiness", "0"),
        )
        assert "oom_kill_disable 1" in cgroups.value(made, "memory", "memory.oom_control")
        cgroups.manager.set_resources(made.placement, {"memory": {"disableOOMKiller": False}})
        assert "oom_kill_disable 0" in cgroups.value(made, "memory", "memory.oom_control")

    @pytest.mark.parametrize("limit, swap", [(128, 256), (16, 32), (256, 256), (-1, -1), (64, 64)])
    def test_memory_and_swap_are_raised_and_lowered_in_the_order_that_the_kernel_wants(
        self, cgroups: Cgroups, limit: int, swap: int
    ) -> None:
        made = self.check(cgroups, {"memory": {"limit": 64 * MIB, "swap": 96 * MIB}})
        scale = MIB if limit > 0 else 1
        cgroups.manager.set_resources(made.placement, {"memory": {"limit": limit * scale, "swap": swap * scale}})
        if limit > 0:
            assert cgroups.value(made, "memory", "memory.limit_in_bytes") == str(limit * MIB)
            assert cgroups.value(made, "memory", "memory.memsw.limit_in_bytes") == str(swap * MIB)
        else:
            assert int(cgroups.value(made, "memory", "memory.memsw.limit_in_bytes")) > 1 << 60

    def test_memory_without_limit_lifts_that_of_memory_and_swap_too(self, cgroups: Cgroups) -> None:
        made = self.check(cgroups, {"memory": {"limit": 64 * MIB, "swap": 96 * MIB}})
        cgroups.manager.set_resources(made.placement, {"memory": {"limit": -1}})
        assert int(cgroups.value(made, "memory", "memory.limit_in_bytes")) > 1 << 60

    def test_a_memory_limit_above_that_of_memory_and_swap_says_what_to_set(self, cgroups: Cgroups) -> None:
        made = self.check(cgroups, {"memory": {"limit": 64 * MIB, "swap": 96 * MIB}})
        with pytest.raises(KernelError, match=r"set linux\.resources\.memory\.swap as well"):
            cgroups.manager.set_resources(made.placement, {"memory": {"limit": 128 * MIB}})

    def test_a_memory_limit_below_the_usage_says_how_much_is_in_use(self, cgroups: Cgroups) -> None:
        made = self.check(cgroups, {"memory": {"limit": 64 * MIB, "swap": 64 * MIB}})
        hog = cgroups.join(
            made, "exec python3 -c 'x=bytearray(20<<20); print(1, flush=True); import time; time.sleep(99)'"
        )
        assert hog.hears(20)
        with pytest.raises(KernelError, match="bytes are in use") as caught:
            cgroups.manager.set_resources(made.placement, {"memory": {"limit": MIB, "swap": MIB}})
        assert caught.value.errno == errno.EBUSY
        with pytest.raises(KernelError, match="checkBeforeUpdate"):
            cgroups.manager.set_resources(made.placement, {"memory": {"limit": MIB, "checkBeforeUpdate": True}})

    def test_cpu(self, cgroups: Cgroups) -> None:
        made = self.check(
            cgroups,
            {"cpu": {"shares": 512, "quota": 50000, "period": 200000, "burst": 20000, "cpus": "0", "mems": "0"}},
            ("cpu", "cpu.shares", "512"),
            ("cpu", "cpu.cfs_quota_us", "50000"),
            ("cpu", "cpu.cfs_period_us", "200000"),
            ("cpu", "cpu.cfs_burst_us", "20000"),
            ("cpuset", "cpuset.cpus", "0"),
        )
        cgroups.manager.set_resources(made.placement, {"cpu": {"quota": 10000, "period": 100000, "burst": 0}})
        assert cgroups.value(made, "cpu", "cpu.cfs_quota_us") == "10000"
        cgroups.manager.set_resources(made.placement, {"cpu": {"quota": 90000, "burst": 80000}})
        assert cgroups.value(made, "cpu", "cpu.cfs_burst_us") == "80000"

    @pytest.mark.parametrize(
        ("rules", "where"),
        [
            (
                [
                    {"allow": True, "type": "c", "major": 240, "access": "rw"},
                    {"allow": False, "type": "c", "major": 240, "minor": 3, "access": "w"},
                ],
                "linux.resources.devices[1]",
            ),
            (
                [{"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 1, "access": "w"}],
                "linux.resources.devices",
            ),
            ([{"allow": True, "type": "x", "access": "rw"}], "linux.resources.devices[0].type"),
        ],
    )
    def test_device_rules_that_v1_cannot_express_are_refused_before_anything_is_made(
        self, cgroups: Cgroups, rules: list[dict[str, Any]], where: str
    ) -> None:
        with pytest.raises((ConfigError, Unsupported)) as caught:
            cgroups.manager.place(CgroupRequest(ID, f"/{ID}", {"devices": rules}))
        assert caught.value.where == where

    def test_below_a_cpuset_that_another_launch_has_made_and_not_yet_filled_a_process_can_join(
        self, cgroups: Cgroups
    ) -> None:
        """Between mkdir and the first write it has no CPU; a launch that is killed there leaves it so."""
        if "cpuset" not in cgroups.manager.place(CgroupRequest(ID, f"/{ID}")).paths:
            pytest.skip("this host lacks the cpuset of v1")
        above = f"/cl-cg-empty-{os.getpid()}"
        root = next(h.mountpoint for h in cgroup_hierarchies() if "cpuset" in h.controllers)
        os.makedirs(f"{root}{above}/between")
        made = cgroups.make(f"{above}/between/{ID}")
        for directory in (f"{root}{above}/between", f"{root}{above}"):
            cgroups._directories.append(directory)
        for name in ("cpuset.cpus", "cpuset.mems"):
            assert cgroups.value(made, "cpuset", name) == Path(root, name).read_text().strip()
        with subprocess.Popen(["sleep", "60"]) as process:
            try:
                cgroups.manager.add_process(made.placement, ProcessHandle(process.pid, 0))
                assert process.pid in cgroups.manager.processes(made.placement)
            finally:
                process.kill()

    def test_cpu_idle(self, cgroups: Cgroups) -> None:
        self.check(cgroups, {"cpu": {"idle": 1}}, ("cpu", "cpu.idle", "1"))

    def test_pids_zero_is_a_limit_and_negative_is_none(self, cgroups: Cgroups) -> None:
        made = self.check(cgroups, {"pids": {"limit": 0}}, ("pids", "pids.max", "0"))
        cgroups.manager.set_resources(made.placement, {"pids": {"limit": -1}})
        assert cgroups.value(made, "pids", "pids.max") == "max"

    def test_block_io_weight_and_throttles(self, cgroups: Cgroups) -> None:
        disk = next(iter(sorted(Path("/sys/block").iterdir())), None)
        if disk is None:
            pytest.skip("this host lacks a disk")
        major, minor = map(int, (disk / "dev").read_text().split(":"))
        device = {"major": major, "minor": minor}
        throttles = {
            "throttleReadBpsDevice": "blkio.throttle.read_bps_device",
            "throttleWriteBpsDevice": "blkio.throttle.write_bps_device",
            "throttleReadIOPSDevice": "blkio.throttle.read_iops_device",
            "throttleWriteIOPSDevice": "blkio.throttle.write_iops_device",
        }
        resources = {"blockIO": {"weight": 300, **{key: [{**device, "rate": 600}] for key in throttles}}}
        made = self.check(cgroups, resources, *(("blkio", name, f"{major}:{minor} 600") for name in throttles.values()))
        assert "300" in cgroups.value(made, "blkio", "blkio.bfq.weight")

    def test_what_engines_write_for_not_set_is_not_set(self, cgroups: Cgroups) -> None:
        unset = {
            "memory": {"limit": 0, "swap": 0, "disableOOMKiller": False},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": ""},
            "blockIO": {"weight": 0, "leafWeight": 0, "weightDevice": []},
            "hugepageLimits": [],
            "network": {},
            "unified": {},
            "rdma": {},
            "devices": [],
        }
        made = self.check(cgroups, unset, ("cpu", "cpu.shares", "1024"), ("devices", "devices.list", "a *:* rwm"))
        assert int(cgroups.value(made, "memory", "memory.limit_in_bytes")) > 1 << 60

    @pytest.mark.parametrize(
        ("resources", "where"),
        [
            ({"unified": {"memory.high": "1"}}, "linux.resources.unified"),
            ({"network": {"classID": 5}}, "linux.resources.network.classID"),
            ({"network": {"priorities": [{"name": "eth0", "priority": 1}]}}, "linux.resources.network.priorities"),
            ({"rdma": {"mlx5_1": {"hcaHandles": 3}}}, "linux.resources.rdma.mlx5_1"),
        ],
    )
    def test_what_this_host_has_no_controller_for_is_refused_before_anything_is_made(
        self, resources: dict[str, Any], where: str
    ) -> None:
        if set(resources) & {"network", "rdma"} and {"net_cls", "net_prio", "rdma"} & set(KernelCgroups().roots()):
            pytest.skip("this host has the controller")
        with pytest.raises(Unsupported) as caught:
            CgroupfsManager().place(CgroupRequest(ID, "", resources))
        assert caught.value.where == where

    @pytest.mark.parametrize(
        ("resources", "error", "where"),
        [
            ({"memory": {"kernel": 1 << 20}}, Unsupported, "linux.resources.memory.kernel"),
            ({"memory": {"useHierarchy": False}}, Unsupported, "linux.resources.memory.useHierarchy"),
            ({"memory": {"limit": 64 * MIB, "swap": 32 * MIB}}, ConfigError, "linux.resources.memory.swap"),
            ({"memory": {"limit": "64M"}}, ConfigError, "linux.resources.memory.limit"),
            ({"cpu": {"shares": 1}}, ConfigError, "linux.resources.cpu.shares"),
            ({"cpu": {"cpus": "999"}}, KernelError, "cpuset.cpus"),
            ({"cpu": {"quota": 10, "period": 100000}}, KernelError, "cpu.cfs_quota_us"),
            ({"blockIO": {"leafWeight": 100}}, Unsupported, "linux.resources.blockIO"),
            ({"blockIO": {"throttleReadBpsDevice": [{"major": 999, "minor": 0, "rate": 1}]}}, KernelError, "read_bps"),
            ({"blockIO": {"throttleReadBpsDevice": [{"rate": 1}]}}, ConfigError, "throttleReadBpsDevice[0]"),
        ],
    )
    def test_what_cannot_be_limited_is_an_error_and_never_dropped(
        self, cgroups: Cgroups, resources: dict[str, Any], error: type[Exception], where: str
    ) -> None:
        made = cgroups.make()
        with pytest.raises(error) as caught:
            cgroups.manager.set_resources(made.placement, resources)
        assert where in caught.value.where  # type: ignore[attr-defined]

    def test_huge_pages_are_limited_where_the_unified_hierarchy_has_them(self, cgroups: Cgroups) -> None:
        if "" not in KernelCgroups().roots():
            pytest.skip("this host lacks cgroup v2")
        root = Path(KernelCgroups().roots()[""])
        control = root / "cgroup.subtree_control"
        if "hugetlb" not in (root / "cgroup.controllers").read_text() or not Path("/sys/kernel/mm/hugepages").is_dir():
            pytest.skip("this host lacks the controller hugetlb")
        before = control.read_text().split()
        limits = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]}
        try:
            made = self.check(cgroups, limits, ("", "hugetlb.2MB.max", str(4 * MIB)))
            cgroups.manager.destroy(made.placement, made.ctx.effects)
        finally:
            if "hugetlb" not in before:
                control.write_text("-hugetlb")


class TestDevices:
    def test_the_list_is_the_rules_and_what_every_container_has(self, cgroups: Cgroups) -> None:
        made = cgroups.make()
        rules = [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
            {"allow": True, "type": "b", "major": 7, "access": "r"},
        ]
        cgroups.manager.set_resources(made.placement, {"devices": rules})
        lines = cgroups.value(made, "devices", "devices.list").split("\n")
        assert {"c 10:229 rw", "b 7:* r", "c 1:3 rwm", "c *:* m", "b *:* m", "c 136:* rwm"} <= set(lines)
        assert len(lines) == 13

    def test_the_same_rules_again_write_nothing(self, cgroups: Cgroups) -> None:
        """A running container would else lose its devices for a moment."""
        made = cgroups.make()
        rules = [{"allow": False, "access": "rwm"}]
        cgroups.manager.set_resources(made.placement, {"devices": rules})
        os.mkdir(f"{made.placement.paths['devices']}/inside")  # from now on the kernel refuses a change of the default
        cgroups.manager.set_resources(made.placement, {"devices": rules})

    def test_allowing_everything_again(self, cgroups: Cgroups) -> None:
        made = cgroups.make()
        cgroups.manager.set_resources(made.placement, {"devices": [{"allow": False, "access": "rwm"}]})
        cgroups.manager.set_resources(made.placement, {"devices": [{"allow": True, "access": "rwm"}]})
        assert cgroups.value(made, "devices", "devices.list") == "a *:* rwm"


class TestKill:
    def without_unified(self, made: Made) -> CgroupPlacement:
        paths = {controller: path for controller, path in made.placement.paths.items() if controller}
        return CgroupPlacement(paths, made.placement.extra)

    def test_without_a_unified_hierarchy_processes_are_frozen_killed_and_thawed(self, cgroups: Cgroups) -> None:
        made = cgroups.make()
        outer = cgroups.join(made, "echo; while :; do sleep 0.05 & done")
        inner = cgroups.join(made)
        assert outer.hears(5)
        cgroups.move_inside(made, inner)
        membership.kill(self.without_unified(made))
        assert cgroups.manager.processes(made.placement) == []
        assert (outer.wait(), inner.wait()) == (-9, -9)
        assert not cgroups.manager.frozen(made.placement)

    @pytest.mark.parametrize("unified", [True, False])
    def test_a_cgroup_that_the_container_froze_inside_is_no_refuge(self, cgroups: Cgroups, unified: bool) -> None:
        made = cgroups.make()
        inner = cgroups.join(made)
        cgroups.move_inside(made, inner)
        Path(made.placement.paths["freezer"], "inside", "freezer.state").write_text("FROZEN")
        membership.kill(made.placement if unified else self.without_unified(made))
        assert inner.wait() == -9


class TestJoining:
    def test_a_pid_that_belongs_to_another_process_now_is_refused(self, cgroups: Cgroups) -> None:
        made = cgroups.make()
        subject = cgroups.subject()
        with pytest.raises(KernelError) as caught:
            cgroups.manager.add_process(
                made.placement, subject.handle.replace(start_time=subject.handle.start_time - 1)
            )
        assert caught.value.errno == errno.ESRCH
        assert cgroups.manager.processes(made.placement) == []

    @pytest.mark.parametrize("path", ["", f"/{ID}"])
    def test_where_a_process_is_already_nothing_is_written(
        self, cgroups: Cgroups, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        """Each write waits for an RCU grace period."""
        made = cgroups.make(path)
        subject: Subject = cgroups.join(made)
        written: list[str] = []
        monkeypatch.setattr("corelaunch_cgroupfs.files.write", lambda path, value: written.append(path))
        cgroups.manager.add_process(made.placement, subject.handle)
        assert written == []
        assert path == "" or made.placement.extra["inner"] == f"/{ID}"


def test_the_launch_path_imports_nothing_that_is_rationed() -> None:
    """Placing, creating, limiting and destroying; typing, re, enum and the like cost milliseconds each."""
    script = """
import sys
from corelaunch_cgroupfs.manager import CgroupfsManager
import corelaunch_cgroupfs.limits_v1, corelaunch_cgroupfs.freezer
CgroupfsManager()
banned = {"re", "typing", "enum", "inspect", "dataclasses", "attr", "attrs", "subprocess", "socket", "logging", "json",
          "argparse", "pathlib", "tempfile", "shutil", "functools", "contextlib", "collections", "signal", "pluggy",
          "importlib.metadata"}
print(sorted(banned & set(sys.modules)))
"""
    program = f"import sys; sys.path[:] = {[path for path in sys.path if path]!r}\n{script}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


class TestCompany:
    """Others at work in the same hierarchies."""

    def test_what_is_removed_inside_while_it_is_destroyed_is_no_error(self, cgroups: Cgroups) -> None:
        """The remover walks the same way, from the bottom up: each is there for the one and gone for the other."""
        remover = "import os, sys\nfor path in sys.stdin.read().split():\n    os.path.isdir(path) and os.rmdir(path)"
        for _ in range(3):
            made = cgroups.make(f"/{ID}-race")
            top = made.placement.paths["pids"]
            below = [f"{top}/{'/'.join('abcdefgh'[: depth + 1])}/{n}" for depth in range(8) for n in range(12)]
            for path in below:
                os.makedirs(path)
            with subprocess.Popen([sys.executable, "-c", remover], stdin=subprocess.PIPE, text=True) as other:
                assert other.stdin is not None
                other.stdin.write("\n".join(reversed(below)))
                other.stdin.close()
                while other.poll() is None and os.path.isdir(below[-1]):
                    pass
                cgroups.manager.kill(made.placement)
                cgroups.manager.destroy(made.placement, made.ctx.effects)
            assert not os.path.isdir(top)

    def test_more_processes_than_descriptors_are_killed_where_the_kernel_has_no_cgroup_kill(
        self, cgroups: Cgroups
    ) -> None:
        made = cgroups.make(f"/{ID}-crowd")
        v1 = made.placement.replace(paths={name: path for name, path in made.placement.paths.items() if name})
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        script = "for i in $(seq 199); do sleep 1000 & done; wait"
        with subprocess.Popen(["sh", "-c", f"read line; {script}"], stdin=subprocess.PIPE) as crowd:
            assert crowd.stdin is not None
            cgroups.manager.add_process(made.placement, ProcessHandle(crowd.pid, 0))
            crowd.stdin.write(b"\n")
            crowd.stdin.flush()
            while len(cgroups.manager.processes(v1)) < 200:
                pass
            crowd.poll()
            open_now = len(os.listdir("/proc/self/fd"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 160, before[1]))
            try:
                threading.Thread(target=crowd.wait).start()
                cgroups.manager.kill(v1)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
                cgroups.manager.kill(made.placement)
        assert len(os.listdir("/proc/self/fd")) <= open_now
        cgroups.manager.destroy(made.placement, made.ctx.effects)

    def test_among_thousands_of_siblings_nobody_else_is_looked_at(
        self, cgroups: Cgroups, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        above = f"/cl-cg-many-{os.getpid()}"
        paths = cgroups.manager.place(CgroupRequest(ID, f"{above}/{ID}")).paths
        parents = {os.path.dirname(paths[name]) for name in ("pids", "freezer")}
        siblings = [f"{parent}/{number}" for parent in parents for number in range(2000)]
        listed: list[Any] = []
        scandir, listdir = os.scandir, os.listdir

        def named(path: Any) -> Any:
            return os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.fspath(path)

        try:
            for path in siblings:
                os.makedirs(path)
            monkeypatch.setattr(os, "scandir", lambda path: (listed.append(named(path)), scandir(path))[1])
            monkeypatch.setattr(os, "listdir", lambda path: (listed.append(named(path)), listdir(path))[1])
            made = cgroups.make(f"{above}/{ID}", {"pids": {"limit": 5}})
            cgroups.manager.set_resources(made.placement, {"pids": {"limit": 5}})
            subject = cgroups.join(made)
            assert cgroups.manager.processes(made.placement) == [subject.pid]
            assert cgroups.manager.stats(made.placement).pids_current == 1
            cgroups.manager.freeze(made.placement)
            cgroups.manager.kill(made.placement)
            subject.end()
            cgroups.manager.destroy(made.placement, made.ctx.effects)
            assert not any(os.path.isdir(path) for path in made.directories)
            assert not parents & set(listed)
            monkeypatch.undo()
            assert all(len(os.listdir(parent)) > 2000 for parent in parents)
        finally:
            monkeypatch.undo()
            for path in siblings:
                if os.path.isdir(path):
                    os.rmdir(path)
            for parent in {os.path.dirname(path) for path in paths.values()}:
                if os.path.isdir(parent):
                    os.rmdir(parent)
