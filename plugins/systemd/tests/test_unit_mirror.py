"""What control files say, as properties of a unit; the files here are plain ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from corelaunch_systemd.limits import set_resources, write_all
from corelaunch_systemd.mirror import Mirror, bit_mask, device_policy, number

from corelaunch.api import CgroupManager, CgroupPlacement, KernelError

INFINITY = (1 << 64) - 1


def properties(directory: Path, before: dict[str, str], after: dict[str, str], version: int = 252) -> dict[str, Any]:
    """Properties for a change of a cgroup v2."""
    for name, text in before.items():
        (directory / name).write_text(text + "\n")
    mirror = Mirror({"": str(directory)})
    for name, text in after.items():
        (directory / name).write_text(text + "\n")
    mirror.changed()
    return {name: value for name, (_, value) in mirror.properties(version)}


@pytest.mark.parametrize(
    ("name", "before", "after", "expected"),
    [
        ("memory.max", "max", "1024", {"MemoryMax": 1024}),
        ("memory.max", "1024", "max", {"MemoryMax": INFINITY}),
        ("memory.max", "max", "0", {"MemoryMax": 1}),
        ("memory.low", "0", "5", {"MemoryLow": 5}),
        ("memory.swap.max", "max", "0", {"MemorySwapMax": 0}),
        ("pids.max", "max", "0", {"TasksMax": 1}),
        ("pids.max", "7", "7", {}),
        ("cpu.weight", "100", "59", {"CPUWeight": 59}),
        ("io.weight", "default 100", "default 200\n8:0 50", {"IOWeight": 200}),
        ("cpuset.cpus", "", "0-2,9", {"AllowedCPUs": b"\x07\x02"}),
        ("cpuset.cpus", "0", "", {"AllowedCPUs": b""}),
        ("cpu.max", "max 100000", "50000 100000", {"CPUQuotaPerSecUSec": 500_000, "CPUQuotaPeriodUSec": 100_000}),
        ("cpu.max", "max 100000", "20500 100000", {"CPUQuotaPerSecUSec": 210_000, "CPUQuotaPeriodUSec": 100_000}),
        ("cpu.max", "max 100000", "1000 1000000", {"CPUQuotaPerSecUSec": 10_000, "CPUQuotaPeriodUSec": 1_000_000}),
        ("cpu.max", "5000 10000", "max 10000", {"CPUQuotaPerSecUSec": INFINITY, "CPUQuotaPeriodUSec": 10_000}),
        ("memory.oom.group", "0", "1", {}),
    ],
)
def test_a_change_of_a_file_is_a_property(
    tmp_path: Path, name: str, before: str, after: str, expected: dict[str, Any]
) -> None:
    assert properties(tmp_path, {name: before}, {name: after}) == expected


def test_what_a_systemd_does_not_know_is_left_out(tmp_path: Path) -> None:
    before = {"cpu.max": "max 100000", "cpuset.cpus": "", "cpu.idle": "0", "cpu.weight": "100"}
    after = {"cpu.max": "50000 100000", "cpuset.cpus": "0", "cpu.idle": "1", "cpu.weight": "0"}
    assert properties(tmp_path, before, after, 239) == {"CPUQuotaPerSecUSec": 500_000}


def test_idle_is_a_weight_of_0_and_back(tmp_path: Path) -> None:
    busy, idle = {"cpu.idle": "0", "cpu.weight": "100"}, {"cpu.idle": "1", "cpu.weight": "0"}
    assert properties(tmp_path, busy, idle) == {"CPUWeight": 0}
    assert properties(tmp_path, idle, busy) == {"CPUWeight": 100}


def test_v1_has_names_of_its_own(tmp_path: Path) -> None:
    paths = {}
    for controller, name, text in (
        ("cpu", "cpu.shares", "1024"),
        ("cpu", "cpu.cfs_quota_us", "-1"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("memory", "memory.limit_in_bytes", "9223372036854771712"),
        ("pids", "pids.max", "max"),
    ):
        (tmp_path / controller).mkdir(exist_ok=True)
        (tmp_path / controller / name).write_text(text)
        paths[controller] = str(tmp_path / controller)
    mirror = Mirror(paths)
    (tmp_path / "cpu/cpu.shares").write_text("2")
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("150000")
    (tmp_path / "memory/memory.limit_in_bytes").write_text("4096")
    (tmp_path / "pids/pids.max").write_text("5")
    mirror.changed()
    assert {name: value for name, (_, value) in mirror.properties(252)} == {
        "CPUShares": 2,
        "CPUQuotaPerSecUSec": 1_500_000,
        "CPUQuotaPeriodUSec": 100_000,
        "MemoryLimit": 4096,
        "TasksMax": 5,
    }


def test_no_limit_has_three_spellings() -> None:
    assert number("max") == number("-1") == number("9223372036854771712") == INFINITY


def test_a_list_is_a_mask_of_bytes() -> None:
    assert (bit_mask(""), bit_mask("0"), bit_mask("8"), bit_mask("0-15")) == (b"", b"\1", b"\0\1", b"\xff\xff")


def test_device_lines_are_rules_and_what_has_no_words_is_left_out() -> None:
    assert device_policy("a *:* rwm") == [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    lines = "c 1:3 rwm\nb 8:0 r\nc *:* m\nb *:* m\nc 136:* rwm\nc *:7 rwm\nc 4095:* rwm"
    policy, cleared, allowed = device_policy(lines)
    assert policy == ("DevicePolicy", ("s", "strict"))
    assert cleared == ("DeviceAllow", ("a(ss)", [])), "the list is appended to"
    found = dict(allowed[1][1])
    assert found.items() >= {"/dev/char/1:3": "rwm", "/dev/block/8:0": "r", "char-*": "m", "block-*": "m"}.items()
    assert set(found) - {"char-pts"} == {"/dev/char/1:3", "/dev/block/8:0", "char-*", "block-*"}


def test_only_what_differs_is_written_back_and_what_cannot_be_is_named(tmp_path: Path) -> None:
    same, other, gone = tmp_path / "same", tmp_path / "other", tmp_path / "gone" / "x"
    same.write_text("1\n")
    same.chmod(0o400)
    other.write_text("1\n")
    assert write_all({str(same): "1", str(other): "2", str(gone): "3"}) == [str(gone)]
    assert other.read_text() == "2\n", "in one write over the old text, as a control file takes it"


@pytest.mark.parametrize(("gone", "said"), [(True, "memory.limit too low"), (False, "cannot set memory.max")])
def test_a_process_that_its_memory_limit_kills_is_told_from_a_limit_that_cannot_be_set(
    tmp_path: Path, gone: bool, said: str
) -> None:
    class Files(CgroupManager):
        def set_resources(self, placement: CgroupPlacement, resources: Any) -> None:
            if gone:
                tmp_path.joinpath("a.scope").rmdir()  # as systemd does
            raise KernelError("cannot set memory.max", why="no such file or directory", errno=2)

    tmp_path.joinpath("a.scope").mkdir()
    placed = CgroupPlacement({"": str(tmp_path / "a.scope")}, {"manager": "system", "unit": "a.scope", "files": {}})
    with pytest.raises(KernelError) as caught:
        set_resources(placed, placed, {"memory": {"limit": 16384}}, Files())
    assert said in str(caught.value)
    assert (caught.value.where == "a.scope") == gone
    assert caught.value.errno == 2
