"""The names of all hooks, and the one that a plugin meant; imported where an error is near, or pluggy is."""

from __future__ import annotations

from .. import hookspecs, spelling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def hook_names() -> list[str]:
    """Every hook of ``corelaunch.hookspecs``."""
    return [name for name in dir(hookspecs) if name.startswith("corelaunch_")]


def nearest(plugin: Any) -> str:
    """A hint for a plugin that has no hook where one is expected: the known hook closest to one that it misspelt."""
    known = hook_names()
    for attribute in dir(plugin):
        if attribute.startswith("corelaunch_") and attribute not in (*known, "corelaunch_api"):
            close = spelling.nearest(attribute, known)
            if close:
                return f"{attribute} is no hook, {close} is"
    return "docs/hooks.md has every hook with an example"
