"""The device program of cgroup v2: interpreted here against the rules read one by one, and asked in the kernel."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from corelaunch_cgroupfs import devices_v2
from corelaunch_cgroupfs.device_rules import ALWAYS_ALLOWED, parse
from corelaunch_cgroupfs.devices_v2 import allows_everything, assemble, write_devices
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corelaunch.api import KernelError, Unsupported, cgroup_hierarchies
from corelaunch.kernel import bpf

#: As ``device_rules.parse`` gives them.
Rule = tuple[bool, str, str, str, str]

ACCESSES = {"m": 1, "r": 2, "w": 4}
#: Some of the numbers of a rule and of a question; the last is one whose sign bit is set.
NUMBERS = (0, 1, 2, 0xFFFFFFFF)


def interpreted(program: bytes, kind: str, major: int, minor: int, access: str) -> int:
    """What the program answers: the few instructions that ours are made of, 32 bits wide, as the kernel reads them."""
    context = struct.pack("=III", sum(ACCESSES[a] for a in access) << 16 | {"b": 1, "c": 2}[kind], major, minor)
    registers = [0] * 11
    at = 0
    for _ in range(len(program) // 8):  # it only jumps forwards
        code, both, offset, immediate = struct.unpack_from("=BBhI", program, at * 8)
        target = both & 15
        at += 1
        if code == 0x61:
            assert both >> 4 == 1, "only the context can be read"
            registers[target] = struct.unpack_from("=I", context, offset)[0]
        elif code == 0xB4:
            registers[target] = immediate
        elif code == 0x54:
            registers[target] &= immediate
        elif code == 0x74:
            registers[target] >>= immediate
        elif code == 0x05:
            at += offset
        elif code == 0x56:
            at += offset if registers[target] != immediate else 0
        elif code == 0x46:
            at += offset if registers[target] & immediate else 0
        elif code == 0x95:
            return registers[0]
        else:
            raise AssertionError(f"an instruction {code:#x} that a device program does not need")
    raise AssertionError("the program ends without an answer")


def allowed(rules: list[Rule], kind: str, major: int, minor: int, access: str) -> bool:
    """Each access by itself: the last rule that covers it, and nothing before the first."""
    for letter in access:
        verdict = False
        for allow, its_kind, its_major, its_minor, its_access in rules:
            covers = its_kind in ("a", kind) and its_major in ("*", str(major)) and its_minor in ("*", str(minor))
            if covers and letter in its_access:
                verdict = allow
        if not verdict:
            return False
    return True


SOME = st.sampled_from(["r", "w", "m", "rw", "rm", "wm", "rwm"])
NUMBER = st.sampled_from(["*", *map(str, NUMBERS)])
RULES = st.lists(
    st.one_of(
        st.tuples(st.booleans(), st.just("a"), st.just("*"), st.just("*"), st.just("rwm")),
        st.tuples(st.booleans(), st.sampled_from("bc"), NUMBER, NUMBER, SOME),
        st.tuples(st.booleans(), st.sampled_from("bc"), NUMBER, NUMBER, SOME),
        st.tuples(st.booleans(), st.sampled_from("bc"), NUMBER, NUMBER, SOME),
    ),
    max_size=8,
)


@given(RULES, st.sampled_from("bc"), st.sampled_from(NUMBERS), st.sampled_from(NUMBERS), SOME)
def test_the_program_answers_as_the_rules_read_one_by_one(
    rules: list[Rule], kind: str, major: int, minor: int, access: str
) -> None:
    assert interpreted(assemble(rules), kind, major, minor, access) == allowed(rules, kind, major, minor, access)


@given(RULES)
def test_a_list_is_said_to_allow_everything_only_if_it_does(rules: list[Rule]) -> None:
    if allows_everything(rules):
        everything = ((kind, n, m, "rwm") for kind in "bc" for n in NUMBERS for m in NUMBERS)
        assert all(allowed(rules, *question) for question in everything)


def test_a_part_of_a_wider_rule_can_be_taken_back() -> None:
    """Which cgroup v1 cannot."""
    rules = parse([{"allow": True, "type": "c", "major": 10}, {"allow": False, "type": "c", "major": 10, "minor": 229}])
    program = assemble([*rules, *ALWAYS_ALLOWED])
    assert interpreted(program, "c", 10, 228, "rw") == 1
    assert interpreted(program, "c", 10, 229, "r") == 0
    assert interpreted(program, "c", 10, 229, "m") == 1, "mknod of any node is what every container may do"


def unified() -> str:
    """Where cgroup v2 is mounted, "" if it is not."""
    return next((h.mountpoint for h in cgroup_hierarchies() if h.version == 2), "")


needs_kernel = pytest.mark.skipif(
    os.geteuid() != 0 or not unified(), reason="this host lacks a cgroup2 mount, or we are not root"
)

OPENS = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as procs:
    procs.write("0")
for question in sys.argv[2:]:
    path, mode = question.rsplit(":", 1)
    try:
        os.close(os.open(path, {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}[mode]))
        print("yes")
    except OSError as error:
        print(error.errno)
"""


class Cgroup:
    """A cgroup of v2 for one test, with device nodes to be opened in it."""

    def __init__(self, nodes: Path) -> None:
        self.path = f"{unified()}/cl-c2-test-{os.getpid()}"
        self.nodes = nodes
        os.mkdir(self.path)

    def set(self, *rules: dict[str, Any]) -> None:
        write_devices(self.path, rules)

    def opens(self, *questions: str, below: str = "") -> list[str]:
        """Answers to ``NAME:MODE``: "yes" or an errno."""
        asked = [f"{self.nodes}/{question}" for question in questions]
        command = [sys.executable, "-c", OPENS, self.path + below, *asked]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    def programs(self) -> tuple[int, ...]:
        fd = os.open(self.path, os.O_RDONLY)
        try:
            return bpf._attached(fd)
        finally:
            os.close(fd)


@pytest.fixture
def cgroup(tmp_path: Path) -> Iterator[Cgroup]:
    for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("kmsg", 11)):
        os.mknod(tmp_path / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    made = Cgroup(tmp_path)
    yield made
    os.rmdir(made.path)


DENY_ALL = {"allow": False, "access": "rwm"}
DENIED = str(errno.EPERM)


def char(allow: bool, minor: int, access: str = "rwm") -> dict[str, Any]:
    return {"allow": allow, "type": "c", "major": 1, "minor": minor, "access": access}


@needs_kernel
class TestInTheKernel:
    def test_what_no_rule_allows_is_denied_and_what_every_container_may_use_is_not(self, cgroup: Cgroup) -> None:
        cgroup.set(DENY_ALL)
        assert cgroup.opens("null:rw", "zero:r", "kmsg:r") == ["yes", "yes", DENIED]

    def test_accesses_are_decided_one_by_one(self, cgroup: Cgroup) -> None:
        cgroup.set({"allow": True}, char(False, 11, "w"))
        assert cgroup.opens("kmsg:r", "kmsg:w", "kmsg:rw", "null:rw") == ["yes", DENIED, DENIED, "yes"]

    def test_an_update_replaces_the_program_and_leaves_one(self, cgroup: Cgroup) -> None:
        cgroup.set(DENY_ALL)
        before = cgroup.programs()
        cgroup.set(DENY_ALL, char(True, 11))
        assert len(before) == len(cgroup.programs()) == 1
        assert before != cgroup.programs()
        assert cgroup.opens("kmsg:r") == ["yes"]

    def test_nothing_is_attached_where_everything_is_allowed(self, cgroup: Cgroup) -> None:
        cgroup.set(DENY_ALL, {"allow": True})
        assert cgroup.programs() == ()
        cgroup.set(DENY_ALL)
        cgroup.set({"allow": True})
        assert cgroup.programs() == ()
        assert cgroup.opens("kmsg:r") == ["yes"]

    def test_a_cgroup_inside_cannot_allow_more(self, cgroup: Cgroup) -> None:
        inside = f"{cgroup.path}/inside"
        os.mkdir(inside)
        try:
            cgroup.set(DENY_ALL)
            write_devices(inside, [DENY_ALL, char(True, 11), char(False, 7)])
            assert cgroup.opens("kmsg:r", "full:r", "null:r", below="/inside") == [DENIED, "yes", "yes"]
            write_devices(inside, [{"allow": True}])
            assert cgroup.opens("kmsg:r", below="/inside") == [DENIED]
        finally:
            os.rmdir(inside)

    def test_the_program_of_somebody_else_stays(self, cgroup: Cgroup) -> None:
        theirs = bpf.load_device_program("sd_devices", assemble(parse([{"allow": True}])))
        fd = os.open(cgroup.path, os.O_RDONLY)
        try:
            bpf.attach_device_program(fd, theirs)
            number = cgroup.programs()
            cgroup.set(DENY_ALL)
            cgroup.set(DENY_ALL, char(True, 11))
            assert len(cgroup.programs()) == 2
            cgroup.set({"allow": True})
            assert cgroup.programs() == number
        finally:
            os.close(fd)
            os.close(theirs)

    def test_a_program_above_that_wants_to_be_the_only_one_is_named_as_the_reason(self, cgroup: Cgroup) -> None:
        inside = f"{cgroup.path}/inside"
        os.mkdir(inside)
        theirs = bpf.load_device_program("alone", assemble(parse([{"allow": True}])))
        fd = os.open(cgroup.path, os.O_RDONLY)
        try:
            bpf.bpf(8, struct.pack("=IIII", fd, theirs, 6, 0))  # BPF_PROG_ATTACH without BPF_F_ALLOW_MULTI
            with pytest.raises(KernelError, match="a cgroup above has a device program that forbids others") as caught:
                write_devices(inside, [DENY_ALL])
            assert caught.value.errno == errno.EPERM
            assert caught.value.where == inside
        finally:
            os.close(fd)
            os.close(theirs)
            os.rmdir(inside)

    # The guest is slow, and has not the profile of the checkout's conftest.
    @settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
    @given(rules=RULES)
    def test_the_verifier_takes_every_list(self, rules: list[Rule]) -> None:
        os.close(bpf.load_device_program("cl_devices", assemble(rules)))

    def test_a_list_of_two_thousand_is_taken(self, cgroup: Cgroup) -> None:
        cgroup.set(*(char(minor % 2 == 0, minor, "rw" if minor % 3 else "r") for minor in range(100, 2100)))
        assert cgroup.opens("null:rw", "kmsg:r") == ["yes", DENIED]

    def test_the_verifiers_words_are_in_the_error(
        self, cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(devices_v2, "assemble", lambda rules: assemble(rules)[:-8])
        with pytest.raises(KernelError, match=r"cannot load device program: .*, says the verifier: last insn is not"):
            cgroup.set(DENY_ALL)
        assert cgroup.programs() == ()

    def test_a_program_that_is_refused_leaves_the_old_one_in_force(
        self, cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cgroup.set(DENY_ALL, char(True, 11))
        monkeypatch.setattr(devices_v2, "assemble", lambda rules: bytes(8))
        with pytest.raises(KernelError):
            cgroup.set(DENY_ALL)
        assert cgroup.opens("kmsg:r") == ["yes"]

    def test_a_cgroup_that_is_gone_is_an_error_with_its_path(self) -> None:
        with pytest.raises(KernelError) as caught:
            write_devices(f"{unified()}/cl-c2-gone", [DENY_ALL])
        assert (caught.value.errno, caught.value.where) == (errno.ENOENT, f"{unified()}/cl-c2-gone")


REFUSALS: list[tuple[int, str, str]] = [
    (errno.EPERM, "operation not permitted", "CAP_SYS_ADMIN"),
    (errno.ENOSYS, "this kernel has no CONFIG_CGROUP_BPF", ""),
    (errno.EINVAL, "this kernel has no CONFIG_CGROUP_BPF", ""),
]


@pytest.mark.parametrize(("number", "why", "hint"), REFUSALS)
def test_a_refusal_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, why: str, hint: str
) -> None:
    def refuse(command: int, attributes: bytes) -> tuple[int, bytes]:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(bpf, "bpf", refuse)
    with pytest.raises(Unsupported) as caught:
        write_devices(str(tmp_path), [DENY_ALL])
    assert caught.value.where == "linux.resources.devices"
    assert why in caught.value.why and hint in caught.value.hint
    write_devices(str(tmp_path), [{"allow": True}])  # asks nothing of the kernel


def test_who_may_not_load_programs_does_not_claim_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from corelaunch_cgroupfs import manager

    from corelaunch.kernel.mountinfo import Hierarchy

    monkeypatch.setattr(manager, "cgroup_hierarchies", lambda: [Hierarchy((), "/sys/fs/cgroup", "/", 2)])
    claims: Callable[[], bool] = lambda: "devices" in manager.CgroupfsManager().features  # noqa: E731
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(manager, "in_user_namespace", lambda: False)
    assert claims()
    monkeypatch.setattr(manager, "in_user_namespace", lambda: True)
    assert not claims()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(manager, "in_user_namespace", lambda: False)
    assert not claims()
