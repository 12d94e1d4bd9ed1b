"""The command line's guard: a call of a plugin that does not return ends the command, with one line that says so.

Before that the child is killed, so that nothing runs on which nobody watches; what was begun stays in the journal for
``delete --force``. Only a process that is ours alone may be ended so, and have SIGURG and a timer of its own.
``native/native_watchdog.c`` says how, and why so.
"""

from __future__ import annotations

import os
import posix

from .._watchdog import arm, disarm, setup
from .guard import CALL_SECONDS, Guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

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
        self._calls = 0
        self._pid = os.getpid()
        self._exit = posix._exit

    def __call__(self, owner: str, what: str, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
        """Call ``function``; see :class:`Guard`."""
        arm(owner, what, self.seconds, self.child() if self.child is not None else -1)
        # Whoever called us would take its status for ours, and a container that is still there for deleted.
        before = posix._exit
        os._exit = posix._exit = self._refuse_exit
        self._calls += 1
        try:
            return function(*arguments, **keywords)
        except SystemExit as error:
            raise RuntimeError(f"it wanted to end the process with {error.code!r}") from error
        finally:
            self._calls -= 1
            os._exit = posix._exit = before
            disarm()
            self.tell_deprecated()

    def _refuse_exit(self, status: int) -> NoReturn:
        """``os._exit`` while a plugin has been called; its own children, and who kept it for later, may end."""
        if self._calls and posix.getpid() == self._pid:
            raise SystemExit(f"os._exit({status})")
        self._exit(status)
