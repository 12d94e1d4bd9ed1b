"""A few BPF instructions before a seccomp filter: system calls that are newer than the profile fail with ENOSYS.

A profile that forbids what it does not name answers EPERM to a call that its author had never heard of. The C
library takes ENOSYS for "old kernel" and falls back to an older call, but EPERM for an error. Which calls are newer is
told by their numbers, which grow. (The filter of libseccomp that follows loads what it needs anew.)
"""

from __future__ import annotations

import errno
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# linux/bpf_common.h: load a word, jump (always, if equal, if greater, if greater or equal), return.
_LOAD = 0x20
_JUMP = 0x05
_IF_EQUAL = 0x15
_IF_GREATER = 0x25
_IF_AT_LEAST = 0x35
_RETURN = 0x06
# struct seccomp_data: int nr, u32 arch.
_NUMBER = 0
_ARCH = 4
_RETURN_ENOSYS = 0x00050000 | errno.ENOSYS
#: Set in the numbers of the x32 calls, which have the architecture word of x86-64.
_X32_BIT = 0x40000000


def enosys_prologue(arches: Sequence[int], names: Sequence[str], lib: Any) -> bytes:
    """The instructions, or b"" if none of the names is a system call of these architectures.

    Args:
        arches: architecture tokens of libseccomp.
        names: all system calls that the profile names, with whatever action.
        lib: the library of corelaunch._seccomp.
    """
    newest = {arch: max(lib.cl_syscall_number(arch, name.encode()) for name in names) for arch in arches if names}
    newest = {arch: number for arch, number in newest.items() if number >= 0}
    x32 = newest.pop(lib.SCMP_ARCH_X32, None)
    sections = b""
    for arch, number in newest.items():
        check = _instruction(_IF_GREATER, number, 0, 1) + _instruction(_RETURN, _RETURN_ENOSYS)
        if arch == lib.SCMP_ARCH_X86_64:
            check = _split_x32(check, x32)
        body = _instruction(_LOAD, _NUMBER) + check
        # The section ends with a jump over those that follow, to the filter; it is filled in from the back.
        sections += _instruction(_IF_EQUAL, arch, 0, len(body) // 8 + 1) + body + _instruction(_JUMP, _LATER)
    if not sections:
        return b""
    return _resolve(_instruction(_LOAD, _ARCH) + sections)


#: Placeholder in a _JUMP: to the end of the prologue.
_LATER = 0xFFFFFFFF


def _split_x32(check: bytes, x32: int | None) -> bytes:
    """``check`` for numbers without the x32 bit; those with it have a newest call of their own, or no check."""
    if x32 is None:
        return _instruction(_IF_AT_LEAST, _X32_BIT, len(check) // 8, 0) + check
    other = _instruction(_IF_GREATER, x32, 0, 1) + _instruction(_RETURN, _RETURN_ENOSYS)
    first = check + _instruction(_JUMP, _LATER)
    return _instruction(_IF_AT_LEAST, _X32_BIT, len(first) // 8, 0) + first + other


def _resolve(program: bytes) -> bytes:
    instructions = list(struct.iter_unpack("=HBBI", program))
    end = len(instructions)
    return b"".join(
        _instruction(code, end - index - 1 if (code, k) == (_JUMP, _LATER) else k, jt, jf)
        for index, (code, jt, jf, k) in enumerate(instructions)
    )


def _instruction(code: int, k: int, jt: int = 0, jf: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jt, jf, k)
