"""Names of ``corelaunch.api`` that are on their way out: who used which, told once. Imported by the first such use.

An author sees a ``DeprecationWarning`` in the tests, with file and line. Whoever runs containers sees one warning in
the runtime's log for each module and name, and in ``corelaunch plugins`` and ``doctor``. See docs/stability.md.
"""

from __future__ import annotations

import sys
from _warnings import warn

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
    user = sys._getframe(2)
    module = str(user.f_globals.get("__name__", "?"))
    text = f"{module} uses corelaunch.api.{name}, which is deprecated since {since}: use corelaunch.api.{replacement}"
    if (module, name) not in _told:
        _told[module, name] = text
        _untold.append(text)
    warn(text, DeprecationWarning, 3)
    return getattr(sys.modules["corelaunch.api"], replacement)


def take() -> list[str]:
    """What was noted since the last call, for the log."""
    texts = _untold[:]
    del _untold[: len(texts)]
    return texts


def uses_of(package: str) -> list[str]:
    """What was noted of a package's modules since the process began."""
    return [text for (module, _), text in _told.items() if module == package or module.startswith(f"{package}.")]
