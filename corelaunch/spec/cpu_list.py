"""CPU lists of process.execCPUAffinity ("0-3,7"), in the kernel's own form (cpuset(7), "List format")."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .findings import Findings, Where

#: The kernel's largest CONFIG_NR_CPUS.
LIMIT = 8192


def parse(text: str) -> frozenset[int]:
    """The CPUs of a list; none for an empty text.

    Raises:
        ValueError: it is no list of CPUs; the text says what is wrong with it.
    """
    cpus: set[int] = set()
    for part in text.split(",") if text.strip() else ():
        first, dash, last = (word.strip() for word in part.partition("-"))
        low = _number(first, part)
        high = _number(last, part) if dash else low
        if high < low:
            raise ValueError(f"range {part.strip()!r} ends before it begins")
        cpus.update(range(low, high + 1))
    return frozenset(cpus)


def _number(text: str, part: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{part.strip()!r} is neither a CPU nor a range of CPUs")
    if len(text) > 5 or int(text) >= LIMIT:
        raise ValueError(f"there is no CPU {text[:20]} (at most {LIMIT - 1})")
    return int(text)


def check(value: Any, where: Where, findings: Findings) -> None:
    """Check process.execCPUAffinity (runtime-spec 1.2, config.md)."""
    if type(value) is not dict:
        findings.refuse(where, "must be an object")
        return
    for member in ("initial", "final"):
        text = value.get(member)
        if text is None:
            continue
        if type(text) is not str:
            findings.refuse((where, member), "must be a string")
            continue
        try:
            parse(text)
        except ValueError as error:
            findings.refuse((where, member), str(error), 'write CPUs as "0-3,7"')
