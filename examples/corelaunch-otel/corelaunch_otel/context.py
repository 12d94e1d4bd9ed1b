"""The caller's trace: W3C Trace Context (www.w3.org/TR/trace-context, "traceparent Header")."""

from __future__ import annotations

import os

from corelaunch.api import Record

_HEX = frozenset("0123456789abcdef")


class Context(Record):
    """Which trace spans belong to, and below which span they are."""

    trace_id: str
    #: "" at the root of a trace.
    parent_id: str = ""
    #: False: the caller has chosen not to record this trace.
    sampled: bool = True
    #: What vendors have added, passed on as it is.
    state: str = ""

    def traceparent(self) -> str:
        """As a header of version 00."""
        return f"00-{self.trace_id}-{self.parent_id}-{self.sampled:02x}"


def parse(traceparent: str, state: str = "") -> Context | None:
    """The context of a ``traceparent``, None if it is none: such a one is to be ignored."""
    version, *fields = traceparent.strip().split("-")
    if not _is_hex(version, 2) or version == "ff" or len(fields) < 3 or (version == "00" and len(fields) > 3):
        return None
    trace_id, parent_id, flags = fields[:3]
    if not _is_hex(trace_id, 32) or not _is_hex(parent_id, 16) or not _is_hex(flags, 2):
        return None
    if trace_id == "0" * 32 or parent_id == "0" * 16:
        return None
    return Context(trace_id, parent_id, bool(int(flags, 16) & 1), state)


def new_trace() -> Context:
    """The root of a trace of our own."""
    return Context(os.urandom(16).hex())


def new_span_id() -> str:
    """An id for a span."""
    return os.urandom(8).hex()


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and _HEX.issuperset(text)
