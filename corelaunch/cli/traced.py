"""What ``--trace FILE`` does to a verb. Imported only by a verb that is traced."""

from __future__ import annotations

import builtins
import sys
import time

from ..errors import KernelError
from ..trace import IMPORT
from ..verb_trace import VerbTrace
from .command import told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from .command import Call, Command

#: Imports that take less, in nanoseconds, are no steps of their own.
_SHORTEST_IMPORT = 100_000
_PACKAGE = f"{__name__.partition('.')[0]}."


def begin(verb: str, record: str) -> VerbTrace:
    """The trace of a verb, which begins now: before the imports that the verb needs.

    Args:
        record: file of ``corelaunch trace`` that the steps are told at once, "" if there is none.
    """
    if record:
        from ..live_trace import LiveTrace

        return LiveTrace(verb, record)
    return VerbTrace(verb)


def run(command: Command, call: Call, trace: VerbTrace) -> int:
    """Run a command and write its trace, also of one that fails; its own error stays the one that is told.

    Returns:
        its exit code.

    Raises:
        KernelError: the trace of a command that succeeded cannot be written.
    """
    path = call.settings["trace"]
    if "<container-id>" in command.arguments or "[container-id]" in command.arguments:
        trace.concern(call.arguments[0] if call.arguments else "")
    trace.insert("command line", trace.origin, len(trace.entries))
    try:
        with TracedImports(trace):
            trace.exit_code = code = command.run(call)
    except BaseException as error:
        trace.exit_code, trace.error = told(error, command.failure)
        try:
            trace.write(path)
        except OSError as second:
            call.log.notice(str(KernelError.of("cannot write the trace", second, where=path)))
        raise
    try:
        trace.write(path)
    except OSError as error:
        raise KernelError.of("cannot write the trace", error, where=path) from None
    return code


class TracedImports:
    """Context manager: imports that take long are steps, each with what it imports in turn."""

    def __init__(self, trace: VerbTrace) -> None:
        self._trace = trace
        self._original = builtins.__import__
        self._inside = False

    def __enter__(self) -> None:
        # Every import statement asks it, whoever finds the module: the pack, a plugin's directory, the interpreter.
        builtins.__import__ = self._import

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        builtins.__import__ = self._original

    def _import(self, name: str, *more: Any, **keywords: Any) -> Any:
        if self._inside:
            return self._original(name, *more, **keywords)
        modules, place, start = len(sys.modules), len(self._trace.entries), time.monotonic_ns()
        self._inside = True
        try:
            return self._original(name, *more, **keywords)
        finally:
            self._inside = False
            if len(sys.modules) != modules and time.monotonic_ns() - start >= _SHORTEST_IMPORT:
                given = dict(zip(("globals", "locals", "fromlist", "level"), more), **keywords)
                whole = _whole_name(name, **given).removeprefix(_PACKAGE)
                self._trace.insert(f"{IMPORT} {whole}", start, place)


def _whole_name(name: str, **given: Any) -> str:
    """What an import statement imports; of ``from . import a, b`` all that it names (``__import__`` in the manual)."""
    level, package = given.get("level", 0), (given.get("globals") or {}).get("__package__") or ""
    parent = package.rsplit(".", level - 1)[0] if level else ""
    return ".".join(part for part in (parent, name or ",".join(given.get("fromlist") or ())) if part)
