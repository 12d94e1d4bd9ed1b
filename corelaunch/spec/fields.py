"""The checks that tables of config.json are made of: one per JSON type, with its limits.

A check is called with a value, where it stands and the findings. Absent and null are the same (Go writes null for
an empty value), unknown keys are ignored as the runtime-spec demands ("Extensibility"), and what is known must be
right ("Valid values"). An integer is written as one: 1.0 and "1" are refused, as by every runtime in Go.
"""

from __future__ import annotations

from .findings import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from .findings import Findings, Where

    Check = Callable[[Any, Where, Findings], None]

U16 = 2**16 - 1
U32 = 2**32 - 1
I64 = 2**63 - 1
U64 = 2**64 - 1

_TYPE_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "an integer",
    float: "a number with a fraction",
    bool: "a boolean",
    type(None): "null",
}


def wrong_type(wanted: str, value: Any, where: Where, findings: Findings) -> None:
    """Refuse a value of another type."""
    found = _TYPE_NAMES.get(type(value), type(value).__name__)
    findings.refuse(where, f"must be {wanted}, not {found}")


def integer(low: int, high: int) -> Check:
    """An integer in a range, ends included."""

    def check(value: Any, where: Where, findings: Findings) -> None:
        if type(value) is not int:
            wrong_type("an integer", value, where, findings)
        elif not low <= value <= high:
            findings.refuse(where, f"{value} is not in the range {low} to {high}")

    return check


u16 = integer(0, U16)
u32 = integer(0, U32)
u64 = integer(0, U64)
i64 = integer(-I64 - 1, I64)


def boolean(value: Any, where: Where, findings: Findings) -> None:
    """True or false."""
    if value is not True and value is not False:
        wrong_type("a boolean", value, where, findings)


def string(value: Any, where: Where, findings: Findings) -> None:
    """A string that can be handed to the kernel: without NUL."""
    if type(value) is not str:
        wrong_type("a string", value, where, findings)
    elif "\0" in value:
        findings.refuse(where, "contains a NUL character")


def absolute(value: Any, where: Where, findings: Findings) -> None:
    """An absolute path."""
    string(value, where, findings)
    if type(value) is str and value[:1] != "/":
        findings.refuse(where, f"{value!r} is not an absolute path")


def word(kind: str, known: Iterable[str]) -> Check:
    """One of a set of words; ``kind`` names what they are."""

    def check(value: Any, where: Where, findings: Findings) -> None:
        if type(value) is not str:
            wrong_type("a string", value, where, findings)
        elif value not in known:
            findings.refuse(where, f'unknown {kind} "{value}"', hint=listed(known))

    return check


def optional(check: Check) -> Check:
    """The same, but an empty string is as good as none: Go programs write one."""

    def either(value: Any, where: Where, findings: Findings) -> None:
        if value != "":
            check(value, where, findings)

    return either


def strings(value: Any, where: Where, findings: Findings) -> None:
    """An array of strings without NUL."""
    if type(value) is not list:
        wrong_type("an array", value, where, findings)
        return
    for item in value:
        if type(item) is not str or "\0" in item:
            break
    else:
        return
    for index, item in enumerate(value):
        string(item, (where, index), findings)


def array(item_check: Check, extra: Check | None = None) -> Check:
    """An array; ``extra`` looks at the whole of it when its items are right."""

    def check(value: Any, where: Where, findings: Findings) -> None:
        if type(value) is not list:
            wrong_type("an array", value, where, findings)
            return
        before = len(findings.errors)
        for index, item in enumerate(value):
            item_check(item, (where, index), findings)
        if extra is not None and len(findings.errors) == before:
            extra(value, where, findings)

    return check


def table(fields: Mapping[str, Check], required: Sequence[str] = (), extra: Check | None = None) -> Check:
    """An object with known keys; ``extra`` looks at the whole of it when its members are right."""

    def check(value: Any, where: Where, findings: Findings) -> None:
        if type(value) is not dict:
            wrong_type("an object", value, where, findings)
            return
        before = len(findings.errors)
        for key, item in value.items():
            field = fields.get(key)
            if field is None:
                if findings.collects:
                    from .findings import render

                    findings.unknown.append(render((where, key)))
            elif item is not None:
                field(item, (where, key), findings)
        for key in required:
            if value.get(key) is None:
                findings.refuse((where, key), "must be set")
        if extra is not None and len(findings.errors) == before:
            extra(value, where, findings)

    return check


def mapping(value_check: Check, key_check: Check | None = None) -> Check:
    """An object with keys of the user's own; ``key_check`` is called with each key."""

    def check(value: Any, where: Where, findings: Findings) -> None:
        if type(value) is not dict:
            wrong_type("an object", value, where, findings)
            return
        for key, item in value.items():
            inside = (where, key)
            if key_check is not None:
                key_check(key, inside, findings)
            value_check(item, inside, findings)

    return check


def ignored(value: Any, where: Where, findings: Findings) -> None:
    """A section of the runtime-spec that is not for Linux: nothing is looked at."""
