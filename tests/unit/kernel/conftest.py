"""Fixtures of the kernel tests: a program to spawn, no leaked descriptors, an interpreter of seccomp filters."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def busybox() -> Iterator[int]:
    """A descriptor of busybox: one static program with every small tool the tests need."""
    fd = os.open("/bin/busybox", os.O_RDONLY | os.O_CLOEXEC)
    yield fd
    os.close(fd)


@pytest.fixture
def no_leaked_fds() -> Iterator[None]:
    """Fails the test if it leaves more or other descriptors open than there were."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before


def _run(program: bytes, number: int, arch: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel would do with a seccomp filter: its return value (linux/filter.h, seccomp(2))."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *(list(arguments) + [0] * 6)[:6])
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator = index_register = pc = 0
    scratch = [0] * 16
    while True:
        code, jt, jf, k = instructions[pc]
        pc += 1
        operand = index_register if code & 0x08 else k
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, k)
        elif code in (0x00, 0x01):
            accumulator, index_register = (k, index_register) if code == 0 else (accumulator, k)
        elif code == 0x02:
            scratch[k] = accumulator
        elif code == 0x60:
            accumulator = scratch[k]
        elif code & 0x07 == 0x04 and code & 0xF0 == 0x50:
            accumulator &= operand
        elif code == 0x05:
            pc += k
        elif code & 0x07 == 0x05:
            true = {
                0x10: accumulator == operand,
                0x20: accumulator > operand,
                0x30: accumulator >= operand,
                0x40: bool(accumulator & operand),
            }[code & 0xF0]
            pc += jt if true else jf
        elif code == 0x06:
            return int(k)
        else:
            raise AssertionError(f"instruction {code:#x} is not known to this interpreter")


@pytest.fixture
def run_filter() -> Callable[..., int]:
    """``run_filter(program, number, arch, arguments=())`` -> the filter's verdict."""
    return _run
