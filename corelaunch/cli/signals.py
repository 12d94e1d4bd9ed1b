"""Signals by name and number, without the ``signal`` module (it imports enum)."""

from __future__ import annotations

import _signal

from ..errors import UsageError

#: Highest signal number of Linux (_NSIG).
LAST = 64


def parse_signal(text: str) -> int:
    """Number of a signal: ``9``, ``KILL``, ``SIGKILL`` in any case, ``RTMIN+3``, ``SIGRTMAX-1``.

    Raises:
        UsageError: there is no such signal.
    """
    name = text.upper().removeprefix("SIG")
    if name.isascii() and name.isdigit() and len(name) < 4:
        number = int(name) if name == text else -1
    else:
        number = _by_name(name)
    if not 0 <= number <= LAST:
        raise UsageError(f'unknown signal "{text}"')
    return number


def _by_name(name: str) -> int:
    for base, sign in (("RTMIN", "+"), ("RTMAX", "-")):
        if name.startswith(base + sign):
            offset = name[len(base) + 1 :]
            if not (offset.isascii() and offset.isdigit() and int(offset) <= _signal.SIGRTMAX - _signal.SIGRTMIN):
                return -1
            return int(getattr(_signal, "SIG" + base)) + (int(offset) if sign == "+" else -int(offset))
    # SIG_BLOCK and SIG_DFL are names of that module too, but not signals.
    return int(getattr(_signal, "SIG" + name, -1)) if name.isalnum() else -1
