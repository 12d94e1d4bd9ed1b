"""GC of the CNI specification 1.1: plugins are told which attachments of a network are valid, and remove all others.

A container that is being created while they do that could lose what it has just been given. So ADD and DEL of
networks in use with 1.1 hold a lock that GC takes for itself alone before it reads which attachments there are.
"""

from __future__ import annotations

import time

from corelaunch.api import CorelaunchError, PluginError, Unsupported

from . import cni_attachment, cni_list, cni_options
from .cni_plugin import Plugin
from .namespace_lock import NamespaceLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from corelaunch.api import Effect, NetworkPlacement, NetworkRequest

#: Seconds that all GCs of a network may take.
_GC_SECONDS = 20.0


def collect(
    request: NetworkRequest, living: Callable[[], Sequence[tuple[NetworkPlacement, Sequence[Effect]]]]
) -> None:
    """Ask every plugin; all are asked, whatever the others answer.

    Raises:
        Unsupported, ConfigError, PluginError, DeadlineExceeded, KernelError: see :meth:`Cni.collect`.
    """
    placement, deadline = cni_options.place(request), time.monotonic() + _GC_SECONDS
    network = placement.options["network"]
    if network["disableGC"]:
        raise Unsupported("CNI network is not collected", where=network["file"], why="it says disableGC")
    plugins = [Plugin(plugin["type"], placement.options["path"]) for plugin in network["plugins"]]
    version = cni_attachment.negotiate(network, plugins, deadline)
    if not cni_list.is_at_least(version, cni_list.FIRST_GC):
        mute = [plugin.kind for plugin in plugins if cni_list.FIRST_GC not in plugin.versions(deadline)]
        who = ", ".join(mute) or "the file (cniVersion, cniVersions)"
        why = f"GC came with {cni_list.FIRST_GC}, which is not spoken by {who}"
        raise Unsupported("CNI network cannot be collected", where=network["file"], why=why)
    errors: list[CorelaunchError] = []
    with Lock(deadline):
        valid = _valid(network["name"], living())
        # The specification 1.1.0 says the second in one place and means the first; libcni sends both (issue 1101).
        more: dict[str, Any] = {"cni.dev/valid-attachments": valid, "cni.dev/attachments": valid}
        for index, plugin in enumerate(plugins):
            try:
                plugin.call("GC", None, cni_list.configuration(network, index, version, **more), deadline)
            except CorelaunchError as error:
                errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise PluginError("CNI plugins failed", why="; ".join(map(str, errors)))


class Lock(NamespaceLock):
    """While ADD and DEL of networks (shared) or GC work in this network namespace."""

    #: Mode 0600: who may only read a file could hold its lock, too.
    file = "/proc/sys/net/ipv4/tcp_fastopen_key"
    cannot = "cannot lock CNI networks"


def _valid(network: str, living: Sequence[tuple[NetworkPlacement, Sequence[Effect]]]) -> list[dict[str, str]]:
    """Every attachment that a journal has, also one whose ADD was cut short: its DEL is still to come."""
    found = {
        (effect.args["identity"], placement.container_name): None
        for placement, effects in living
        for effect in effects
        if effect.kind == cni_attachment.KIND and placement.options["network"]["name"] == network
    }
    return [{"containerID": identity, "ifname": interface} for identity, interface in found]
