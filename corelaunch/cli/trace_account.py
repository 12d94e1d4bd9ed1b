"""What the time of a traced verb was spent on: its steps and what lies between them, each microsecond in one row.

Times of rows are in microseconds after the first that is known: the start of the process, else that of the verb.
"""

from __future__ import annotations

from ..records import Record
from ..trace import CHILD, IMPORT, PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..trace_file import TracedStep, TracedVerb

#: Kinds of rows: steps of core, calls of plugins, waits for corelaunch-init, the container's own process, OCI hooks,
#: imports of modules.
STEP, PLUGIN, WAIT, RUNS, HOOKS, IMPORTS = "step", "plugin", "wait", "process", "hooks", "imports"
#: And what is no step: before the verb's first line, between its steps, after its last.
START, GAP, END = "start", "gap", "end"

#: Names of the rows that are no step.
NAMES = {START: "start of the interpreter", GAP: "not in a step", END: "end of the process"}
#: What the sum calls the others; plugins go by their own names.
SUMS = {
    STEP: "steps of corelaunch",
    WAIT: "waiting for corelaunch-init",
    RUNS: "the container's process",
    HOOKS: "OCI hooks",
    IMPORTS: "imports",
    **NAMES,
}

#: Steps that are waits, whatever their name.
_WAITS = ("reap",)


class Row(Record):
    """One step, or one piece of time that is in none.

    Attributes:
        kind: one of the kinds above.
        name, plugin: as in :class:`corelaunch.trace_file.TracedStep`.
        start, duration: in microseconds.
        own: how much of that is in no step within it.
        depth: how many steps it is within.
        failed: class of the exception that ended it, "" if none did.
        inner: (start, end) of each step right within it.
    """

    kind: str
    name: str
    plugin: str
    start: int
    duration: int
    own: int
    depth: int = 0
    failed: str = ""
    inner: Sequence[tuple[int, int]] = ()


def rows(verb: TracedVerb) -> list[Row]:
    """All rows of a verb, in order of their beginning; the durations of those of depth 0 add up to its whole time."""
    before = verb.before_us or 0
    steps = _nested(verb.steps, before)
    found = [_piece(START, 0, before)] if before else []
    here = before
    for index, (step, start, end, depth) in enumerate(steps):
        inner = tuple(_within(steps, index))
        if not depth:
            if start > here:
                found.append(_piece(GAP, here, start))
            here = end
        own = end - start - sum(stop - begin for begin, stop in inner)
        kind = kind_of(step.name, step.plugin)
        found.append(Row(kind, step.name, step.plugin, start, end - start, own, depth, step.failed, inner))
    last = max(here, before + (verb.duration_us or 0))
    if last > here:
        found.append(_piece(GAP, here, last))
    if verb.after_us:
        found.append(_piece(END, last, last + verb.after_us))
    return found


def total(found: Sequence[Row]) -> int:
    """The whole time."""
    return sum(row.duration for row in found if not row.depth)


def sums(found: Sequence[Row]) -> list[tuple[str, int]]:
    """(what, microseconds) whose sum is the whole time: start, steps, each plugin, waits, ... end."""
    by_kind: dict[str, int] = {}
    plugins: dict[str, int] = {}
    for row in found:
        if row.kind == PLUGIN:
            plugin = plugin_of(row)
            plugins[plugin] = plugins.get(plugin, 0) + row.own
        else:
            by_kind[row.kind] = by_kind.get(row.kind, 0) + row.own
    answer = []
    for kind in (START, IMPORTS, STEP, PLUGIN, WAIT, HOOKS, RUNS, GAP, END):
        if kind == PLUGIN:
            answer += sorted(plugins.items(), key=lambda plugin: -plugin[1])
        elif by_kind.get(kind):
            answer.append((SUMS[kind], by_kind[kind]))
    return answer


def plugin_of(row: Row) -> str:
    """Kind and name of the plugin of a row: without the number of one of a container's networks."""
    return ":".join(row.plugin.split(":")[:2])


def slowest(found: Sequence[Row]) -> Row | None:
    """The step with the longest time of its own; what the container's process takes is its own affair."""
    steps = [row for row in found if row.kind not in (START, GAP, END, RUNS)]
    return max(steps, key=lambda row: row.own, default=None)


def failed_path(found: Sequence[Row]) -> list[Row]:
    """The steps, from the outermost one on, in which the verb failed; empty if none did.

    At each depth the last one that an exception left: one before it was dealt with.
    """
    path: list[Row] = []
    first, end = 0, len(found)
    while True:
        depth = len(path)
        failed = [index for index in range(first, end) if found[index].depth == depth and found[index].failed]
        if not failed:
            return path
        path.append(found[failed[-1]])
        first = failed[-1] + 1
        end = next((index for index in range(first, end) if found[index].depth <= depth), end)


def kind_of(name: str, plugin: str) -> str:
    """The kind of a step."""
    if plugin:
        return PLUGIN
    if name.startswith(CHILD) or name in _WAITS:
        return WAIT
    if name == PROCESS:
        return RUNS
    if name.startswith(f"{IMPORT} "):
        return IMPORTS
    return HOOKS if name.startswith("hooks ") and name != "hooks point" else STEP


def _piece(kind: str, start: int, end: int) -> Row:
    return Row(kind, NAMES[kind], "", start, end - start, end - start)


#: Later than anything.
_NEVER = 2**63


def _nested(steps: Sequence[TracedStep], offset: int) -> list[tuple[TracedStep, int, int, int]]:
    """(step, start, end, depth), each within the one around it and after the one before it.

    They are so in the trace of a verb. Those of a program with several threads may overlap: what does is cut.
    """
    answer: list[tuple[TracedStep, int, int, int]] = []
    around = [[0, _NEVER]]  # of what is open at each depth: end of what was within it so far, and its own end
    for step in steps:
        depth = min(step.depth, len(around) - 1)
        del around[depth + 1 :]
        least, most = around[depth]
        start = min(max(offset + step.start_us, least), most)
        end = min(max(offset + step.start_us + step.duration_us, start), most)
        around[depth][0] = end
        around.append([start, end])
        answer.append((step, start, end, depth))
    return answer


def _within(steps: Sequence[tuple[TracedStep, int, int, int]], index: int) -> Iterator[tuple[int, int]]:
    """Start and end of each step right within the one of this index."""
    outer = steps[index][3]
    for _, start, end, depth in steps[index + 1 :]:
        if depth <= outer:
            return
        if depth == outer + 1:
            yield start, end
