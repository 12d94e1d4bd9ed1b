"""What the operator's config file adds to the options of a command line. Imported only where there is such a file."""

from __future__ import annotations

from ..settings import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def with_config(path: str, choice: Mapping[str, Any]) -> dict[str, Any]:
    """The choice of plugins of the command line with that of a config file.

    An option wins over the file; lifecycle plugins of the file come first and cannot be left out.

    Raises:
        ConfigError, KernelError: the file is refused; see :func:`corelaunch.settings.read`.
    """
    settings = read(path)
    return {
        **choice,
        "cgroup_manager": choice["cgroup_manager"] or settings.cgroup_manager,
        "rdt_manager": choice["rdt_manager"] or settings.rdt_manager,
        "plugins": tuple(dict.fromkeys((*settings.plugins, *choice["plugins"]))),
        "annotation_networks": settings.annotation_networks,
        "call_seconds": settings.call_seconds,
    }
