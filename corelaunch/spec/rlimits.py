"""Resource limits: names and numbers (getrlimit(2), asm-generic/resource.h)."""

from __future__ import annotations

#: process.rlimits[].type and the kernel's number.
NUMBERS: dict[str, int] = {
    f"RLIMIT_{name}": number
    for number, name in enumerate(
        "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME".split()
    )
}
