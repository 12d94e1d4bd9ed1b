"""Device programs: what is asked of the kernel and how its refusals are told (the kernel's side: plugins/cgroupfs)."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from corelaunch.errors import KernelError
from corelaunch.kernel import bpf

EXIT = bytes((0xB4, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0))


class Kernel:
    """Stands for bpf(2): notes the commands, and fails with an errno each."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[int, bytes]] = []

    def __call__(self, command: int, attributes: bytes) -> tuple[int, bytes]:
        self.calls.append((command, attributes))
        answer = self.answers.pop(0)
        if answer < 0:
            raise OSError(-answer, os.strerror(-answer))
        return answer, attributes.ljust(256, b"\0")


def test_a_program_is_loaded_by_its_type_name_and_number_of_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(7)
    monkeypatch.setattr(bpf, "bpf", kernel)
    assert bpf.load_device_program("cl_devices", EXIT) == 7
    ((command, attributes),) = kernel.calls
    assert (command, struct.unpack_from("=II", attributes)) == (5, (15, 2))  # BPF_PROG_LOAD, CGROUP_DEVICE
    assert attributes[48:64] == b"cl_devices".ljust(16, b"\0")


def test_the_verifier_is_asked_for_its_words_only_when_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(-errno.EINVAL, -errno.EINVAL)
    monkeypatch.setattr(bpf, "bpf", kernel)
    with pytest.raises(KernelError, match=r"cannot load device program: bpf\(2\): invalid argument") as caught:
        bpf.load_device_program("cl_devices", EXIT)
    assert caught.value.errno == errno.EINVAL
    assert [struct.unpack_from("=I", attributes, 24)[0] for _, attributes in kernel.calls] == [0, 1]  # log_level


def test_who_may_not_load_one_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(-errno.EPERM)
    monkeypatch.setattr(bpf, "bpf", kernel)
    with pytest.raises(KernelError, match="operation not permitted"):
        bpf.load_device_program("cl_devices", EXIT)
    assert len(kernel.calls) == 1


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (b"", ""),
        (b"0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000)\n\0rest", "0: (95) exit; R0 !read_ok"),
        (b"a\nb\nc\nd\n\0", "b; c; d"),
    ],
)
def test_the_last_words_of_the_verifier_come_without_its_statistics(log: bytes, words: str) -> None:
    assert bpf._last_words(log) == (f", says the verifier: {words}" if words else "")


def test_a_program_is_attached_beside_others_or_in_the_place_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(0, 0)
    monkeypatch.setattr(bpf, "bpf", kernel)
    bpf.attach_device_program(3, 4)
    bpf.attach_device_program(3, 4, instead_of=5)
    assert [struct.unpack("=IIIII", attributes) for _, attributes in kernel.calls] == [
        (3, 4, 6, 2, 0),  # BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI
        (3, 4, 6, 2 | 4, 5),  # and BPF_F_REPLACE
    ]
