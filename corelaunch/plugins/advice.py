"""What to do about a plugin that cannot be used; imported where an error is near."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .discovery import EntryPoint


def after_import(entry: EntryPoint, error: BaseException) -> str:
    """What to do when the import of a plugin has raised this."""
    module = entry.value.partition(":")[0]
    if isinstance(error, ModuleNotFoundError) and error.name:
        if module == error.name or module.startswith(f"{error.name}."):
            return f"its entry point leads to {entry.value}: correct it, or install {entry.distribution} anew"
        return f"install {entry.distribution} anew with pip, in the environment of corelaunch: {error.name} is missing"
    if isinstance(error, AttributeError) and entry.value.partition(":")[2]:
        return f"its entry point leads to {entry.value}: correct it, or what it leads to, in {entry.distribution}"
    return f"pip uninstall {entry.distribution}, or another version of it; the error is its author's to look into"


def between(entries: Iterable[EntryPoint]) -> str:
    """What to do when several distributions have a plugin of one name."""
    return "pip uninstall " + " or ".join(dict.fromkeys(entry.distribution for entry in entries))
