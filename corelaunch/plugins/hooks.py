"""The names of all hooks, and the one that a plugin meant; imported where an error is near, or pluggy is."""

from __future__ import annotations

from .. import hookspecs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def hook_names() -> list[str]:
    """Every hook of ``corelaunch.hookspecs``."""
    return [name for name in dir(hookspecs) if name.startswith("corelaunch_")]


def nearest(plugin: Any) -> str:
    """A hint for a plugin that has no hook where one is expected: the known hook closest to one that it misspelt."""
    from difflib import get_close_matches  # with what it imports 3 ms, and only for an error

    known = hook_names()
    for attribute in dir(plugin):
        if attribute.startswith("corelaunch_") and attribute not in (*known, "corelaunch_api"):
            close = get_close_matches(attribute, known, 1)
            if close:
                return f"{attribute} is no hook, {close[0]} is"
    return "see corelaunch.hookspecs"
