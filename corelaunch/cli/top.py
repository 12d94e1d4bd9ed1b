"""``top``: what the containers use at the moment, again and again."""

from __future__ import annotations

import os
import posix
import time

from ..errors import UsageError
from .command import Call, Command, report
from .options import FLAG, Option
from .output import write, write_json
from .top_table import ORDERS, ordered, rows_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from ..usage import Usage

_LEAST_SECONDS, _MOST_SECONDS = 0.1, 3600.0


def run(call: Call) -> int:
    """Show it: on the whole terminal until somebody ends it, or once, or as JSON."""
    interval = _interval(call.options["interval"])
    order = call.options["sort"]
    if order not in ORDERS:
        raise UsageError("invalid --sort", where=order, hint=f"use one of {', '.join(ORDERS)}")
    once = call.options["once"] or not (call.options["json"] or _has_whole_terminal())
    if call.options["json"]:
        return _print(call, interval, order, 1 if once else -1)
    if once:
        from .screen import screen_of

        sample = next(samples(call, interval))
        write(rows_table(ordered(sample["containers"], order), time.time(), screen_of()))
        return 0
    from .top_view import show

    return show(lambda: _work(call, interval), order, interval)


def _interval(text: str) -> float:
    seconds = float(text) if text.replace(".", "", 1).isdigit() and text.isascii() else 0.0
    if not _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
        raise UsageError(
            "invalid --interval", where=text, hint=f"use seconds from {_LEAST_SECONDS:g} to {_MOST_SECONDS:g}"
        )
    return seconds


def _has_whole_terminal() -> bool:
    """Whether stdout is a terminal that can be drawn on."""
    return os.isatty(1) and posix.environ.get(b"TERM", b"") not in (b"", b"dumb")


def samples(call: Call, interval: float, *, at_once: bool = False) -> Iterator[dict[str, Any]]:
    """An object every ``interval`` seconds, the first after one interval: its rates need an earlier look.

    Args:
        call: of the command.
        interval: in seconds.
        at_once: give that earlier look, too, without rates.
    """
    from ..usage import Sampler

    sampler = Sampler(call.runtime(), call.arguments)
    before = due = time.monotonic()
    rows = sampler.sample()
    if at_once:
        yield _sample(rows, 0.0)
    while True:
        # A look that took longer than the interval is not made up for.
        due = max(due + interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        now = time.monotonic()
        rows = sampler.sample()
        yield _sample(rows, now - before)
        before = now


def _sample(rows: Iterable[Usage], seconds: float) -> dict[str, Any]:
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "interval_s": round(seconds, 3),
        "containers": [_rounded(row.as_dict()) for row in rows],
    }


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()}


def _print(call: Call, interval: float, order: str, count: int) -> int:
    for sample in samples(call, interval):
        write_json({**sample, "containers": ordered(sample["containers"], order)})
        count -= 1
        if count == 0:
            break
    return 0


def _work(call: Call, interval: float) -> int:
    """What the process does that looks at the containers; its lines are for ours."""
    try:
        for sample in samples(call, interval, at_once=True):
            write_json(sample)
    except BaseException as error:  # noqa: BLE001 - there is nobody above
        return report(call.log, error, COMMAND.failure)
    return 0


COMMAND = Command(
    "top",
    "[container-id...]",
    """Shows what these containers, or all that have a process, use at the moment: CPU time, memory, processes, bytes
read and written, on networks that "{program} --network" made also received and sent, how often memory ran out, and in
how many percent of the last ten seconds some of it had to wait (pressure: CPU/memory/I/O). On a terminal it goes on
until q is pressed, and the keys in its last line choose the order; else it prints one table. What is wrong with a
container is said in its row.""",
    run,
    (
        Option("interval", "seconds between two looks", default="1", metavar="seconds"),
        Option("sort", f"order: {', '.join(ORDERS)}", default="cpu", metavar="order"),
        Option("once", "print one table, after one interval", FLAG),
        Option("json", "print JSON, an object a line for each interval", FLAG),
    ),
    fewest=0,
    most=-1,
)
