"""Setting back: what has to be written so that a control says again what it said."""

from __future__ import annotations

from pathlib import Path

import pytest
from corelaunch_cgroupfs.controls import Controls
from corelaunch_cgroupfs.rollback import Writes, before

from corelaunch.api import KernelError


@pytest.mark.parametrize(
    ("name", "text", "value", "back"),
    [
        ("pids.max", "max", "17", "max"),
        ("memory.limit_in_bytes", "9223372036854771712", "1", "9223372036854771712"),
        ("cpu.max", "max 100000", "20000 50000", "max 100000"),
        ("cpuset.cpus", "", "0-1", "\n"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3", "1", "0"),
        ("io.weight", "default 100\n8:0 50", "300", "100"),
        ("io.weight", "default 100\n8:0 50", "8:0 60", "8:0 50"),
        ("io.weight", "default 100", "8:0 60", "8:0 default"),
        ("blkio.bfq.weight", "100", "200", "100"),
        ("blkio.throttle.read_bps_device", "8:0 1024\n8:16 2048", "8:16 1", "8:16 2048"),
        ("blkio.throttle.read_bps_device", "8:0 1024", "8:16 1", "8:16 0"),
        ("io.max", "8:0 rbps=1 wbps=max riops=max wiops=max", "8:0 rbps=5", "8:0 rbps=1 wbps=max riops=max wiops=max"),
        ("io.max", "", "8:0 rbps=5", "8:0 rbps=max wbps=max riops=max wiops=max"),
        ("rdma.max", "mlx4 hca_handle=2 hca_object=max", "mlx4 hca_handle=1", "mlx4 hca_handle=2 hca_object=max"),
        ("rdma.max", "", "mlx4 hca_handle=1", "mlx4 hca_handle=max hca_object=max"),
        ("io.latency", "8:16 target=5", "8:0 target=100", "8:0 target=0"),
        ("misc.max", "res_a 3\nres_b max", "res_a 1", "res_a 3"),
        ("misc.max", "", "res_a 1", "res_a max"),
        ("cpuset.cpus.partition", "root invalid (Parent is not a partition root)", "member", "root"),
        ("net_prio.ifpriomap", "lo 0\neth0 5", "eth0 9", "eth0 5"),
    ],
)
def test_the_old_value_in_the_words_of_the_control(name: str, text: str, value: str, back: str) -> None:
    assert before(name, text, value) == back


def test_writes_are_taken_back_the_last_first(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    writes = Writes()
    controls = Controls(str(tmp_path), "linux.resources", writes)
    for name, value in (("one", "7"), ("two", "8"), ("one", "9")):
        controls.set(name, value)
    assert writes.undo() == []
    assert [(tmp_path / name).read_text()[0] for name in ("one", "two")] == ["1", "2"]


def test_what_cannot_be_set_back_is_named(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    writes = Writes()
    Controls(str(tmp_path), "linux.resources", writes).set("one", "7")
    (tmp_path / "one").unlink()
    assert writes.undo() == [str(tmp_path / "one")]


def test_a_control_that_is_not_there_is_still_the_error_of_the_write(tmp_path: Path) -> None:
    with pytest.raises(KernelError):
        Controls(str(tmp_path / "gone"), "linux.resources", Writes()).set("one", "7")
