"""Spans as OTLP/JSON (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding"; opentelemetry-proto, trace.proto).

Ids are hexadecimal, 64-bit numbers are strings, enums are numbers, names are in lowerCamelCase.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .context import Context

_KIND_INTERNAL = 1
_STATUS_ERROR = 2


def span(
    context: Context,
    span_id: str,
    name: str,
    begin_ns: int,
    end_ns: int,
    attributes: Mapping[str, str | int],
    error: str | None = None,
) -> dict[str, Any]:
    """A span.

    Args:
        context: its trace and its parent.
        begin_ns, end_ns: nanoseconds since 1970.
        attributes: those that are "" are left out.
        error: None if it went well; else why it did not, which may be "".
    """
    made: dict[str, Any] = {
        "traceId": context.trace_id,
        "spanId": span_id,
        "name": _text(name),
        "kind": _KIND_INTERNAL,
        "startTimeUnixNano": str(begin_ns),
        "endTimeUnixNano": str(end_ns),
        "attributes": _attributes(attributes),
    }
    if context.parent_id:
        made["parentSpanId"] = context.parent_id
    if context.state:
        made["traceState"] = _text(context.state)
    if error is not None:
        made["status"] = {"code": _STATUS_ERROR, "message": _text(error)}
        what = _attributes({"exception.message": error})
        made["events"] = [{"name": "exception", "timeUnixNano": str(end_ns), "attributes": what}]
    return made


def request(spans: Sequence[Mapping[str, Any]], resource: Mapping[str, str], version: str) -> dict[str, Any]:
    """An ExportTraceServiceRequest."""
    scope = {"name": "corelaunch-otel", "version": version}
    of_scope = {"scope": scope, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [of_scope]}]}


def _attributes(values: Mapping[str, str | int]) -> list[dict[str, Any]]:
    made = []
    for key, value in values.items():
        if value != "":
            typed = {"intValue": str(value)} if type(value) is int else {"stringValue": _text(str(value))}
            made.append({"key": _text(key), "value": typed})
    return made


def _text(text: str) -> str:
    """Text as UTF-8 has it: one string that is none (an id, a path, the environment) would cost all spans."""
    return text.encode("utf-8", "backslashreplace").decode()
