"""Device programs of a cgroup v2: eBPF that answers whether a process may use a device (bpf(2)).

Every program of a cgroup and of those above it is asked, and a device is open to those that all of them let through.
They go away with the cgroup. All that is needed here is as old as Linux 5.6.
"""

from __future__ import annotations

import os
import struct
from errno import ENOSYS, EPERM

from ..errors import KernelError
from .native import Memory, bpf

# enum bpf_cmd, bpf_prog_type, bpf_attach_type and flags of linux/bpf.h
_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH = 5, 8, 9
_PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD, _PROG_QUERY = 13, 15, 16
_TYPE_CGROUP_DEVICE = 15
_ATTACH_DEVICE = 6
_ALLOW_MULTI = 1 << 1
_REPLACE = 1 << 2

#: Room for the verifier log of any program that we load.
_LOG_BYTES = 1 << 20
#: As many programs as the kernel attaches to one cgroup (BPF_CGROUP_MAX_PROGS).
_MOST_PROGRAMS = 64
_INFO_BYTES = 128
_NAME_AT, _NAME_BYTES = 64, 16
_INSTRUCTION_BYTES = 8


def load_device_program(name: str, instructions: bytes) -> int:
    """Load a program for devices; a descriptor of it, which the caller closes.

    Args:
        name: what tools show; at most 15 letters, digits, ``_`` and ``.``.
        instructions: ``struct bpf_insn``, 8 bytes each.

    Raises:
        KernelError: EPERM, we may not (it takes root of the first user namespace); EINVAL or EACCES, the verifier
            refuses the program, and ``why`` ends with its last words; E2BIG, too many instructions.
    """
    code, licence = Memory(instructions), Memory(b"Apache-2.0\0")
    attributes = struct.pack(
        "=IIQQ", _TYPE_CGROUP_DEVICE, len(instructions) // _INSTRUCTION_BYTES, code.address, licence.address
    )
    rest = struct.pack("=II16s", 0, 0, name.encode())  # kernel version, flags, name
    try:
        return bpf(_PROG_LOAD, attributes + struct.pack("=IIQ", 0, 0, 0) + rest)[0]
    except OSError as error:
        refused = KernelError.of("cannot load device program", error, where="bpf(2)")
        if error.errno not in (EPERM, ENOSYS):  # these come before the verifier
            # Once more, with a log: writing one takes the verifier longer, and nearly nobody reads it.
            log = Memory(bytes(_LOG_BYTES))
            try:
                return bpf(_PROG_LOAD, attributes + struct.pack("=IIQ", 1, _LOG_BYTES, log.address) + rest)[0]
            except OSError:
                refused.why += _last_words(bytes(log.content))
        raise refused from error


def attach_device_program(cgroup: int, program: int, *, instead_of: int = -1) -> None:
    """Attach a program to the cgroup of a directory descriptor, beside others, or in the place of one.

    Replacing is atomic: at every moment one of the two is asked.

    Raises:
        OSError: EPERM, we may not, or a cgroup above has a program that wants to be the only one; ENOENT,
            ``instead_of`` is not attached; ENODEV, the cgroup is gone.
    """
    flags = _ALLOW_MULTI | (_REPLACE if instead_of >= 0 else 0)
    bpf(_PROG_ATTACH, struct.pack("=IIIII", cgroup, program, _ATTACH_DEVICE, flags, max(instead_of, 0)))


def detach_device_program(cgroup: int, program: int) -> None:
    """Detach one program.

    Raises:
        OSError: ENOENT, it is not attached.
    """
    bpf(_PROG_DETACH, struct.pack("=IIIII", cgroup, program, _ATTACH_DEVICE, 0, 0))


def attached_device_program(cgroup: int, name: str) -> int:
    """The program of this name that is attached to exactly this cgroup, as a descriptor; -1 if there is none.

    Raises:
        OSError: EPERM, we may not look.
    """
    found = -1
    for number in _attached(cgroup):
        program = _open(number)
        if program < 0:
            continue
        if found < 0 and _name(program) == name:
            found = program
        else:
            os.close(program)
    return found


def _attached(cgroup: int) -> tuple[int, ...]:
    """Numbers of the programs of a cgroup, in the order in which they are asked."""
    numbers = Memory(bytes(4 * _MOST_PROGRAMS))
    attributes = struct.pack("=IIIIQI", cgroup, _ATTACH_DEVICE, 0, 0, numbers.address, _MOST_PROGRAMS)
    count = struct.unpack_from("=I", bpf(_PROG_QUERY, attributes)[1], 24)[0]
    return struct.unpack_from(f"={count}I", numbers.content)


def _open(number: int) -> int:
    try:
        return bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0))[0]
    except FileNotFoundError:
        return -1  # detached since


def _name(program: int) -> str:
    info = Memory(bytes(_INFO_BYTES))
    bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", program, _INFO_BYTES, info.address))
    return bytes(info.content)[_NAME_AT : _NAME_AT + _NAME_BYTES].partition(b"\0")[0].decode(errors="replace")


def _last_words(log: bytes) -> str:
    """What a verifier log ends with, ready to be appended to a reason; "" if it is empty."""
    lines = [line for line in log.partition(b"\0")[0].decode(errors="replace").split("\n") if line]
    lines = [line for line in lines if not line.startswith(("processed ", "verification time", "stack depth"))]
    return f", says the verifier: {'; '.join(lines[-3:])}" if lines else ""
