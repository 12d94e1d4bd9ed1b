"""What a command is, and one call of it."""

from __future__ import annotations

import _signal
import os
import posix

from ..errors import CorelaunchError, KernelError, UsageError
from ..records import Record
from .options import Option, parse

#: The operator's config file, and the word for none.
CONFIG = "/etc/corelaunch/config.toml"
NO_CONFIG = "/dev/null"

INTERRUPTED = 128 + int(_signal.SIGINT)

#: Environment variable: each call of a plugin is told on stderr, with its time. It chooses nothing that is run.
TRACE_PLUGINS = b"CORELAUNCH_TRACE_PLUGINS"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ..log import Log
    from ..plugins.guard import Guard
    from ..runtime import Runtime
    from ..verb_trace import VerbTrace


class Command(Record):
    """One command: what the parser, the help text and the dispatcher need to know of it."""

    name: str
    #: How the arguments are written in the help text ("<container-id>").
    arguments: str
    description: str
    run: Callable[[Call], int]
    options: Sequence[Option] = ()
    #: Fewest and most arguments; -1: no upper limit.
    fewest: int = 1
    most: int = 1
    #: Options may follow arguments.
    mixed: bool = True
    #: Exit code when the command fails.
    failure: int = 1
    #: It chooses plugins for a new container, so the operator's config file has a say.
    chooses: bool = False
    #: It reads its own options (a lifecycle plugin's).
    raw: bool = False


class Call:
    """One call of a command.

    Attributes:
        program: basename under which we were called, for texts.
        settings: the global options.
        options: the command's options.
        given: names of the command's options that were on the command line.
        arguments: the command's arguments.
        log: where warnings and debug lines go.
        make_runtime: what makes the runtime; None is :class:`corelaunch.runtime.Runtime`.
        trace: where the steps of the command go, None if it is not traced.
    """

    def __init__(
        self,
        command: Command,
        words: Sequence[str],
        *,
        program: str,
        settings: Mapping[str, Any],
        log: Log,
        make_runtime: Callable[..., Runtime] | None = None,
        trace: VerbTrace | None = None,
    ) -> None:
        self.program = program
        self.settings = settings
        self.log = log
        words = ["--", *words] if command.raw else words
        self.options, self.arguments, self.given = parse(command.options, words, mixed=command.mixed)
        _check_arity(command, len(self.arguments))
        self._make_runtime = make_runtime
        self._command = command
        self._trace = trace

    def runtime(self) -> Runtime:
        """The runtime that the global options ask for; imported here because ``spec`` and ``--help`` need none."""
        make = self._make_runtime or _runtime_class()
        settings = self.settings
        choice = {
            "cgroup_manager": settings["cgroup-manager"],
            "rdt_manager": settings["rdt-manager"],
            "rootless": {"true": True, "false": False}.get(settings["rootless"]),
            "plugins": settings["plugin"],
        }
        path = settings["config"]
        if self._command.chooses and path != NO_CONFIG and (path or os.path.lexists(CONFIG)):
            from .config_file import with_config

            choice = with_config(path or CONFIG, choice)
        if self._trace is not None:
            choice["trace"] = self._trace
        return make(settings["root"], log=self.log.write, watchdog=self._watchdog, **choice)

    def wants_json(self) -> bool:
        """Whether ``--json``, or ``--format json`` as with runc, is given to a command that has both.

        Raises:
            UsageError: the format is neither table nor json, or both are asked for.
        """
        wanted = self.options["format"]
        if wanted not in ("table", "json"):
            raise UsageError("invalid format option", where=wanted, hint="use table or json")
        if self.options["json"] and wanted == "table" and "format" in self.given:
            raise UsageError("--json contradicts --format", where=wanted, hint="leave one of them out")
        return wanted == "json" or bool(self.options["json"])

    def _watchdog(self, seconds: float) -> Guard:
        tells = posix.environ.get(TRACE_PLUGINS, b"0") not in (b"", b"0")
        if tells or self._trace is not None:
            from ..plugins.tracing import TracingWatchdog

            return TracingWatchdog(self.log, self._command.failure, seconds, tells=tells, trace=self._trace)
        from ..plugins.watchdog import Watchdog

        return Watchdog(self.log, self._command.failure, seconds)


def report(log: Log, error: BaseException, failure: int) -> int:
    """Say in one line what has ended a command; the exit code.

    Args:
        log: where it is said.
        error: whatever was raised.
        failure: exit code of the command when it fails.
    """
    code, line = told(error, failure)
    if log.debug and not isinstance(error, (CorelaunchError, KeyboardInterrupt)):
        from traceback import format_exception

        for called in "".join(format_exception(error)).splitlines():
            log.write("debug", called)
    log.failure(line)
    return code


def told(error: BaseException, failure: int) -> tuple[int, str]:
    """Exit code and error line of a command that an exception has ended.

    Args:
        error: whatever was raised.
        failure: exit code of the command when it fails.
    """
    if isinstance(error, CorelaunchError):
        return failure, str(error)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    if isinstance(error, OSError):
        # Nobody expected it where it came from, but what the kernel says is clear: no descriptors left, a full disk.
        return failure, str(KernelError.of("the system refuses", error, where=str(error.filename or "")))
    return failure, f"internal error: {type(error).__name__}: {error} (--debug logs where)"


def _runtime_class() -> Callable[..., Runtime]:
    from ..runtime import Runtime

    return Runtime


def _check_arity(command: Command, count: int) -> None:
    """Raise UsageError, in runc's words, unless ``count`` arguments are right for the command."""
    if command.fewest == command.most:
        if count == command.fewest:
            return
        wanted = f"exactly {command.fewest}"
    elif count < command.fewest:
        wanted = f"a minimum of {command.fewest}"
    elif command.most >= 0 and count > command.most:
        wanted = f"a maximum of {command.most}"
    else:
        return
    raise UsageError(f'"{command.name}" requires {wanted} argument(s)', why=f"{count} given")
