"""Sealed memfds: nobody changes the plan or the container's init after it was made (CVE-2019-5736)."""

from __future__ import annotations

import errno
import fcntl
import os
import signal

import pytest

from corelaunch.kernel import native, pidfd

pytestmark = pytest.mark.usefixtures("no_leaked_fds")

F_GET_SEALS = 1034
ALL_SEALS = 0x1 | 0x2 | 0x4 | 0x8


def assert_cannot_be_changed(fd: int) -> None:
    assert fcntl.fcntl(fd, F_GET_SEALS) & ALL_SEALS == ALL_SEALS
    with pytest.raises(OSError):
        os.write(fd, b"x")
    with pytest.raises(OSError) as caught:
        again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)  # root may open it, but not write
        try:
            os.pwrite(again, b"x", 0)
        finally:
            os.close(again)
    assert caught.value.errno == errno.EPERM
    with pytest.raises(OSError):
        os.truncate(f"/proc/self/fd/{fd}", 0)


def test_a_sealed_memfd_holds_its_data_and_cannot_be_written() -> None:
    data = bytes(range(256)) * 5000
    fd = native.sealed_memfd("corelaunch-test", data)
    try:
        assert os.pread(fd, len(data) + 1, 0) == data
        assert_cannot_be_changed(fd)
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_an_empty_memfd_can_be_sealed_too() -> None:
    fd = native.sealed_memfd("corelaunch-test", b"")
    assert os.fstat(fd).st_size == 0
    os.close(fd)


def test_the_init_is_a_sealed_copy_of_the_installed_program_that_can_run() -> None:
    fd = native.init_executable()
    try:
        with open(native.INIT_PATH, "rb") as file:
            assert os.pread(fd, 1 << 24, 0) == file.read()
        assert_cannot_be_changed(fd)
        ours, theirs = native.sync_socketpair()
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        _, handle = native.spawn(fd, [b"corelaunch-init", b"init"], [], [null, null, null, theirs])
        os.close(theirs)
        os.close(null)
        hello = native.receive(ours, 5000)
        assert hello is not None and hello.type == native.lib.CL_MSG_HELLO
        os.close(ours)  # a parent that dies takes the waiting init with it
        assert pidfd.wait(handle, 5) not in (None, 128 + signal.SIGSEGV)
        os.close(handle)
    finally:
        os.close(fd)


def test_each_container_gets_a_fresh_copy() -> None:
    first, second = native.init_executable(), native.init_executable()
    assert os.fstat(first).st_ino != os.fstat(second).st_ino
    os.close(first)
    os.close(second)
