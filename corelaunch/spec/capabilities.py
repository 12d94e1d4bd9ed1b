"""Capability names and their bits (capabilities(7), linux/capability.h)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)

#: "CAP_CHOWN": 1 << 0 …; the position in the list is the kernel's number.
BITS: dict[str, int] = {f"CAP_{name}": 1 << number for number, name in enumerate(_NAMES.split())}

#: The sets of process.capabilities.
SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")


def mask(names: Iterable[str]) -> int:
    """The bits of ``names``; names that this release does not know have none (the check has warned of them)."""
    bits = 0
    for name in names:
        bits |= BITS.get(name, 0)
    return bits


def masks(capabilities: Mapping[str, Any]) -> dict[str, int]:
    """The mask of each of the five sets of a checked ``capabilities`` object; an absent set is empty."""
    return {kind: mask(capabilities.get(kind) or ()) for kind in SETS}


def names(bits: int) -> list[str]:
    """The names of a mask, for people."""
    return [name for name, bit in BITS.items() if bits & bit]
