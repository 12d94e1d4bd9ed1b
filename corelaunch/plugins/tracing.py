"""Guards that also tell of each call into a plugin, with its time: ``CORELAUNCH_TRACE_PLUGINS=1`` and ``--trace``.

Both ways of calling hooks, the direct one and pluggy's, and the methods of backends go through a guard, so nothing
else needs to know. Imported only when it was asked for.
"""

from __future__ import annotations

import os
import time

from .guard import CALL_SECONDS, Guard
from .watchdog import Watchdog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..log import Log
    from ..verb_trace import VerbTrace


class TracingGuard(Guard):
    """A guard for programs that use the API.

    Args:
        log: takes (level, message).
        seconds: how long one call may take.
        tell: takes one line for each call, without a newline, after the call.
    """

    def __init__(self, log: Callable[[str, str], None], seconds: float, tell: Callable[[str], None]) -> None:
        super().__init__(log, seconds)
        self._tell = tell

    def __call__(self, owner: str, what: str, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
        """Call ``function``; see :class:`Guard`."""
        return super().__call__(owner, what, _timed(self._tell, owner, what, function), *arguments, **keywords)


class TracingWatchdog(Watchdog):
    """The command line's.

    Args:
        log, exit_code, seconds: as of :class:`Watchdog`.
        tells: it tells stderr, and never ``--log``, which podman reads as one JSON object.
        trace: it makes each call a step of this trace.
    """

    def __init__(
        self,
        log: Log,
        exit_code: int,
        seconds: float = CALL_SECONDS,
        *,
        tells: bool = True,
        trace: VerbTrace | None = None,
    ) -> None:
        super().__init__(log, exit_code, seconds)
        self._program = log.program
        self._tells = tells
        self._trace = trace

    def __call__(self, owner: str, what: str, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
        """Call ``function``; see :class:`Watchdog`."""
        timed = _timed(self._to_stderr, owner, what, function) if self._tells else function
        if self._trace is None:
            return super().__call__(owner, what, timed, *arguments, **keywords)
        with self._trace.step(what, _as_owner(owner)):
            return super().__call__(owner, what, timed, *arguments, **keywords)

    def _to_stderr(self, line: str) -> None:
        try:
            os.write(2, f"{self._program}: trace: {line}\n".encode("utf-8", "replace"))
        except OSError:
            pass  # nobody reads it (a closed or full pipe): not a reason for a container to fail


def _as_owner(label: str) -> str:
    """A plugin as journals and steps name it: "cgroup_manager:cgroupfs" of "cgroup manager 'cgroupfs'"."""
    words, quote, name = label.removesuffix("'").partition(" '")
    return f"{words.removesuffix(' plugin').replace(' ', '_').lower()}:{name}" if quote else label


def _timed(tell: Callable[[str], None], owner: str, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*arguments: Any, **keywords: Any) -> Any:
        outcome = ""
        start = time.monotonic_ns()
        try:
            return function(*arguments, **keywords)
        except BaseException as error:
            outcome = f", {type(error).__name__}"
            raise
        finally:
            tell(f"{owner}: {what}: {(time.monotonic_ns() - start) / 1e6:.3f} ms{outcome}")

    return timed
