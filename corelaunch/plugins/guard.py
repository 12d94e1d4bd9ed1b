"""Every call into a plugin goes through a guard, which knows how long it may take.

A call cannot be broken off from outside: the plugin is in our process, and may hang in C code or a system call. So
in a program that uses the API an overrun is reported when the call returns. The command line, whose process may
end, has a watchdog: see ``watchdog.py``.
"""

from __future__ import annotations

import sys
import time

from ..errors import CorelaunchError, PluginError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: How long one call of a plugin may take, in seconds, unless the operator's config file says otherwise.
CALL_SECONDS = 30.0

#: Imported by the first use of a deprecated name, and never before.
_DEPRECATION = "corelaunch.deprecation"


def no_log(level: str, message: str) -> None:
    """The log of a guard that tells nobody."""


class Guard:
    """Calls plugins and reports those that took too long.

    Attributes:
        seconds: how long one call may take.
        log: takes (level, message).
        child: gives a pidfd of the child that is to die with a call that does not return, -1 if there is none yet.
    """

    def __init__(self, log: Callable[[str, str], None], seconds: float = CALL_SECONDS) -> None:
        self.seconds = seconds
        self.child: Callable[[], int] | None = None
        self.log = log

    def __call__(self, owner: str, what: str, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
        """Call ``function``.

        Args:
            owner: the plugin, as people know it.
            what: which hook, method or moment it is.
        """
        end = time.monotonic() + self.seconds
        try:
            return function(*arguments, **keywords)
        finally:
            if time.monotonic() > end:
                self.log("warning", f"{owner}: {what}: took longer than {self.seconds:g} s")
            self.tell_deprecated()

    def tell_deprecated(self) -> None:
        """Log which deprecated names of the API were used since the last call."""
        if _DEPRECATION in sys.modules and self.log is not no_log:
            from ..deprecation import take

            for text in take():
                self.log("warning", text)


class Guarded:
    """A backend whose methods are called through a guard; what they raise that is no error of ours becomes one."""

    __slots__ = ("_guard", "_manager", "_owner")

    def __init__(self, guard: Guard, owner: str, manager: Any) -> None:
        self._guard = guard
        self._owner = owner
        self._manager = manager

    def __getattr__(self, name: str) -> Any:
        guard, owner = self._guard, self._owner
        try:
            value = getattr(self._manager, name)
        except (CorelaunchError, AttributeError):
            raise
        except Exception as error:  # of a property
            raise _failed(owner, name, error) from error
        if not callable(value):
            return value

        def call(*arguments: Any, **keywords: Any) -> Any:
            try:
                return guard(owner, name, value, *arguments, **keywords)
            except CorelaunchError as error:
                if error.where == type(self._manager).__name__:
                    error.where = owner  # api.Backend knows its class, and people know the plugin
                raise
            except Exception as error:
                raise _failed(owner, name, error) from error

        return call

    def __repr__(self) -> str:
        return f"<guarded {self._manager!r}>"


def unguarded(backend: Any) -> Any:
    """The backend itself, for who looks at it and does not call it."""
    return backend._manager if type(backend) is Guarded else backend


def _failed(owner: str, what: str, error: Exception) -> PluginError:
    why = f"{type(error).__name__}: {error}"
    return PluginError(f"plugin {owner} failed", where=what, why=why, plugin=owner)
