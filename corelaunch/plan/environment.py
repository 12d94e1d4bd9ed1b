"""The environment of the container's process."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def environment(entries: Iterable[str]) -> tuple[list[str], str, bool]:
    """What execve(2) gets, PATH, and whether HOME is to be filled in.

    Of a name that comes twice the last counts. An empty HOME is as good as none: both are filled in by the init
    from the container's /etc/passwd. Without PATH nothing is searched, as in every other runtime.

    Args:
        entries: checked ``NAME=value`` texts.
    """
    values: dict[str, str] = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        values.pop(name, None)
        values[name] = value
    home_wanted = not values.get("HOME")
    if home_wanted:
        values.pop("HOME", None)
    return [f"{name}={value}" for name, value in values.items()], values.get("PATH", ""), home_wanted
