"""What ``--trace FILE`` does to a verb. Imported only by a verb that is traced."""

from __future__ import annotations

from ..errors import KernelError
from ..verb_trace import VerbTrace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .command import Call, Command


def begin(verb: str) -> VerbTrace:
    """The trace of a verb, which begins now: before the imports that the verb needs."""
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
        trace.container_id = call.arguments[0] if call.arguments else ""
    try:
        trace.exit_code = code = command.run(call)
    except BaseException as error:
        trace.exit_code, trace.error = command.failure, str(error) or type(error).__name__
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
