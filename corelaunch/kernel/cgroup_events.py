"""Whether a cgroup is frozen or holds processes, read from where its placement says that it is (cgroups(7)).

Core reads this itself, so that ``state`` and ``list`` need not load the plugin that made the cgroup: the paths of a
placement are the kernel's, whoever made the directories. Freezing, thawing and killing are the plugin's.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def frozen(paths: Mapping[str, str]) -> bool:
    """Whether the cgroup at these directories ("freezer": cgroup v1, "": v2) is frozen; one that is gone is not."""
    if "freezer" in paths:
        return _read(f"{paths['freezer']}/freezer.state").strip() == "FROZEN"
    return "" in paths and "frozen 1" in _read(f"{paths['']}/cgroup.events").split("\n")


def freezing(paths: Mapping[str, str]) -> bool:
    """Whether it is frozen or on the way there: somebody has asked the freezer, and not taken it back."""
    if "freezer" in paths:
        return _read(f"{paths['freezer']}/freezer.state").strip() in ("FROZEN", "FREEZING")
    return "" in paths and _read(f"{paths['']}/cgroup.freeze").strip() == "1"


def populated(paths: Mapping[str, str]) -> bool:
    """Whether the cgroup, or one inside it, holds a process; True where the kernel does not say (pure v1)."""
    return "" not in paths or "populated 1" in _read(f"{paths['']}/cgroup.events").split("\n")


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    try:
        return os.read(fd, 4096).decode()
    except OSError:
        return ""  # ENODEV: removed while it was open
    finally:
        os.close(fd)
