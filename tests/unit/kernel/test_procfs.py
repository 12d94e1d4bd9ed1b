"""procfs: what /proc says about processes, also about odd and vanished ones."""

from __future__ import annotations

import os
import signal
import time

import pytest

from corelaunch.kernel import native, pidfd, procfs

GONE = 2**22  # above pid_max


def test_a_process_that_does_not_exist_has_no_facts() -> None:
    assert procfs.start_time(GONE) == 0
    assert procfs.state_letter(GONE) == ""
    assert procfs.parent_pid(GONE) == 0
    assert procfs.status_fields(GONE) == {}
    assert procfs.cgroups_of(GONE) == {}


def test_our_own_facts_are_right() -> None:
    me = os.getpid()
    assert procfs.parent_pid(me) == os.getppid()
    assert procfs.state_letter(me) in ("R", "S")
    ticks = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
    assert 0 < procfs.start_time(me) <= ticks
    assert procfs.status_fields(me)["Pid"] == str(me)


def test_a_command_with_blanks_and_brackets_does_not_shift_the_fields(busybox: int, tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, ") R 1 (x")
    with open(path, "wb") as file:
        file.write(os.pread(busybox, 1 << 24, 0))
    os.chmod(path, 0o755)
    pid = os.posix_spawn(path, ["sleep", "20"], {})
    try:
        assert procfs.parent_pid(pid) == os.getpid()
        assert procfs.start_time(pid) >= procfs.start_time(os.getpid())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_zombie_has_state_z_and_keeps_its_start_time(busybox: int) -> None:
    pid, handle = native.spawn(busybox, [b"true"], [], [0, 1, 2])
    assert pidfd.poll_exit(handle, 10)
    assert procfs.state_letter(pid) == "Z"
    assert procfs.start_time(pid) > 0
    pidfd.wait(handle)
    assert procfs.state_letter(pid) == ""
    os.close(handle)


def test_a_process_that_is_reaped_between_open_and_read_is_gone(busybox: int) -> None:
    pid, handle = native.spawn(busybox, [b"true"], [], [0, 1, 2])
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    pidfd.wait(handle)
    with pytest.raises(ProcessLookupError):  # the kernel's rule that procfs relies on
        os.read(fd, 100)
    os.close(fd)
    os.close(handle)


def test_the_boot_id_is_the_kernels() -> None:
    assert len(procfs.boot_id()) == 36 and procfs.boot_id() == procfs.boot_id()


def test_every_cgroup_line_of_a_process_is_there() -> None:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        count = len(file.readlines())
    groups = procfs.cgroups_of(os.getpid())
    assert len(groups) == count
    assert all(path.startswith("/") for path in groups.values())
    assert procfs.cgroups_of("self") == groups


def test_only_id_maps_can_be_written() -> None:
    with pytest.raises(ValueError, match="no id map"):
        procfs.write_id_map(os.getpid(), "mem", "0")


def test_a_map_that_is_written_already_is_the_kernels_error() -> None:
    with pytest.raises(PermissionError):
        procfs.write_id_map(os.getpid(), "uid_map", "0 0 1\n")
