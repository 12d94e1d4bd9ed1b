"""Compiles the ``linux.seccomp`` of a config into the BPF program that corelaunch-init loads with seccomp(2).

The init needs no library for it. libseccomp is reached through corelaunch._seccomp, which is built only where its
header is; without it a config that asks for seccomp is refused. Meaning of the fields: OCI runtime-spec,
config-linux.md, "Seccomp".
"""

from __future__ import annotations

import errno
import os

from ..errors import ConfigError, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

#: Length of a program: BPF_MAXINSNS of linux/bpf_common.h.
MAX_INSTRUCTIONS = 4096

# Actions without a number of their own, and those that carry one in the low 16 bits (seccomp(2)).
_PLAIN_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_NOTIFY = "SCMP_ACT_NOTIFY"
_NOTIFY_NUMBER = 0x7FC00000
#: Newer than some libseccomp (linux/seccomp.h): a listener, and that TSYNC reports failure beside one.
_NEW_LISTENER = 1 << 3
_TSYNC_ESRCH = 1 << 4
_NUMBERED_ACTIONS = {"SCMP_ACT_ERRNO": 0x00050000, "SCMP_ACT_TRACE": 0x7FF00000}
_PERMISSIVE = frozenset((_PLAIN_ACTIONS["SCMP_ACT_ALLOW"], _PLAIN_ACTIONS["SCMP_ACT_LOG"]))
_ENOSYS = _NUMBERED_ACTIONS["SCMP_ACT_ERRNO"] | errno.ENOSYS
_FLAG_PREFIX = "SECCOMP_FILTER_FLAG_"
_MAX_ARGUMENT = 5
_MAX_ERRNO = 4095


def available() -> bool:
    """Whether this installation can compile seccomp profiles."""
    try:
        from .. import _seccomp  # noqa: F401
    except ImportError:
        return False
    return True


def architectures() -> list[str]:
    """The names that ``architectures`` may hold with this libseccomp; [] without it."""
    return _names("SCMP_ARCH_")


def flags() -> list[str]:
    """The names that ``flags`` may hold; [] without libseccomp."""
    return _names(_FLAG_PREFIX)


def library_version() -> str:
    """Version of libseccomp ("2.5.4"), "" without it."""
    if not available():
        return ""
    from .._seccomp import lib

    number = lib.cl_libseccomp_version()
    return f"{number >> 16}.{number >> 8 & 0xFF}.{number & 0xFF}"


def compile(profile: Mapping[str, Any]) -> tuple[bytes, int]:
    """Compile a profile: (an array of struct sock_filter, the flags of seccomp(2)).

    System calls that this libseccomp does not know are left out, as every runtime does: profiles name calls of newer
    kernels. Calls that are newer than any that the profile names fail with ENOSYS, not with the default action, so
    that a C library falls back to what the profile knows.

    Raises:
        ConfigError: the profile is wrong; ``where`` is the JSON path.
        Unsupported: corelaunch was built without libseccomp.
    """
    if not available():
        raise Unsupported(
            "seccomp is not available",
            where="linux.seccomp",
            why="corelaunch was built without libseccomp",
            hint="install libseccomp-dev and install corelaunch again",
        )
    default = _action(profile, "defaultAction", "defaultErrnoRet", "linux.seccomp")
    arches = _architectures(profile)
    rules = _list(profile, "syscalls", "linux.seccomp")
    from .._seccomp import ffi, lib

    context = lib.cl_filter_new(default)
    if context == ffi.NULL:
        raise _wrong("linux.seccomp.defaultAction", "libseccomp refuses it")
    try:
        for index, arch in enumerate(arches):
            _check(lib.cl_filter_add_arch(context, arch), f"linux.seccomp.architectures[{index}]")
        named = []
        for index, rule in enumerate(rules):
            named += _add_rule(context, rule, default, f"linux.seccomp.syscalls[{index}]")
        program = _export(context)
    finally:
        lib.cl_filter_free(context)
    if default not in _PERMISSIVE and default != _ENOSYS:
        from .enosys import enosys_prologue

        program = enosys_prologue(arches or [lib.cl_native_arch()], named, lib) + program
    if len(program) > MAX_INSTRUCTIONS * 8:
        raise _wrong("linux.seccomp", f"the filter has {len(program) // 8} instructions, at most {MAX_INSTRUCTIONS}")
    notifies = any(rule["action"] == _NOTIFY for rule in rules)
    if notifies and not profile.get("listenerPath"):
        raise _wrong("linux.seccomp.listenerPath", f"must be set: {_NOTIFY} is used")
    return program, _filter_flags(profile, notifies)


def _add_rule(context: Any, rule: Any, default: int, where: str) -> list[str]:
    """Add one entry of ``syscalls``; returns the names in it."""
    from .._seccomp import ffi, lib

    if not isinstance(rule, dict):
        raise _wrong(where, "it is not an object")
    names = _list(rule, "names", where)
    if not names:
        raise _wrong(f"{where}.names", "it is empty")
    action = _action(rule, "action", "errnoRet", where)
    alternatives = _alternatives(_list(rule, "args", where), f"{where}.args")
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name or "\0" in name:
            raise _wrong(f"{where}.names[{index}]", "it is not the name of a system call")
        number = lib.cl_syscall_number(lib.cl_native_arch(), name.encode())
        if number == -1 or action == default:
            continue
        for conditions in alternatives:
            array = ffi.new("struct cl_condition[]", conditions)
            _check(lib.cl_filter_add_rule(context, action, number, len(conditions), array), f"{where}.names[{index}]")
    return names


def _alternatives(arguments: Sequence[Any], where: str) -> list[list[tuple[int, int, int, int]]]:
    """The conditions of a rule: all of an inner list must hold, one of the outer is enough.

    libseccomp takes one condition per argument. A rule with two on the same argument is read as alternatives, one
    rule for each condition; profiles in the field rely on it.
    """
    from .._seccomp import lib

    conditions = []
    for index, argument in enumerate(arguments):
        here = f"{where}[{index}]"
        if not isinstance(argument, dict):
            raise _wrong(here, "it is not an object")
        op = argument.get("op")
        if not isinstance(op, str) or not op.startswith("SCMP_CMP_") or not hasattr(lib, op):
            raise _wrong(f"{here}.op", f"unknown operator {op!r}")
        number = _unsigned(argument, "index", here, _MAX_ARGUMENT)
        value = _unsigned(argument, "value", here, 2**64 - 1)
        second = _unsigned(argument, "valueTwo", here, 2**64 - 1)
        conditions.append((number, getattr(lib, op), value, second))
    if len({condition[0] for condition in conditions}) < len(conditions):
        return [[condition] for condition in conditions]
    return [conditions]


def _architectures(profile: Mapping[str, Any]) -> list[int]:
    from .._seccomp import lib

    arches = []
    for index, name in enumerate(_list(profile, "architectures", "linux.seccomp")):
        if not isinstance(name, str) or not name.startswith("SCMP_ARCH_") or not hasattr(lib, name):
            raise _wrong(f"linux.seccomp.architectures[{index}]", f"unknown architecture {name!r}")
        arches.append(int(getattr(lib, name)))
    native = lib.cl_native_arch()
    # libseccomp starts a filter with the native one.
    return arches if native in arches or not arches else [native, *arches]


def _filter_flags(profile: Mapping[str, Any], notifies: bool) -> int:
    from .._seccomp import lib

    bits = _NEW_LISTENER if notifies else 0
    if profile.get("flags") is None:
        # As runc: without it the kernel turns speculation mitigations on for every filtered process.
        return bits | int(lib.SECCOMP_FILTER_FLAG_SPEC_ALLOW)
    for index, name in enumerate(_list(profile, "flags", "linux.seccomp")):
        if not isinstance(name, str) or not name.startswith(_FLAG_PREFIX) or not hasattr(lib, name):
            raise _wrong(f"linux.seccomp.flags[{index}]", f"unknown flag {name!r}")
        if name.endswith("WAIT_KILLABLE_RECV") and not notifies:
            continue  # it is about the listener alone; the kernel would refuse it, libseccomp leaves it out
        bits |= int(getattr(lib, name))
        if name.endswith("TSYNC") and notifies:
            bits |= _TSYNC_ESRCH
    return bits


def _action(entry: Mapping[str, Any], key: str, errno_key: str, where: str) -> int:
    name = entry.get(key)
    if name == _NOTIFY:
        if key == "defaultAction":
            raise _wrong(f"{where}.{key}", f"{_NOTIFY} cannot be used as default action")
        if "write" in _list(entry, "names", where):
            # The init writes to say that it has the listener; nobody could answer yet.
            raise _wrong(f"{where}.{key}", f"{_NOTIFY} cannot be used for the write syscall")
        return _NOTIFY_NUMBER
    if name in _PLAIN_ACTIONS:
        return _PLAIN_ACTIONS[name]
    if name not in _NUMBERED_ACTIONS:
        raise _wrong(f"{where}.{key}", f"unknown action {name!r}")
    if entry.get(errno_key) is None:
        return _NUMBERED_ACTIONS[name] | errno.EPERM
    return _NUMBERED_ACTIONS[name] | _unsigned(entry, errno_key, where, _MAX_ERRNO)


def _export(context: Any) -> bytes:
    from .._seccomp import lib

    fd = os.memfd_create("corelaunch-seccomp", os.MFD_CLOEXEC)
    try:
        _check(lib.cl_filter_export(context, fd), "linux.seccomp")
        size = os.fstat(fd).st_size
        return os.pread(fd, size, 0)
    finally:
        os.close(fd)


def _unsigned(entry: Mapping[str, Any], key: str, where: str, limit: int) -> int:
    value = entry.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise _wrong(f"{where}.{key}", f"{value!r} is not a number from 0 to {limit}")
    return value


def _list(entry: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = entry.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(f"{where}.{key}", "it is not an array")
    return value


def _names(prefix: str) -> list[str]:
    if not available():
        return []
    from .._seccomp import lib

    return sorted(name for name in dir(lib) if name.startswith(prefix))


def _wrong(where: str, why: str) -> ConfigError:
    return ConfigError("invalid seccomp profile", where=where, why=why)


def _check(result: int, where: str) -> None:
    if result < 0:
        raise _wrong(where, f"libseccomp refuses it: {os.strerror(-result).lower()}")
