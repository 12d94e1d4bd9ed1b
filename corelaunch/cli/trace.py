"""``trace``: run a verb and show where its time went, or show what ``--trace FILE`` has written."""

from __future__ import annotations

import io
import os
import sys

from ..errors import CorelaunchError, KernelError, UsageError
from ..log import put
from ..trace_file import append, lines_of_traced, read, verbs
from .command import Call, Command
from .options import FLAG, LIST, NUMBER, Option, no_value
from .output import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ..trace_file import TracedVerb
    from .traced_process import Ended

#: Width of the picture where it goes to no terminal.
_COLUMNS = 80


def run(call: Call) -> int:
    """Show a trace; the exit code is the verb's, if one was run."""
    options = call.options
    if options["read"]:
        found = _chosen(read(options["read"]), call.arguments, options["read"])
        _deliver(call, found, 1)
        return 0
    if not call.arguments:
        raise UsageError('"trace" needs a verb, or --read FILE', hint="corelaunch trace run --bundle DIR ID")
    if call.arguments[0] == "trace":
        raise UsageError("cannot trace a trace", hint="give it another verb")
    ended, found = _traced(call)
    if found:
        _deliver(call, found, 2)
    return ended.code


def _chosen(found: Sequence[TracedVerb], ids: Sequence[str], path: str) -> Sequence[TracedVerb]:
    """The verbs of these containers; all if none is given."""
    for container_id in ids:
        if all(verb.container_id != container_id for verb in found):
            have = ", ".join(dict.fromkeys(verb.container_id for verb in found if verb.container_id)) or "none"
            raise CorelaunchError("no verb of this container", where=f"{path}: {container_id}", why=f"it has: {have}")
    return [verb for verb in found if verb.container_id in ids] if ids else found


def _traced(call: Call) -> tuple[Ended, Sequence[TracedVerb]]:
    from .traced_process import RECORD, TRACE, run

    # How we were started, up to our own words; what we were told for all verbs; the verb.
    before = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    options = [*_global_words(call.settings), "--trace", TRACE, "--trace-record", RECORD]
    ended = run(sys.executable, [*before, *options, *call.arguments])
    known = verbs(io.BytesIO(ended.trace), "the trace of the verb") or _recovered(ended)
    found = [_completed(verb, ended) for verb in known]
    if call.settings["trace"]:
        try:
            append(call.settings["trace"], [line for verb in found for line in lines_of_traced(verb)])
        except OSError as error:
            raise KernelError.of("cannot write the trace", error, where=call.settings["trace"]) from None
    return ended, [verb.replace(error="") for verb in found]  # it has just been told


def _recovered(ended: Ended) -> Sequence[TracedVerb]:
    """What is on record of a verb that was killed before it could write its trace."""
    from ..live_trace import recovered

    verb = recovered(ended.record, ended.end)
    return [verb.replace(exit_code=ended.code)] if verb is not None else ()


def _completed(verb: TracedVerb, ended: Ended) -> TracedVerb:
    """The verb with what its tracer knows of its process."""
    if verb.monotonic_us is None or verb.duration_us is None:
        return verb
    completed: TracedVerb = verb.replace(
        before_us=max(verb.monotonic_us - ended.start // 1000, 0),
        after_us=max(ended.end // 1000 - verb.monotonic_us - verb.duration_us, 0),
        exit_code=ended.code,
        cpu_us=ended.cpu_us,
    )
    return completed


def _global_words(settings: Mapping[str, Any]) -> Iterator[str]:
    """The global options again, as they were given to us; the trace is another one."""
    from .main import GLOBAL_OPTIONS

    for option in GLOBAL_OPTIONS:
        value = settings[option.name]
        if option.name in ("trace", "trace-record", "help", "version") or value == no_value(option):
            continue
        if option.kind == FLAG:
            yield f"--{option.name}"
        else:
            for text in value if option.kind == LIST else [value]:
                yield f"--{option.name}={text}"


def _deliver(call: Call, found: Sequence[TracedVerb], fd: int) -> None:
    """Write what was asked for; the picture, or JSON, goes to ``fd`` or to the file of ``--output``."""
    options = call.options
    if options["perfetto"]:
        from ..jsontext import dumps
        from .perfetto import trace_events

        _write(options["perfetto"], dumps(trace_events(found)) + "\n")
    if options["json"]:
        on_terminal = not options["output"] and os.isatty(fd)
        text = json_text([as_json(verb) for verb in found], 2, on_terminal=on_terminal) + "\n"
    else:
        text = "\n".join(_picture(call, verb, fd) for verb in found)
    if options["output"]:
        _write(options["output"], text)
    elif fd == 1:
        from .output import write

        write(text)
    else:
        put(fd, text)


def _picture(call: Call, verb: TracedVerb, fd: int) -> str:
    from .screen import PIPE, screen_of
    from .waterfall import waterfall

    screen = PIPE if call.options["output"] else screen_of(fd)
    width = call.options["width"] or screen.columns or _COLUMNS
    return "".join(f"{line}\n" for line in waterfall(verb, width, unicode=_has_unicode(), colours=screen.colours))


def _has_unicode() -> bool:
    """Whether the caller's locale is one of UTF-8. Python has changed the variables of ours, where it was none."""
    with open("/proc/self/environ", "rb") as file:
        environment = dict(entry.split(b"=", 1) for entry in file.read().split(b"\0") if b"=" in entry)
    names = (environment.get(name) for name in (b"LC_ALL", b"LC_CTYPE", b"LANG"))
    locale = next(filter(None, names), b"").lower()
    return b"utf-8" in locale or b"utf8" in locale


def as_json(verb: TracedVerb) -> dict[str, Any]:
    """What ``--json`` prints of a verb."""
    from .trace_account import rows, sums, total

    found = rows(verb)
    return {
        "verb": verb.verb,
        "id": verb.container_id,
        "pid": verb.pid,
        "time": verb.time,
        "exit_code": verb.exit_code,
        "error": verb.error,
        "total_us": total(found),
        "cpu_us": verb.cpu_us,
        "sum_us": dict(sums(found)),
        "forgotten": verb.forgotten,
        "steps": [
            {
                "step": row.name,
                "plugin": row.plugin,
                "kind": row.kind,
                "start_us": row.start,
                "duration_us": row.duration,
                "own_us": row.own,
                "depth": row.depth,
                "failed": row.failed,
            }
            for row in found
        ],
    }


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise KernelError.of("cannot write", error, where=path) from None


COMMAND = Command(
    "trace",
    "<verb> [verb's options and arguments] || --read FILE [container-id...]",
    """Runs a verb with its own streams and exit code, and then shows on stderr what it did: a line for each step and
each call of a plugin, with its start, its duration and a bar; what was in no step; and the sum, from the start of
the process to its end. A verb that failed is shown as far as it got.

With --read it shows, on stdout, what "{program} --trace FILE" has written before, of all verbs or of some
containers.""",
    run,
    (
        Option("read r", "show the verbs of this file instead of running one", metavar="file"),
        Option("perfetto p", "also write a trace-event file, for https://ui.perfetto.dev", metavar="file"),
        Option("json j", "print JSON instead of the picture", FLAG),
        Option("output o", "write picture or JSON to this file", metavar="file"),
        Option("width w", "columns of the picture (default: the terminal's, else 80)", NUMBER, metavar="columns"),
    ),
    fewest=0,
    most=-1,
    mixed=False,
)
