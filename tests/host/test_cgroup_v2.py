"""Containers on pure cgroup v2 with every controller: what the config limits is limited, and nothing is left.

The development host is hybrid; tests/vm runs this module in the guest.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corelaunch.api import cgroup_hierarchies
from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.container import Container
from corelaunch.errors import AlreadyExists, ConfigError, CorelaunchError, KernelError, Unsupported
from corelaunch.kernel import procfs
from corelaunch.runtime import Runtime

Bundle = Callable[..., Path]

PURE_V2 = [hierarchy.version for hierarchy in cgroup_hierarchies()] == [2]
ROOT = Path("/sys/fs/cgroup")
MARK = f"cl-v2-{os.getpid()}"
MIB = 1 << 20

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not PURE_V2, reason="this host lacks pure cgroup v2"),
]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    left = [str(path) for path in ROOT.rglob(f"*{MARK}*")]
    assert not left, f"left behind: {left}"


def limited(path: str, resources: dict[str, Any], **linux: Any) -> Callable[[dict[str, Any]], None]:
    """A change of a config: where its cgroup is, and its limits."""

    def change(config: dict[str, Any]) -> None:
        config["linux"].update({"cgroupsPath": path, **linux})
        config["linux"]["resources"] = {**config["linux"]["resources"], **resources}

    return change


def run(runtime: Runtime, where: Path, output: Any) -> tuple[int, str]:
    """Exit status and output of a container in the foreground."""
    status = runtime.run(MARK, str(where), io=ProcessIO(stdin=0, stdout=output.fd, stderr=output.fd))
    return status, output.text()


def shell(*lines: str) -> list[str]:
    return ["sh", "-c", "\n".join(lines)]


def cgroup_of(container: Container) -> Path:
    backend = container.cgroup()
    assert backend is not None
    return Path(backend.placement.paths[""])


def executed(container: Container, *args: str) -> str:
    """Output of a command that is executed in a container."""
    read, write = os.pipe()
    process = {"args": list(args), "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
    started = container.exec(process, io=ProcessIO(stdin=0, stdout=write, stderr=write))
    os.close(write)
    with open(read, encoding="utf-8") as answers:
        text = answers.read()
    started.wait(10)
    return text


def disk() -> tuple[str, int, int]:
    """A whole block device of this host, and its numbers."""
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        major, minor, _, name = line.split()
        if name.startswith(("vd", "sd")) and Path(f"/sys/block/{name}").exists():
            return name, int(major), int(minor)
    pytest.skip("this host lacks a disk")


@pytest.fixture
def huge_pages() -> Iterator[None]:
    """Eight huge pages of 2 MiB."""
    number = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    if not number.exists():
        pytest.skip("this host lacks huge pages of 2 MiB")
    before = number.read_text()
    number.write_text("8")
    yield
    number.write_text(before)


class TestLimits:
    def test_the_kernels_files_say_what_the_config_says(self, runtime: Runtime, bundle: Bundle) -> None:
        name, major, minor = disk()
        change = limited(
            f"/{MARK}/box",
            {
                "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 16 * MIB},
                "pids": {"limit": 20},
                "cpu": {"shares": 512, "quota": 20000, "period": 100000, "burst": 5000, "cpus": "0", "mems": "0"},
                "blockIO": {
                    "weight": 500,
                    "throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": MIB}],
                    "throttleWriteIOPSDevice": [{"major": major, "minor": minor, "rate": 100}],
                },
                "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}],
                "unified": {"memory.high": str(48 * MIB), "memory.oom.group": "1", "cgroup.max.depth": "3"},
            },
        )
        container = runtime.create(MARK, str(bundle("sleep", "1000", change=change)))
        try:
            container.start()
            assert procfs.cgroups_of(container.pid) == {"": f"/{MARK}/box"}
            expected = {
                "memory.max": str(64 * MIB),
                "memory.swap.max": str(32 * MIB),
                "memory.low": str(16 * MIB),
                "memory.high": str(48 * MIB),
                "memory.oom.group": "1",
                "pids.max": "20",
                "cpu.weight": "59",
                "cpu.max": "20000 100000",
                "cpu.max.burst": "5000",
                "cpuset.cpus": "0",
                "cpuset.mems": "0",
                "io.max": f"{major}:{minor} rbps={MIB} wbps=max riops=max wiops=100",
                "hugetlb.2MB.max": str(4 * MIB),
                "hugetlb.2MB.rsvd.max": str(4 * MIB),
                "cgroup.max.depth": "3",
            }
            files = cgroup_of(container)
            assert {file: (files / file).read_text().strip() for file in expected} == expected
            weight = "io.bfq.weight" if (files / "io.bfq.weight").exists() else "io.weight"
            assert (files / weight).read_text().startswith("default 500" if "bfq" in weight else "default 4950"), name
            assert procfs.status_fields(container.pid)["Cpus_allowed_list"] == "0"
        finally:
            container.delete(force=True)

    def test_an_update_changes_them_while_it_runs(self, runtime: Runtime, bundle: Bundle) -> None:
        _, major, minor = disk()
        container = runtime.create(MARK, str(bundle("sleep", "1000", change=limited(f"/{MARK}", {}))))
        try:
            container.start()
            files = cgroup_of(container)
            container.update(
                {
                    "memory": {"limit": 32 * MIB},
                    "pids": {"limit": 9},
                    "cpu": {"quota": 50000, "period": 100000},
                    "blockIO": {"throttleWriteBpsDevice": [{"major": major, "minor": minor, "rate": MIB}]},
                }
            )
            for file, value in (("memory.max", str(32 * MIB)), ("pids.max", "9"), ("cpu.max", "50000 100000")):
                assert (files / file).read_text().strip() == value
            assert f"wbps={MIB}" in (files / "io.max").read_text()
            with pytest.raises(KernelError) as caught:
                container.update({"memory": {"limit": 48 * MIB}, "unified": {"cpu.weight": "70000"}})
            assert caught.value.where == str(files / "cpu.weight")
            assert (files / "memory.max").read_text().strip() == str(32 * MIB)
            container.update({"memory": {"limit": -1}, "pids": {"limit": -1}})
            for file in ("memory.max", "memory.swap.max", "pids.max"):
                assert (files / file).read_text() == "max\n"
        finally:
            container.delete(force=True)

    def test_a_fork_beyond_the_limit_of_pids_fails(self, runtime: Runtime, bundle: Bundle, output: Any) -> None:
        lines = ["for i in 1 2 3 4 5 6 7 8; do sleep 2 & done", "grep ^max /sys/fs/cgroup/pids.events"]
        change = limited(f"/{MARK}", {"pids": {"limit": 5}})
        status, text = run(runtime, bundle(*shell(*lines), change=change), output)
        assert status != 0 and "fork" in text, text

    def test_memory_beyond_the_limit_is_an_oom_kill_and_told_as_one(self, runtime: Runtime, bundle: Bundle) -> None:
        change = limited(f"/{MARK}", {"memory": {"limit": 16 * MIB, "swap": 16 * MIB}})
        container = runtime.create(MARK, str(bundle("tail", "/dev/zero", change=change)))
        try:
            events = container.watch(0.2)
            first = next(events)  # from here on it is watched
            assert first is not None and first.cgroup.oom_kills == 0
            container.start()
            assert None in events, "killed for its memory, and no event said so"
            assert container.wait(10) in (137, -9)
            backend = container.cgroup()
            assert backend is not None and backend.manager.oom_kill_count(backend.placement) == 1
        finally:
            container.delete(force=True)

    def test_with_oom_group_all_processes_go_with_the_one(self, runtime: Runtime, bundle: Bundle) -> None:
        change = limited(
            f"/{MARK}", {"memory": {"limit": 16 * MIB, "swap": 16 * MIB}, "unified": {"memory.oom.group": "1"}}
        )
        container = runtime.create(MARK, str(bundle(*shell("tail /dev/zero & sleep 1000 & wait"), change=change)))
        try:
            container.start()
            assert container.wait(20) in (137, -9)
            assert container.cgroup_paths and not container.processes()
        finally:
            container.delete(force=True)

    def test_a_child_that_has_no_memory_to_start_with_says_so(self, runtime: Runtime, bundle: Bundle) -> None:
        change = limited(f"/{MARK}", {"memory": {"limit": 8192, "swap": 8192}})
        with pytest.raises(CorelaunchError, match=r"container init was OOM-killed \(memory limit too low\?\)"):
            runtime.create(MARK, str(bundle("true", change=change)))

    def test_a_device_that_no_rule_allows_cannot_be_opened(
        self, runtime: Runtime, bundle: Bundle, output: Any
    ) -> None:
        def change(config: dict[str, Any]) -> None:
            limited(f"/{MARK}", {})(config)
            config["process"]["capabilities"]["bounding"].append("CAP_MKNOD")
            for kind in ("effective", "permitted"):
                config["process"]["capabilities"][kind].append("CAP_MKNOD")

        lines = [
            "mknod /tmp/kmsg c 1 11 && mknod /tmp/zero c 1 5",
            "head -c1 /tmp/kmsg >/dev/null || echo kmsg denied",
            "head -c1 /tmp/zero >/dev/null && echo zero open",
        ]
        _, text = run(runtime, bundle(*shell(*lines), change=change), output)
        assert "kmsg denied" in text and "Operation not permitted" in text and "zero open" in text, text

    def test_a_busy_container_is_throttled_to_its_quota(self, runtime: Runtime, bundle: Bundle) -> None:
        change = limited(f"/{MARK}", {"cpu": {"quota": 5000, "period": 50000}})
        container = runtime.create(MARK, str(bundle(*shell("while :; do :; done"), change=change)))
        try:
            container.start()
            deadline = time.monotonic() + 20
            while container.stats().cgroup.cpu_throttled_periods < 2:
                assert time.monotonic() < deadline, "never throttled"
                time.sleep(0.1)
            assert container.stats().cgroup.cpu_throttled_ns > 0
        finally:
            container.delete(force=True)

    def test_reading_a_disk_takes_as_long_as_its_rate_says(self, runtime: Runtime, bundle: Bundle, output: Any) -> None:
        name, major, minor = disk()
        rule = {"allow": True, "type": "b", "major": major, "minor": minor, "access": "r"}
        rate = {"throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 256 * 1024}]}

        def change(config: dict[str, Any]) -> None:
            resources = {"devices": [{"allow": False, "access": "rwm"}, rule], "blockIO": rate}
            limited(f"/{MARK}", resources)(config)
            config["linux"]["devices"] = [{"path": f"/dev/{name}", "type": "b", "major": major, "minor": minor}]

        begun = time.monotonic()
        status, text = run(
            runtime,
            bundle("dd", f"if=/dev/{name}", "of=/dev/null", "bs=65536", "count=12", "iflag=direct", change=change),
            output,
        )
        assert status == 0, text
        assert time.monotonic() - begun > 2, "768 KiB at 256 KiB a second in less than two"

    def test_huge_pages_beyond_the_limit_are_refused(
        self, runtime: Runtime, bundle: Bundle, output: Any, huge_pages: None
    ) -> None:
        def change(config: dict[str, Any]) -> None:
            limited(f"/{MARK}", {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]})(config)
            config["mounts"].append(
                {"destination": "/tmp", "type": "hugetlbfs", "source": "huge", "options": ["pagesize=2M"]}
            )

        lines = ["fallocate -l 4194304 /tmp/in && echo within", "fallocate -l 8388608 /tmp/beyond && echo beyond"]
        _, text = run(runtime, bundle(*shell(*lines), change=change), output)
        assert "within" in text and "beyond\n" not in text.replace("/tmp/beyond", ""), text


class TestRefusals:
    @pytest.mark.parametrize(
        ("unified", "error", "says"),
        [
            ({"memory.nonesuch": "1"}, Unsupported, r"no control memory\.nonesuch: linux\.resources\.unified"),
            ({"teleport.max": "1"}, Unsupported, "has no controller teleport"),
            ({"../memory.max": "1"}, ConfigError, "not the name of a cgroup v2 file"),
            ({"cgroup.procs": "1"}, ConfigError, "managed by the runtime"),
            ({"memory.max": "much"}, KernelError, r"set memory\.max to .much.: \S+/memory\.max: invalid argument"),
            ({"cpuset.cpus": "4000"}, KernelError, r"cannot set cpuset\.cpus to '4000'"),
            ({"cpuset.cpus.partition": "root"}, KernelError, r"the kernel says '(root invalid|.*invalid)"),
        ],
    )
    def test_what_cannot_be_set_is_one_clear_line_and_leaves_nothing(
        self, runtime: Runtime, bundle: Bundle, unified: dict[str, str], error: type[Exception], says: str
    ) -> None:
        change = limited(f"/{MARK}/above/box", {"unified": unified})
        with pytest.raises(error, match=says):
            runtime.create(MARK, str(bundle("true", change=change)))
        assert runtime.root.ids() == []

    def test_below_a_cgroup_with_processes_a_limit_is_refused_and_the_rule_named(
        self, runtime: Runtime, bundle: Bundle
    ) -> None:
        crowded = ROOT / f"{MARK}-crowded"
        crowded.mkdir()
        inside = subprocess.Popen(["sleep", "1000"])
        try:
            (crowded / "cgroup.procs").write_text(str(inside.pid))
            change = limited(f"/{crowded.name}/box", {"memory": {"limit": 64 * MIB}})
            with pytest.raises(Unsupported, match=r"memory is not enabled in .*it holds processes.*no internal proc"):
                runtime.create(MARK, str(bundle("true", change=change)))
            assert runtime.run(MARK, str(bundle("true", change=limited(f"/{crowded.name}/box", {})))) == 0
        finally:
            inside.kill()
            inside.wait()
            crowded.rmdir()

    def test_below_a_threaded_cgroup_it_is_refused_and_the_rule_named(self, runtime: Runtime, bundle: Bundle) -> None:
        domain = ROOT / f"{MARK}-domain"
        threaded = domain / "threaded"
        threaded.mkdir(parents=True)
        try:
            (threaded / "cgroup.type").write_text("threaded")
            for above in (domain, threaded):
                change = limited(f"/{above.relative_to(ROOT)}/box", {})
                with pytest.raises(Unsupported, match=r"the one above it is threaded.*thread mode"):
                    runtime.create(MARK, str(bundle("true", change=change)))
                assert not (above / "box").exists()
        finally:
            threaded.rmdir()
            domain.rmdir()

    def test_a_foreign_cgroup_of_its_name_is_refused_and_stays(self, runtime: Runtime, bundle: Bundle) -> None:
        foreign = ROOT / MARK
        foreign.mkdir()
        try:
            with pytest.raises(AlreadyExists, match=re.escape(str(foreign))):
                runtime.create(MARK, str(bundle("true", change=limited(f"/{MARK}", {}))))
            assert foreign.is_dir() and runtime.root.ids() == []
        finally:
            foreign.rmdir()


def own_cgroups(config: dict[str, Any]) -> None:
    """The container may make cgroups below its own."""
    limited(f"/{MARK}", {})(config)
    for mount in config["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"] = [option for option in mount["options"] if option != "ro"]


#: What systemd and nested runtimes do first: all processes into a cgroup below, then controllers for those below.
MOVES = (
    "mkdir /sys/fs/cgroup/init",
    "echo 1 >/sys/fs/cgroup/init/cgroup.procs",
    "echo +memory +pids >/sys/fs/cgroup/cgroup.subtree_control || exit 1",
    "echo moved >/tmp/moved",
    "exec sleep 1000",
)


class TestCgroupsInside:
    @pytest.fixture
    def moved(self, runtime: Runtime, bundle: Bundle, rootfs: Path) -> Iterator[Container]:
        """A container that has moved itself into a cgroup below its own."""
        (rootfs / "tmp/moved").unlink(missing_ok=True)
        container = runtime.create(MARK, str(bundle(*shell(*MOVES), change=own_cgroups)))
        container.start()
        deadline = time.monotonic() + 10
        while not (rootfs / "tmp/moved").exists():
            assert time.monotonic() < deadline and container.pid, "it did not move"
            time.sleep(0.02)
        yield container
        if runtime.root.ids():
            container.delete(force=True)

    def test_exec_goes_to_the_cgroup_of_the_init_when_its_own_takes_nobody(self, moved: Container) -> None:
        assert executed(moved, "cat", "/proc/self/cgroup") == "0::/init\n"
        assert executed(moved, "sh", "-c", "cat /sys/fs/cgroup/init/cgroup.procs | wc -l").strip() != "0"

    def test_an_exec_that_asks_for_the_cgroup_that_takes_nobody_is_told_the_rule(self, moved: Container) -> None:
        process = {"args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
        with pytest.raises(KernelError, match=rf"busy \({re.escape(str(cgroup_of(moved)))} has controllers enabled"):
            moved.exec(process, cgroup={"": "/"})

    def test_every_operation_reaches_what_has_moved(self, moved: Container) -> None:
        assert moved.pid in moved.processes()
        moved.pause()
        assert moved.status == "paused"
        moved.resume()
        moved.update({"pids": {"limit": 50}})
        assert (cgroup_of(moved) / "pids.max").read_text() == "50\n"
        assert moved.stats().cgroup.pids_current == len(moved.processes())

    def test_delete_takes_the_cgroups_below_along(self, moved: Container) -> None:
        deep = "cd /sys/fs/cgroup; for i in 1 2 3 4 5 6 7 8 9; do mkdir deep && cd deep || exit 1; done"
        executed(moved, "sh", "-c", deep)
        executed(moved, "sh", "-c", "cd /sys/fs/cgroup; mkdir many; cd many; seq 1500 | xargs mkdir")
        assert len(list((cgroup_of(moved) / "many").iterdir())) > 1500
        moved.delete(force=True)
        assert not (ROOT / MARK).exists()

    def test_a_container_that_ended_and_left_cgroups_behind_is_deleted(
        self, runtime: Runtime, bundle: Bundle
    ) -> None:
        lines = ["mkdir /sys/fs/cgroup/left", "mkdir /sys/fs/cgroup/left/below"]
        container = runtime.create(MARK, str(bundle(*shell(*lines), change=own_cgroups)))
        container.start()
        container.wait(10)
        container.delete()


#: In a container: go into a cgroup below the container's own, and launch another container beside it.
NESTED = """
import os, sys
from corelaunch.runtime import Runtime
os.mkdir("/sys/fs/cgroup/init")
with open("/sys/fs/cgroup/init/cgroup.procs", "w") as procs:
    procs.write("0")
runtime = Runtime(sys.argv[1])
status = runtime.run("inner", sys.argv[2])
print("inner", status, runtime.root.ids(), sorted(os.listdir("/sys/fs/cgroup")).count("box"), flush=True)
"""


#: What launching takes, and what the inner container is given.
PRIVILEGED = """
SYS_ADMIN SYS_CHROOT SYS_PTRACE SYS_RESOURCE NET_ADMIN SETUID SETGID SETPCAP DAC_OVERRIDE FOWNER CHOWN MKNOD KILL
AUDIT_WRITE NET_BIND_SERVICE
"""


class TestNested:
    def test_a_container_launches_containers_with_limits_of_their_own(
        self, runtime: Runtime, bundle: Bundle, output: Any, tmp_path: Path
    ) -> None:
        lines = [
            "cat /proc/self/cgroup /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max",
            "head -c1 /dev/zero >/dev/null && echo zero",
        ]
        limits = {"pids": {"limit": 7}, "memory": {"limit": 32 * MIB}}
        inner = bundle(*shell(*lines), change=limited("/box", limits))

        def change(config: dict[str, Any]) -> None:
            own_cgroups(config)
            config["process"]["env"] += [f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", "PYTHONDONTWRITEBYTECODE=1"]
            config["process"]["noNewPrivileges"] = False
            every = [f"CAP_{name}" for name in PRIVILEGED.split()]
            config["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), every)
            for masks in ("maskedPaths", "readonlyPaths"):  # a fresh proc may not show more than ours does
                config["linux"][masks] = []

        outer = bundle(sys.executable, "-c", NESTED, str(tmp_path / "inner-state"), str(inner), change=change)
        config = json.loads((outer / "config.json").read_text())
        config["root"] = {"path": "/", "readonly": False}
        (outer / "config.json").write_text(json.dumps(config))
        status, text = run(runtime, outer, output)
        assert text.splitlines() == ["0::/", "7", str(32 * MIB), "zero", "inner 0 [] 0"] and status == 0, text


class TestDelegation:
    def test_a_user_namespace_that_may_write_owns_its_cgroup_and_manages_cgroups_below(
        self, runtime: Runtime, bundle: Bundle, output: Any, reachable: None
    ) -> None:
        def change(config: dict[str, Any]) -> None:
            own_cgroups(config)
            config["linux"]["namespaces"].append({"type": "user"})
            for maps in ("uidMappings", "gidMappings"):
                config["linux"][maps] = [{"containerID": 0, "hostID": 100000, "size": 1000}]

        lines = [
            "cd /sys/fs/cgroup",
            "stat -c '%n %u' . cgroup.procs cgroup.subtree_control cgroup.threads memory.max",
            "mkdir init below && echo 1 >init/cgroup.procs && echo +memory >cgroup.subtree_control",
            "echo 1048576 >below/memory.max && cat below/memory.max",
            "echo max >memory.max",
        ]
        status, text = run(runtime, bundle(*shell(*lines), change=change), output)
        words = text.splitlines()
        assert words[:4] == [". 0", "cgroup.procs 0", "cgroup.subtree_control 0", "cgroup.threads 0"], text
        assert words[4] == "memory.max 65534", "its own limit is not its to change"
        assert "1048576" in words and status != 0, text
        assert "denied" in text.lower() or "permitted" in text.lower(), text

    def test_a_read_only_cgroup_mount_owns_nothing(
        self, runtime: Runtime, bundle: Bundle, output: Any, reachable: None
    ) -> None:
        def change(config: dict[str, Any]) -> None:
            limited(f"/{MARK}", {})(config)
            config["linux"]["namespaces"].append({"type": "user"})
            for maps in ("uidMappings", "gidMappings"):
                config["linux"][maps] = [{"containerID": 0, "hostID": 100000, "size": 1000}]

        _, text = run(runtime, bundle("stat", "-c", "%u", "/sys/fs/cgroup/cgroup.procs", change=change), output)
        assert text == "65534\n"
