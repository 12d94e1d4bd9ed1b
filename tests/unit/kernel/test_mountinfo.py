"""mountinfo: every line is read as the kernel meant it."""

from __future__ import annotations

import os

import pytest

from corelaunch.kernel import mountinfo

HYBRID = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,name=systemd
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:12 - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 /docker/a /sys/fs/cgroup/memory rw master:13 propagate_from:2 - cgroup c rw,memory,release_agent=/x,none
35 22 0:29 / /elsewhere rw - cgroup cgroup rw,cpu,cpuacct
36 22 0:31 / /with\040blank\134and\011tab rw - tmpfs my\040source rw
""".lstrip()


def test_hierarchies_are_told_apart_and_a_second_mount_of_one_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mountinfo, "_read", lambda _pid: HYBRID)
    assert mountinfo.cgroup_hierarchies() == [
        mountinfo.Hierarchy((), "/sys/fs/cgroup/unified", "/", 2),
        mountinfo.Hierarchy(("name=systemd",), "/sys/fs/cgroup/systemd", "/", 1),
        mountinfo.Hierarchy(("cpu", "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct", "/", 1),
        mountinfo.Hierarchy(("memory",), "/sys/fs/cgroup/memory", "/docker/a", 1),
    ]


def test_optional_fields_of_any_number_are_kept() -> None:
    parsed = {mount.mount_id: mount for mount in mountinfo.parse(HYBRID)}
    assert parsed[34].propagation == ("master:13", "propagate_from:2")
    assert parsed[35].propagation == ()
    assert (parsed[33].parent_id, parsed[33].device, parsed[33].fstype) == (30, "0:29", "cgroup")


def test_escapes_are_undone() -> None:
    last = list(mountinfo.parse(HYBRID))[-1]
    assert last.mountpoint == "/with blank\\and\ttab"
    assert last.source == "my source"


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_characters_that_python_takes_for_line_ends_are_part_of_a_path(character: str) -> None:
    line = f"40 22 0:31 / /a{character}b rw - tmpfs tmpfs rw\n"
    assert [mount.mountpoint for mount in mountinfo.parse(line)] == [f"/a{character}b"]


@pytest.mark.parametrize(
    "line", ["", "1 2 3", "22 1 254:1 / / rw,relatime shared:1 ext4 /dev/root rw", "x 1 0:1 / / rw - a b c"]
)
def test_a_line_of_another_format_is_an_error_and_an_empty_one_is_not(line: str) -> None:
    if line:
        with pytest.raises(ValueError, match="not a line of mountinfo"):
            list(mountinfo.parse(line))
    else:
        assert list(mountinfo.parse(line)) == []


def test_the_table_of_this_host_is_readable_and_has_a_root() -> None:
    mounts = mountinfo.mounts()
    assert "/" in {mount.mountpoint for mount in mounts}
    assert mountinfo.mounts(os.getpid()) == mounts
