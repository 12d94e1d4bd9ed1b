"""What a contract cannot ask for: counters, limbo, a new mount, another boot, the lock, threads, no resctrl at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path

import pytest
from corelaunch_resctrl import groups, lock, mount
from corelaunch_resctrl.manager import ResctrlManager, corelaunch_rdt_manager

from corelaunch.api import (
    ConfigError,
    DeadlineExceeded,
    Effect,
    KernelError,
    ProcessHandle,
    RdtPlacement,
    RdtRequest,
    Unsupported,
    boot_id,
    start_time,
)
from corelaunch.testing import fuse_resctrl
from corelaunch.testing.context import RecordingContext
from corelaunch.testing.resctrl_machine import EVERYTHING, MANY, MONITORS, RDT

needs_fuse = pytest.mark.skipif(bool(fuse_resctrl.lacks()), reason=f"this host lacks {fuse_resctrl.lacks()}")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[str]:
    with fuse_resctrl.mounted(tmp_path, RDT) as root:
        yield root


@pytest.fixture
def manager(root: str) -> ResctrlManager:
    return ResctrlManager(root)


def made(manager: ResctrlManager, request: RdtRequest) -> RecordingContext:
    ctx = RecordingContext(request.container_id)
    manager.create(manager.place(request), request, ctx)
    return ctx


@needs_fuse
class TestStats:
    def test_figures_are_those_of_the_monitoring_group(self, root: str, manager: ResctrlManager) -> None:
        request = RdtRequest("one", monitoring=True)
        made(manager, request)
        for file, text in {
            "one mon_data/mon_L3_00/llc_occupancy": "99",
            "one/mon_groups/one mon_data/mon_L3_00/llc_occupancy": "65536",
            "one/mon_groups/one mon_data/mon_L3_00/mbm_total_bytes": "18446744073709551615",
            "one/mon_groups/one mon_data/mon_L3_00/mbm_local_bytes": "Error",
            "one/mon_groups/one mon_data/mon_L3_01/llc_occupancy": "Unavailable",
            "one/mon_groups/one mon_data/mon_L3_01/mbm_total_bytes": "Unassigned",
            "one/mon_groups/one mon_data/mon_L3_01/mbm_local_bytes": "7",
        }.items():
            Path(root, ".control").write_text(f"{file} {text}")
        stats = manager.stats(manager.place(request))
        assert stats["cmt_stats"] == [{"domain": 0, "llc_occupancy": 65536}, {"domain": 1}]
        assert stats["mbm_stats"] == [
            {"domain": 0, "mbm_total_bytes": 18446744073709551615},
            {"domain": 1, "mbm_local_bytes": 7},
        ]

    def test_nothing_that_the_kernel_does_not_give_is_there(self, root: str, manager: ResctrlManager) -> None:
        request = RdtRequest("one")
        made(manager, request)
        for domain in (0, 1):
            Path(root, ".control").write_text(f"one mon_data/mon_L3_0{domain}/llc_occupancy Unavailable")
        assert "cmt_stats" not in manager.stats(manager.place(request))

    def test_what_a_shared_group_counts_is_not_the_containers(self, root: str, manager: ResctrlManager) -> None:
        for closid in ("/", "class"):
            request = RdtRequest("one", clos_id=closid, schemata=("L3:0=7ff",))
            made(manager, request)
            assert not {"cmt_stats", "mbm_stats"} & set(manager.stats(manager.place(request)))

    def test_every_resource_is_in_the_schemata(self, tmp_path: Path) -> None:
        with fuse_resctrl.mounted(tmp_path, EVERYTHING) as root:
            manager, request = ResctrlManager(root), RdtRequest("one", schemata=("L2:0=f;3=1", "SMBA:1=30"))
            made(manager, request)
            manager.set(manager.place(request), request)
            stats = manager.stats(manager.place(request))
        assert stats["schemata"] == [
            "SMBA:0=100;1= 30",
            "MB:0=4294967295;1=4294967295",
            "L2:0=00f;1=0ff;2=0ff;3=001",
            "L3:0=ffff;1=ffff",
        ]
        assert stats["l3_cache_info"] == {"cbm_mask": "ffff", "min_cbm_bits": 0, "num_closids": 16}


@needs_fuse
class TestLimbo:
    def test_rmids_of_groups_that_are_gone_are_waited_for(self, root: str, manager: ResctrlManager) -> None:
        for number in range(RDT.rmids - 1):
            os.mkdir(f"{root}/mon_groups/m{number}")
        os.rmdir(f"{root}/mon_groups/m0")
        with pytest.raises(OSError, match="busy"):
            os.mkdir(f"{root}/mon_groups/again")
        made(manager, RdtRequest("one"))
        assert os.path.isdir(f"{root}/one")

    def test_limbo_that_does_not_end_is_told(
        self, root: str, manager: ResctrlManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(groups, "LIMBO_SECONDS", 0.1)
        for number in range(RDT.rmids - 1):
            os.mkdir(f"{root}/mon_groups/m{number}")
        os.rmdir(f"{root}/mon_groups/m0")
        with pytest.raises(KernelError, match="Out of RMIDs") as caught:
            made(manager, RdtRequest("one"))
        assert (caught.value.errno, "in limbo" in caught.value.hint) == (errno.EBUSY, True)

    def test_rmids_that_are_all_in_use_are_told_so(self, root: str, manager: ResctrlManager) -> None:
        for number in range(RDT.rmids - 1):
            os.mkdir(f"{root}/mon_groups/m{number}")
        with pytest.raises(KernelError, match="Out of RMIDs") as caught:
            made(manager, RdtRequest("one"))
        assert caught.value.errno == errno.ENOSPC
        assert "all 32 RMIDs are in use" in caught.value.hint


    def test_a_class_whose_monitoring_group_cannot_be_made_is_taken_back(
        self, root: str, manager: ResctrlManager
    ) -> None:
        for number in range(RDT.rmids - 2):
            os.mkdir(f"{root}/mon_groups/m{number}")
        ctx = RecordingContext("one")
        request = RdtRequest("one", clos_id="class", schemata=("L3:0=f",), monitoring=True)
        with pytest.raises(KernelError, match=r"cannot make monitoring group.*Out of RMIDs"):
            manager.create(manager.place(request), request, ctx)
        manager.destroy(manager.place(request), ctx.effects)
        assert not os.path.exists(f"{root}/class")


@needs_fuse
class TestMonitoringAlone:
    def test_the_root_group_can_be_monitored_and_no_clos_made(self, tmp_path: Path) -> None:
        with fuse_resctrl.mounted(tmp_path, MONITORS) as root:
            manager = ResctrlManager(root)
            assert manager.features == {"monitoring", "stats"}
            request = RdtRequest("one", clos_id="/", monitoring=True)
            ctx = made(manager, request)
            assert [len(one) for one in manager.stats(manager.place(request))["mbm_stats"]] == [3, 3]
            manager.destroy(manager.place(request), ctx.effects)
            with pytest.raises(Unsupported, match="no resource to allocate"):
                manager.place(RdtRequest("two", schemata=("L3:0=f",)))
            with pytest.raises(KernelError, match="operation not permitted") as caught:
                made(manager, RdtRequest("two"))
            assert 'give "/" as closID' in caught.value.hint


@needs_fuse
class TestOwnership:
    def test_a_group_of_a_later_mount_stays_though_device_and_inode_are_the_same(self, tmp_path: Path) -> None:
        request, ctx = RdtRequest("one"), RecordingContext("one")
        with fuse_resctrl.mounted(tmp_path, RDT) as root:
            placement = ResctrlManager(root).place(request)
            ResctrlManager(root).create(placement, request, ctx)
        with fuse_resctrl.mounted(tmp_path, RDT) as root:
            os.mkdir(f"{root}/one")
            now = os.stat(f"{root}/one")
            [effect] = ctx.effects
            # As kernels have it that count inodes anew with each mount.
            same = effect.replace(facts={**effect.facts, "dev": now.st_dev, "ino": now.st_ino})
            ResctrlManager(root).destroy(placement, [same])
            assert os.path.isdir(f"{root}/one")

    def test_groups_of_another_boot_are_gone_already(self, root: str, manager: ResctrlManager) -> None:
        request = RdtRequest("one")
        ctx, placement = made(manager, request), manager.place(request)
        manager.destroy(placement.replace(extra={**placement.extra, "boot_id": "another"}), ctx.effects)
        assert os.path.isdir(f"{root}/one")

    def test_who_may_not_mark_is_known_by_device_and_inode(
        self, root: str, manager: ResctrlManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_arguments: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "setxattr", refuse)
        request = RdtRequest("one")
        ctx = made(manager, request)
        assert "token" not in ctx.effects[0].facts
        manager.destroy(manager.place(request), ctx.effects)
        assert not os.path.exists(f"{root}/one")

    def test_many_monitoring_groups_beside_are_left(self, tmp_path: Path) -> None:
        with fuse_resctrl.mounted(tmp_path, MANY) as root:
            for number in range(400):
                os.mkdir(f"{root}/mon_groups/m{number}")
            manager, request = ResctrlManager(root), RdtRequest("one", clos_id="/", monitoring=True)
            ctx = made(manager, request)
            manager.destroy(manager.place(request), ctx.effects)
            assert len(os.listdir(f"{root}/mon_groups")) == 400

    def test_an_update_of_a_class_is_for_the_container_that_made_it(self, manager: ResctrlManager) -> None:
        asked = RdtRequest("one", clos_id="class", schemata=("L3:0=f",))
        made(manager, asked)
        other = RdtRequest("two", clos_id="class")
        made(manager, other)
        manager.set(manager.place(asked), RdtRequest("one", schemata=("L3:0=ff",)))
        with pytest.raises(ConfigError, match="container one made it"):
            manager.set(manager.place(other), RdtRequest("two", schemata=("L3:0=1",)))
        assert "L3:0=0ff;1=7ff" in manager.stats(manager.place(other))["schemata"]


@needs_fuse
class TestLock:
    @pytest.mark.parametrize(
        ("held", "shared", "waits"), [(LOCK_EX, False, True), (LOCK_SH, False, True), (LOCK_SH, True, False)]
    )
    def test_it_is_that_of_the_kernels_documentation(self, root: str, held: int, shared: bool, waits: bool) -> None:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        flock(fd, held)
        try:
            if waits:
                with pytest.raises(DeadlineExceeded, match=f"process {os.getpid()} holds the lock"):
                    lock.Lock(root, time.monotonic(), shared=shared).__enter__()
            else:
                with lock.Lock(root, time.monotonic(), shared=shared):
                    pass
        finally:
            os.close(fd)

    def test_who_waits_goes_on_when_it_is_free(self, root: str, manager: ResctrlManager) -> None:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        flock(fd, LOCK_EX)
        threading.Timer(0.2, os.close, (fd,)).start()
        made(manager, RdtRequest("one"))

    def test_who_holds_it_too_long_is_named_and_nothing_made(self, root: str, manager: ResctrlManager) -> None:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        flock(fd, LOCK_EX)
        ctx, request = RecordingContext("one"), RdtRequest("one")
        ctx.deadline = time.monotonic() + 0.4
        with pytest.raises(DeadlineExceeded, match=f"process {os.getpid()} holds the lock"):
            manager.create(manager.place(request), request, ctx)
        os.close(fd)
        assert (os.path.exists(f"{root}/one"), ctx.all_effects) == (False, [])

    def test_launches_of_one_class_at_once_all_find_it_whole(self, root: str) -> None:
        launch = (
            "import sys\n"
            "from corelaunch_resctrl.manager import ResctrlManager\n"
            "from corelaunch.api import RdtRequest\n"
            "from corelaunch.testing.context import RecordingContext\n"
            "manager = ResctrlManager(sys.argv[1])\n"
            "request = RdtRequest(sys.argv[2], clos_id='class', schemata=('L3:0=f', 'MB:1=30'))\n"
            "manager.create(manager.place(request), request, RecordingContext())\n"
            "manager.set(manager.place(request), request)\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        running = [subprocess.Popen([sys.executable, "-c", launch, root, f"c{n}"], env=environment) for n in range(4)]
        assert [one.wait(60) for one in running] == [0, 0, 0, 0]


@needs_fuse
class TestMembership:
    def test_every_thread_of_a_process_is_moved(self, root: str, manager: ResctrlManager) -> None:
        stop = threading.Event()
        threads = [threading.Thread(target=stop.wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            request = RdtRequest("one", monitoring=True)
            made(manager, request)
            manager.add_process(manager.place(request), ProcessHandle(os.getpid(), start_time(os.getpid())))
            moved = {int(word) for word in Path(root, "one/mon_groups/one/tasks").read_text().split()}
            assert {thread.native_id for thread in threads} <= moved
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def test_a_process_that_is_gone_is_told_by_its_number(self, manager: ResctrlManager) -> None:
        request = RdtRequest("one")
        made(manager, request)
        with pytest.raises(KernelError, match="process 999999999 is gone") as caught:
            manager.add_process(manager.place(request), ProcessHandle(999999999, 1))
        assert caught.value.errno == errno.ESRCH


@pytest.mark.parametrize(("deadline", "until"), [(130.0, 110.0), (104.0, 102.0), (90.0, 100.0)])
def test_nobody_waits_until_core_ends_the_call(
    monkeypatch: pytest.MonkeyPatch, deadline: float, until: float
) -> None:
    monkeypatch.setattr(lock.time, "monotonic", lambda: 100.0)
    assert lock.patience(deadline) == until


class TestWithoutResctrl:
    @pytest.fixture
    def nothing(self, monkeypatch: pytest.MonkeyPatch) -> ResctrlManager:
        monkeypatch.setattr(mount, "mounts_of_type", lambda fstype: [])
        manager = corelaunch_rdt_manager()
        assert isinstance(manager, ResctrlManager)
        return manager

    @pytest.mark.parametrize(
        ("kernel", "elsewhere", "words"),
        [
            (False, False, "this kernel or CPU has no resctrl filesystem .*CONFIG_X86_CPU_RESCTRL"),
            (True, False, r"no resctrl filesystem is mounted \(mount -t resctrl resctrl /sys/fs/resctrl"),
            (True, True, "not as a whole in this mount namespace"),
        ],
    )
    def test_place_says_what_is_missing_and_what_to_do(
        self, nothing: ResctrlManager, monkeypatch: pytest.MonkeyPatch, kernel: bool, elsewhere: bool, words: str
    ) -> None:
        monkeypatch.setattr(mount, "_kernel_has_it", lambda: kernel)
        monkeypatch.setattr(mount, "active_elsewhere", lambda: elsewhere)
        with pytest.raises(Unsupported, match=words):
            nothing.place(RdtRequest("one"))

    def test_what_it_can_do_is_claimed_all_the_same(self, nothing: ResctrlManager) -> None:
        assert nothing.features == {"schemata", "monitoring", "stats"}

    @pytest.mark.parametrize("elsewhere", [False, True])
    def test_what_was_made_is_gone_with_the_last_mount_and_not_before(
        self, nothing: ResctrlManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, elsewhere: bool
    ) -> None:
        clos = f"{tmp_path}/one"
        placement = RdtPlacement(clos, "", {"root": str(tmp_path), "clos_id": "", "boot_id": boot_id()})
        effects = [Effect(1, "clos", clos, {"path": clos}, True, True, {"dev": 1, "ino": 1})]
        monkeypatch.setattr(mount, "active_elsewhere", lambda: elsewhere)
        monkeypatch.setattr(mount, "_kernel_has_it", lambda: True)
        if elsewhere:
            with pytest.raises(KernelError, match="not as a whole in this mount namespace"):
                nothing.destroy(placement, effects)
        else:
            nothing.destroy(placement, effects)
