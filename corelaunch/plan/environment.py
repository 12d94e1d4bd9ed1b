"""The environment of the container's process."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def environment(entries: Iterable[str], listen_fds: int = 0) -> tuple[list[str], str, bool]:
    """What execve(2) gets, PATH, and whether HOME is to be filled in.

    Of a name that comes twice the last counts. An empty HOME is as good as none: both are filled in by the init
    from the container's /etc/passwd. Without PATH nothing is searched, as in every other runtime.

    Args:
        entries: checked ``NAME=value`` texts.
        listen_fds: LISTEN_FDS (sd_listen_fds(3)); 0 leaves the entries as they are. LISTEN_PID is added by the init,
            which alone knows its pid as the process sees it.
    """
    values: dict[str, str] = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        values.pop(name, None)
        values[name] = value
    if listen_fds:
        for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):  # of somebody else's sockets
            values.pop(name, None)
        values["LISTEN_FDS"] = str(listen_fds)
    home_wanted = not values.get("HOME")
    if home_wanted:
        values.pop("HOME", None)
    return [f"{name}={value}" for name, value in values.items()], values.get("PATH", ""), home_wanted
