"""``events``: what a container uses, again and again or once, and each time that it runs out of memory."""

from __future__ import annotations

from ..errors import UsageError, WrongStatus
from .command import Call, Command
from .options import FLAG, Option
from .output import write_json
from .stats_json import data_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Units of Go's time.ParseDuration, in seconds.
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def run(call: Call) -> int:
    """Print one JSON object a line until the container has stopped."""
    interval = seconds(call.options["interval"])
    if interval <= 0:
        raise UsageError("duration interval must be greater than 0", where=call.options["interval"])
    container = call.runtime().load(call.arguments[0])
    if call.options["stats"]:
        if container.status == "stopped":  # as with runc, though the API tells what it has used
            raise WrongStatus("container not running", where=container.id, why="it is stopped")
        _print("stats", container.id, data_of(container.stats()))
        return 0
    for figures in container.watch(interval):
        if figures is None:
            _print("oom", container.id, None)
        else:
            _print("stats", container.id, data_of(figures))
    return 0


def _print(kind: str, container_id: str, data: dict[str, Any] | None) -> None:
    event: dict[str, Any] = {"type": kind, "id": container_id}
    if data is not None:
        event["data"] = data
    write_json(event)


def seconds(text: str) -> float:
    """A duration as Go writes it: ``5s``, ``1m30s``, ``1.5h``, ``250ms``.

    Raises:
        UsageError: it is none.
    """
    rest = text.removeprefix("-").removeprefix("+")
    total = 0.0
    if rest == "0":
        return 0.0
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        number, rest = rest[:digits], rest[digits:]
        letters = next((i for i, letter in enumerate(rest) if letter in "0123456789."), len(rest))
        unit, rest = rest[:letters], rest[letters:]
        if unit not in _UNITS or not number.strip(".") or number.count(".") > 1 or len(number) > 20:
            break
        total += float(number) * _UNITS[unit]
    else:
        if text not in ("", "-", "+"):
            return -total if text.startswith("-") else total
    raise UsageError(f'invalid value "{text}" for flag -interval', why="write it as in 5s, 1m30s or 250ms")


COMMAND = Command(
    "events",
    "<container-id>",
    """Prints what a container uses (CPU, memory, block I/O, processes, huge pages, interfaces) every five seconds, and
a line each time that it runs out of memory: one JSON object a line, until the container has stopped.""",
    run,
    (
        Option("interval", "time between two lines of statistics", default="5s", metavar="duration"),
        Option("stats", "print the statistics once", FLAG),
        Option("json", "print JSON, as it does anyway", FLAG),
    ),
)
