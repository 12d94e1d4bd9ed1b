"""Device rules on cgroup v2: an eBPF program that the kernel asks at every open and mknod of a device.

The rules are compiled from the last to the first, with the accesses that are not yet decided in a register: what
an earlier rule says about the others still counts, so a rule may take back any part of a wider one. The program is
attached beside those of others (BPF_F_ALLOW_MULTI), all of which are asked, those of the cgroups above too: nothing
that is forbidden there can be allowed here. (Kernel: kernel/bpf/cgroup.c.)
"""

from __future__ import annotations

import errno
import os
import struct

from corelaunch.api import (
    KernelError,
    Unsupported,
    attach_device_program,
    attached_device_program,
    detach_device_program,
    load_device_program,
)

from .device_rules import ALWAYS_ALLOWED, WHERE, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .device_rules import Rule

#: By this name our program is told from others on the same cgroup (systemd's is sd_devices).
PROGRAM = "cl_devices"

# struct bpf_cgroup_dev_ctx (linux/bpf.h): 32 bits each of access << 16 | type, major, minor.
_KINDS = {"b": 1, "c": 2}
_ACCESSES = {"m": 1, "r": 2, "w": 4}
_EVERY_ACCESS = 7

# Opcodes of Documentation/bpf/standardization/instruction-set.rst; jumps compare the lower 32 bits.
_LOAD_WORD = 0x61
_MOVE, _AND, _SHIFT_RIGHT = 0xB4, 0x54, 0x74
_JUMP, _JUMP_NOT_EQUAL, _JUMP_ANY_BIT = 0x05, 0x56, 0x46
_EXIT = 0x95
# Registers; the last one is for one comparison.
_ANSWER, _CONTEXT, _OPEN, _VALUE = range(4)
# Where in the context.
_TYPE_AT, _MAJOR_AT, _MINOR_AT = 0, 4, 8

_HINT = "loading eBPF takes CAP_SYS_ADMIN (or CAP_BPF and CAP_NET_ADMIN) in the first user namespace"


def write_devices(directory: str, rules: Sequence[Mapping[str, Any]]) -> None:
    """Put the rules and :data:`ALWAYS_ALLOWED` in force, in the place of ours that were: in one atomic step.

    Raises:
        ConfigError: a rule is malformed.
        Unsupported: this kernel has no such programs, or we may not load any.
        KernelError: the kernel refuses the program or the place, or the cgroup is gone.
    """
    parsed = parse(rules)
    try:
        cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _replace(cgroup, b"" if allows_everything(parsed) else assemble([*parsed, *ALWAYS_ALLOWED]))
        finally:
            os.close(cgroup)
    except OSError as error:
        raise _refused(error.errno or 0, KernelError.of("cannot set device rules", error, where=directory)) from error
    except KernelError as error:
        raise _refused(error.errno, error) from error


def allows_everything(rules: Sequence[Rule]) -> bool:
    """Whether nothing is left to enforce: a rule that allows all, and no other after it that denies."""
    for allow, kind, *_ in reversed(rules):
        if not allow:
            return False
        if kind == "a":
            return True
    return False


def assemble(rules: Sequence[Rule]) -> bytes:
    """The program that answers 1 if each access that is asked for is allowed, else 0."""
    code = [_instruction(_LOAD_WORD, _OPEN, _CONTEXT, _TYPE_AT), _instruction(_SHIFT_RIGHT, _OPEN, immediate=16)]
    for rule in reversed(rules):
        code += _one_rule(rule)
        if rule[1] == "a":
            return b"".join(code)  # it decides whatever is open still; the verifier refuses code after it
    return b"".join([*code, *_answer(False)])


def _one_rule(rule: Rule) -> list[bytes]:
    """Leave the program if this rule decides, else fall through to what follows."""
    allow, kind, major, minor, access = rule
    bits = sum(_ACCESSES[letter] for letter in set(access))
    body = _answer(allow)
    if bits != _EVERY_ACCESS:
        if allow:
            # These are granted; if others are open still, earlier rules decide.
            granted = _instruction(_AND, _OPEN, immediate=_EVERY_ACCESS & ~bits)
            body = [granted, _instruction(_JUMP_NOT_EQUAL, _OPEN, offset=len(body)), *body]
        else:
            body = [
                _instruction(_JUMP_ANY_BIT, _OPEN, offset=1, immediate=bits),
                _instruction(_JUMP, offset=len(body)),
                *body,
            ]
    for at, number in ((_MINOR_AT, minor), (_MAJOR_AT, major)):
        if number != "*":
            body = _if_equal(at, int(number), body)
    return _if_equal(_TYPE_AT, _KINDS[kind], body) if kind != "a" else body


def _if_equal(at: int, value: int, body: list[bytes]) -> list[bytes]:
    """Go through ``body`` only if a part of the context has this value.

    It is loaded for each comparison: of a register that is compared again and again the verifier keeps in mind
    what each comparison has shown, and a list of a few hundred rules is then too much for it.
    """
    compare = [_instruction(_LOAD_WORD, _VALUE, _CONTEXT, at)]
    if at == _TYPE_AT:
        compare.append(_instruction(_AND, _VALUE, immediate=0xFFFF))
    return [*compare, _instruction(_JUMP_NOT_EQUAL, _VALUE, offset=len(body), immediate=value), *body]


def _answer(allow: bool) -> list[bytes]:
    return [_instruction(_MOVE, _ANSWER, immediate=int(allow)), _instruction(_EXIT)]


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    """One struct bpf_insn: opcode, two registers, offset, immediate value (of which the sign does not matter here)."""
    return struct.pack("=BBhI", code, target | source << 4, offset, immediate)


def _replace(cgroup: int, instructions: bytes) -> None:
    """Load and attach a program where ours was; without instructions there is to be none."""
    program = load_device_program(PROGRAM, instructions) if instructions else -1
    old = -1
    try:
        old = attached_device_program(cgroup, PROGRAM) if program >= 0 else _attached(cgroup)
        if program >= 0:
            attach_device_program(cgroup, program, instead_of=old)
        elif old >= 0:
            detach_device_program(cgroup, old)
    finally:
        for fd in (program, old):
            if fd >= 0:
                os.close(fd)


def _attached(cgroup: int) -> int:
    """Our program, -1 if there is none. Where we may not look, or there are none in this kernel, we attached none."""
    try:
        return attached_device_program(cgroup, PROGRAM)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS, errno.EINVAL):
            return -1
        raise


def _refused(number: int, error: KernelError) -> KernelError | Unsupported:
    """What a refusal means, where the kernel's own word does not tell."""
    if number == errno.ENOSYS or (number == errno.EINVAL and "verifier" not in error.why):
        return Unsupported(
            "cannot set device rules", where=WHERE, why=f"{error.line()}: this kernel has no CONFIG_CGROUP_BPF"
        )
    if number == errno.EPERM and error.where == "bpf(2)":
        return Unsupported("cannot set device rules", where=WHERE, why=error.line(), hint=_HINT)
    if number == errno.EPERM:
        error.hint = "a cgroup above has a device program that forbids others below it"
    return error
