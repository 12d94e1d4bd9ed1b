"""The command line's guard: a call of a plugin that does not return ends the command, with one line that says so.

Before that the child is killed, so that nothing runs on which nobody watches; what was begun stays in the journal for
``delete --force``. Only a process that is ours alone may be ended so, and have SIGURG and a timer of its own.
``native/native_watchdog.c`` says how, and why so.
"""

from __future__ import annotations

from .._watchdog import arm, disarm, setup
from .guard import CALL_SECONDS, Guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..log import Log


class Watchdog(Guard):
    """Ends this process when a call takes longer than ``seconds``.

    Args:
        log: where the last line goes.
        exit_code: of the command.
    """

    def __init__(self, log: Log, exit_code: int, seconds: float = CALL_SECONDS) -> None:
        super().__init__(log.write, seconds)
        setup(*log.last_line(), exit_code)

    def __call__(self, owner: str, what: str, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
        """Call ``function``; see :class:`Guard`."""
        arm(owner, what, self.seconds, self.child() if self.child is not None else -1)
        try:
            return function(*arguments, **keywords)
        finally:
            disarm()
            self.tell_deprecated()
