"""Names of ``corelaunch.api``, and hooks, that are on their way out: who used which, told once.

Imported by the first such use. An author sees a ``DeprecationWarning`` in the tests, with file and line. Whoever runs
containers sees one warning in the runtime's log for each module and name, and in ``corelaunch plugins`` and ``doctor``.
docs/stability.md has the policy.
"""

from __future__ import annotations

import sys
from _warnings import warn, warn_explicit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Of this process, as are the modules that use the names: one that was told of is not told of again.
_told: dict[tuple[str, str], str] = {}
_untold: list[str] = []


def use(name: str, replacement: str, since: str) -> Any:
    """Note that the caller's caller uses a deprecated name of ``corelaunch.api``, and give it what replaces it.

    Args:
        name: the old name.
        replacement: the new one, also of ``corelaunch.api``.
        since: release that deprecated it.
    """
    module = str(sys._getframe(2).f_globals.get("__name__", "?"))
    text = f"{module} uses corelaunch.api.{name}, which is deprecated since {since}: use corelaunch.api.{replacement}"
    _note(module, name, text)
    warn(text, DeprecationWarning, 3)
    return getattr(sys.modules["corelaunch.api"], replacement)


def implement(function: Any, hook: str, replacement: str, since: str) -> None:
    """Note that a plugin implements a deprecated hook.

    Args:
        function: the implementation.
        hook: the old hook.
        replacement: what replaces it, in words that follow "use".
        since: release that deprecated it.
    """
    module = str(getattr(function, "__module__", "?"))
    text = f"{module} implements {hook}, which is deprecated since {since}: use {replacement}"
    _note(module, hook, text)
    code = getattr(function, "__code__", None)
    if code is not None:
        warn_explicit(text, DeprecationWarning, code.co_filename, code.co_firstlineno)


def _note(module: str, name: str, text: str) -> None:
    if (module, name) not in _told:
        _told[module, name] = text
        _untold.append(text)


def take() -> list[str]:
    """What was noted since the last call, for the log."""
    texts = _untold[:]
    del _untold[: len(texts)]
    return texts


def uses_of(package: str) -> list[str]:
    """What was noted of a package's modules since the process began."""
    return [text for (module, _), text in _told.items() if module == package or module.startswith(f"{package}.")]
