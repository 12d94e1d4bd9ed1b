"""``update``: new resource limits for a container, from options or from an OCI resources object."""

from __future__ import annotations

from ..errors import UsageError
from .command import Call, Command
from .options import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Option -> where its value goes in the resources object.
_NUMBERS = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-share": ("cpu", "shares"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpu-idle": ("cpu", "idle"),
    "pids-limit": ("pids", "limit"),
}
_TEXTS = {"cpuset-cpus": ("cpu", "cpus"), "cpuset-mems": ("cpu", "mems")}
_SIZES = {
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
}
#: Accepted for old callers; the kernel has no such limits any more (Linux 5.16).
_IGNORED = {"kernel-memory": ("memory", "kernel"), "kernel-memory-tcp": ("memory", "kernelTCP")}

#: Of numbers that cannot be negative, as runc reads them.
_UNSIGNED = ("blkio-weight", "cpu-period", "cpu-burst", "cpu-share", "cpu-rt-period")

_SUFFIXES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def run(call: Call) -> int:
    """Update it."""
    options = call.options
    schemata = {"l3_cache_schema": options["l3-cache-schema"], "mem_bw_schema": options["mem-bw-schema"]}
    if options["resources"]:
        resources = read_resources(options["resources"])
        schemata = dict.fromkeys(schemata, "")
    else:
        resources = described_by_options(options)
        if any(options[name] for name in _IGNORED):
            call.log.write("warning", "kernel memory limits are ignored: the kernel has none since Linux 5.16")
    call.runtime().load(call.arguments[0]).update(resources, **schemata)
    return 0


def read_resources(path: str) -> dict[str, Any]:
    """The resources object in a file, or on stdin if it is called ``-``.

    Raises:
        ConfigError: it is not a JSON object.
        KernelError: it cannot be read.
    """
    from ..spec.resources import load_resources

    return load_resources(path)


def described_by_options(options: dict[str, Any]) -> dict[str, Any]:
    """The resources object that the options ask for.

    Raises:
        UsageError: a value is malformed.
    """
    resources: dict[str, dict[str, Any]] = {}
    for table, read in ((_NUMBERS, number), (_TEXTS, _text), (_SIZES, size)):
        for name, (section, member) in table.items():
            if options[name]:
                resources.setdefault(section, {})[member] = read(name, options[name])
    for name in _IGNORED:
        if options[name]:
            size(name, options[name])
    return resources


def number(option: str, text: str) -> int:
    """An integer as Go writes it."""
    digits = text[1:] if text[:1] in ("-", "+") and option not in _UNSIGNED else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise UsageError(f"invalid value for {option}", where=text, why="it takes a number")
    return int(text)


def size(option: str, text: str) -> int:
    """A size in bytes: ``1073741824``, ``1g``, ``1.5GiB``; -1 for no limit."""
    if text == "-1":
        return -1
    lower = text.lower()
    digits = lower.rstrip("bi").rstrip("kmgtp").removesuffix(" ")
    suffix = lower[len(digits) :].lstrip(" ")
    whole, point, fraction = digits.partition(".")
    valid = whole.isascii() and whole.isdigit() and (not point or (fraction.isascii() and fraction.isdigit()))
    unit = suffix.removesuffix("b").removesuffix("i")
    if not valid or unit not in _SUFFIXES or suffix in ("i", "ib") or len(whole) > 19:
        raise UsageError(f"invalid value for {option}", where=text, why="invalid size", hint="as in 512m or 1.5g")
    scale = _SUFFIXES[unit]
    return int(whole) * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)


def _text(option: str, text: str) -> str:
    return text


COMMAND = Command(
    "update",
    "<container-id>",
    """Changes the limits of a container: those that are given, all of them or none. With --resources they are read
from a file with an OCI resources object ("-": stdin), and the other options are ignored. Device rules are never
changed. Sizes take a suffix (k, m, g) and -1 for no limit.""",
    run,
    (
        Option("resources r", 'file with a resources object, "-" for stdin', metavar="file"),
        Option("blkio-weight", "relative weight of block I/O, 10 to 1000", metavar="n"),
        Option("cpu-period", "period of the CPU limit, in microseconds", metavar="us"),
        Option("cpu-quota", "CPU time in each period, in microseconds; -1: no limit", metavar="us"),
        Option("cpu-burst", "CPU time that may be saved up beyond the quota, in microseconds", metavar="us"),
        Option("cpu-share", "relative weight of CPU time", metavar="n"),
        Option("cpu-rt-period", "period of the real-time limit, in microseconds", metavar="us"),
        Option("cpu-rt-runtime", "real-time CPU time in each period, in microseconds", metavar="us"),
        Option("cpuset-cpus", "CPUs to use, as in 0-2,7", metavar="list"),
        Option("cpuset-mems", "memory nodes to use, as in 0,1", metavar="list"),
        Option("cpu-idle", "1: only CPU time that nobody else wants", metavar="n"),
        Option("memory", "limit of memory", metavar="size"),
        Option("memory-reservation", "memory to keep under pressure", metavar="size"),
        Option("memory-swap", "limit of memory and swap together", metavar="size"),
        Option("pids-limit", "most processes and threads; -1: no limit", metavar="n"),
        Option("l3-cache-schema", "schema of the Intel RDT L3 cache", metavar="schema"),
        Option("mem-bw-schema", "schema of the Intel RDT memory bandwidth", metavar="schema"),
        Option("kernel-memory", "", hidden=True),
        Option("kernel-memory-tcp", "", hidden=True),
    ),
)
