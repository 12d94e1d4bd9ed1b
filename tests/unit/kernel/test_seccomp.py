"""seccomp: the compiled filter says about each system call what the profile says. No kernel is involved."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from corelaunch.errors import ConfigError, Unsupported
from corelaunch.kernel import seccomp

if not seccomp.available():
    pytest.skip("this installation has no libseccomp", allow_module_level=True)

from corelaunch._seccomp import lib

Run = Callable[..., int]

X86_64 = 0xC000003E
I386 = 0x40000003
ALLOW = 0x7FFF0000
EPERM = 0x00050000 | errno.EPERM
ENOSYS = 0x00050000 | errno.ENOSYS
KILL_PROCESS = 0x80000000
KILL_THREAD = 0

pytestmark = pytest.mark.skipif(lib.cl_native_arch() != X86_64, reason="the numbers below are those of x86-64")


def number(name: str, arch: int = X86_64) -> int:
    return int(lib.cl_syscall_number(arch, name.encode()))


def profile(*syscalls: dict[str, Any], default: str = "SCMP_ACT_ERRNO", **rest: Any) -> dict[str, Any]:
    return {"defaultAction": default, "syscalls": list(syscalls), **rest}


def allow(*names: str, **rest: Any) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", **rest}


def test_what_is_named_is_allowed_and_what_is_not_gets_the_default(run_filter: Run) -> None:
    program, flags = seccomp.compile(profile(allow("read", "write", "statx")))
    assert run_filter(program, number("read"), X86_64) == ALLOW
    assert run_filter(program, number("statx"), X86_64) == ALLOW
    assert run_filter(program, number("mount"), X86_64) == EPERM
    assert flags == lib.SECCOMP_FILTER_FLAG_SPEC_ALLOW


def test_a_call_newer_than_any_that_is_named_fails_with_enosys(run_filter: Run) -> None:
    program, _ = seccomp.compile(profile(allow("read", "openat2")))
    newest = number("openat2")
    assert run_filter(program, newest, X86_64) == ALLOW
    assert run_filter(program, newest - 1, X86_64) == EPERM
    assert run_filter(program, newest + 1, X86_64) == ENOSYS
    assert run_filter(program, 100_000, X86_64) == ENOSYS


def test_newer_is_judged_for_each_architecture_by_its_own_numbers(run_filter: Run) -> None:
    arches = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    program, _ = seccomp.compile(profile(allow("read", "statx"), architectures=arches))
    assert number("statx") != number("statx", I386)
    for arch in (X86_64, I386):
        assert run_filter(program, number("statx", arch), arch) == ALLOW
        assert run_filter(program, number("statx", arch) + 1, arch) == ENOSYS
        assert run_filter(program, number("mount", arch), arch) == EPERM
    x32 = lib.SCMP_ARCH_X32
    assert run_filter(program, number("read", x32) | 0x40000000, X86_64) == ALLOW
    assert run_filter(program, (number("statx", x32) | 0x40000000) + 300, X86_64) == ENOSYS


def test_an_architecture_that_is_not_listed_is_killed(run_filter: Run) -> None:
    program, _ = seccomp.compile(profile(allow("read"), architectures=["SCMP_ARCH_X86_64"]))
    assert run_filter(program, number("read", I386), I386) in (KILL_THREAD, KILL_PROCESS)
    assert run_filter(program, number("read") | 0x40000000, X86_64) not in (ALLOW, ENOSYS)


@pytest.mark.parametrize("default", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"])
def test_a_permissive_default_is_never_turned_into_enosys(run_filter: Run, default: str) -> None:
    denied = {"names": ["mount"], "action": "SCMP_ACT_KILL_PROCESS"}
    program, _ = seccomp.compile(profile(denied, default=default))
    assert run_filter(program, 100_000, X86_64) in (ALLOW, 0x7FFC0000)
    assert run_filter(program, number("mount"), X86_64) == KILL_PROCESS


def test_the_errno_of_an_action_is_the_one_given(run_filter: Run) -> None:
    denied = {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EBUSY}
    program, _ = seccomp.compile(profile(denied, allow("statx"), defaultErrnoRet=errno.ENOSYS))
    assert run_filter(program, number("mount"), X86_64) == 0x00050000 | errno.EBUSY
    assert run_filter(program, number("umount2"), X86_64) == ENOSYS


def condition(index: int, value: int, op: str, second: int = 0) -> dict[str, Any]:
    return {"index": index, "value": value, "op": f"SCMP_CMP_{op}", "valueTwo": second}


@pytest.mark.parametrize(
    ("op", "value", "second", "holds", "fails"),
    [
        ("EQ", 2**40 + 5, 0, 2**40 + 5, 5),
        ("NE", 5, 0, 6, 5),
        ("LT", 5, 0, 4, 5),
        ("LE", 5, 0, 5, 6),
        ("GT", 5, 0, 2**33, 5),
        ("GE", 5, 0, 5, 4),
        ("MASKED_EQ", 0xF0, 0x20, 0x2F, 0x3F),
    ],
)
def test_every_operator_compares_all_64_bits(
    run_filter: Run, op: str, value: int, second: int, holds: int, fails: int
) -> None:
    program, _ = seccomp.compile(profile(allow("personality", args=[condition(0, value, op, second)]), allow("statx")))
    assert run_filter(program, number("personality"), X86_64, (holds,)) == ALLOW
    assert run_filter(program, number("personality"), X86_64, (fails,)) == EPERM


def test_conditions_on_different_arguments_must_all_hold(run_filter: Run) -> None:
    rule = allow("socket", args=[condition(0, 1, "EQ"), condition(1, 2, "EQ")])
    program, _ = seccomp.compile(profile(rule, allow("statx")))
    assert run_filter(program, number("socket"), X86_64, (1, 2)) == ALLOW
    assert run_filter(program, number("socket"), X86_64, (1, 3)) == EPERM


def test_conditions_on_the_same_argument_are_alternatives(run_filter: Run) -> None:
    rule = allow("personality", args=[condition(0, 0, "EQ"), condition(0, 8, "EQ")])
    program, _ = seccomp.compile(profile(rule, allow("statx")))
    for value, verdict in ((0, ALLOW), (8, ALLOW), (4, EPERM)):
        assert run_filter(program, number("personality"), X86_64, (value,)) == verdict


def test_unknown_system_calls_are_left_out(run_filter: Run) -> None:
    program, _ = seccomp.compile(profile(allow("call_of_the_year_2031", "read", "statx")))
    assert run_filter(program, number("read"), X86_64) == ALLOW


def test_no_flags_and_an_empty_list_of_flags_are_different() -> None:
    assert seccomp.compile(profile(allow("read"), flags=[]))[1] == 0
    flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]
    assert seccomp.compile(profile(allow("read"), flags=flags))[1] == 3


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"defaultAction": "SCMP_ACT_MAYBE"}, "linux.seccomp.defaultAction"),
        ({}, "linux.seccomp.defaultAction"),
        (profile(defaultErrnoRet=5000), "linux.seccomp.defaultErrnoRet"),
        (profile(defaultErrnoRet="EPERM"), "linux.seccomp.defaultErrnoRet"),
        (profile(architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_Z80"]), "linux.seccomp.architectures[1]"),
        (profile(architectures="SCMP_ARCH_X86"), "linux.seccomp.architectures"),
        (profile(flags=["SECCOMP_FILTER_FLAG_NONE"]), "linux.seccomp.flags[0]"),
        (profile(allow("read"), {"names": ["write"], "action": "x"}), "linux.seccomp.syscalls[1].action"),
        (profile(allow()), "linux.seccomp.syscalls[0].names"),
        (profile(allow("read", "")), "linux.seccomp.syscalls[0].names[1]"),
        (profile(allow("read", args=[condition(6, 0, "EQ")])), "linux.seccomp.syscalls[0].args[0].index"),
        (profile(allow("read", args=[condition(0, -1, "EQ")])), "linux.seccomp.syscalls[0].args[0].value"),
        (profile(allow("read", args=[condition(0, 0, "IS")])), "linux.seccomp.syscalls[0].args[0].op"),
        (profile(allow("read", args=["x"])), "linux.seccomp.syscalls[0].args[0]"),
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": ["read"]}, "linux.seccomp.syscalls[0]"),
    ],
)
def test_a_wrong_profile_is_refused_with_the_path_of_the_fault(wrong: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        seccomp.compile(wrong)
    assert caught.value.where == where


NOTIFY = {"names": ["mount"], "action": "SCMP_ACT_NOTIFY"}
NEW_LISTENER, TSYNC_ESRCH, WAIT_KILLABLE = 8, 16, 32


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        (profile(default="SCMP_ACT_NOTIFY", listenerPath="/x"), "linux.seccomp.defaultAction"),
        (profile({**NOTIFY, "names": ["write"]}, listenerPath="/x"), "linux.seccomp.syscalls[0].action"),
        (profile(NOTIFY), "linux.seccomp.listenerPath"),
        (profile(NOTIFY, listenerPath=""), "linux.seccomp.listenerPath"),
    ],
)
def test_notification_that_cannot_work_is_refused(asked: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        seccomp.compile(asked)
    assert caught.value.where == where


def test_a_filter_that_notifies_wants_a_listener_and_no_other_does() -> None:
    program, flags = seccomp.compile(profile(NOTIFY, listenerPath="/x"))
    assert flags & NEW_LISTENER
    assert b"\x06\0\0\0\0\0\xc0\x7f" in program  # ret SECCOMP_RET_USER_NOTIF
    assert not seccomp.compile(profile(allow("read"), listenerPath="/x"))[1] & NEW_LISTENER


def test_flags_of_a_listener_are_only_with_one() -> None:
    flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"]
    assert seccomp.compile(profile(allow("read"), flags=flags))[1] == 1
    assert seccomp.compile(profile(NOTIFY, flags=flags, listenerPath="/x"))[1] == (
        1 | NEW_LISTENER | TSYNC_ESRCH | WAIT_KILLABLE
    )


def test_a_rule_with_the_default_action_is_no_error(run_filter: Run) -> None:
    program, _ = seccomp.compile(profile({"names": ["mount"], "action": "SCMP_ACT_ERRNO"}, allow("statx")))
    assert run_filter(program, number("mount"), X86_64) == EPERM


def test_the_action_numbers_are_those_of_the_kernels_header() -> None:
    for name in ("SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_LOG", "SCMP_ACT_ALLOW"):
        assert seccomp._PLAIN_ACTIONS[name] == getattr(lib, name)


def test_without_libseccomp_a_profile_is_refused_and_the_lists_are_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "available", lambda: False)
    with pytest.raises(Unsupported, match="libseccomp"):
        seccomp.compile(profile(allow("read")))
    assert seccomp.architectures() == seccomp.flags() == []
