"""GC of the CNI specification 1.1: plugins are told which attachments of a network are valid, and remove all others.

A container that is being created while they do that could lose what it has just been given. So ADD and DEL of
networks in use with 1.1 hold a lock that GC takes for itself alone before it reads which attachments there are.
"""

from __future__ import annotations

import os
import time

from corelaunch.api import CorelaunchError, DeadlineExceeded, KernelError, PluginError, Unsupported

from . import cni_attachment, cni_list, cni_options
from .cni_plugin import Plugin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Self

    from corelaunch.api import Effect, NetworkPlacement, NetworkRequest

#: The version that brought GC and STATUS.
FIRST = "1.1.0"
#: Seconds that all GCs of a network may take.
_GC_SECONDS = 20.0
#: Of this network namespace, and mode 0600: who may only read a file could hold its lock, too.
_LOCK_FILE = "/proc/sys/net/ipv4/tcp_fastopen_key"
_LOCK_POLL_SECONDS = 0.01
_CANNOT_LOCK = "cannot lock CNI networks"


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
    if version != FIRST:
        mute = [plugin.kind for plugin in plugins if FIRST not in plugin.versions(deadline)]
        why = f"GC came with {FIRST}, which is not spoken by {', '.join(mute) or 'the file (cniVersion, cniVersions)'}"
        raise Unsupported("CNI network cannot be collected", where=network["file"], why=why)
    errors: list[CorelaunchError] = []
    with Lock(deadline, alone=True):
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


class Lock:
    """While ADD, DEL or GC of networks work in this network namespace; a context manager.

    flock(2) on a file as for bridges (``shared_bridge.Lock``), and another one: an ordinary user cannot open it, and it
    goes with its holder. Runtimes in different pid namespaces have different /proc and so different locks.

    Args:
        alone: GC; ADD and DEL may be several.

    Raises (on entering):
        DeadlineExceeded: others held it until ``deadline`` (``time.monotonic()``).
        KernelError: /proc/sys is read-only here.
    """

    def __init__(self, deadline: float, *, alone: bool = False) -> None:
        self._deadline, self._alone = deadline, alone
        self._fd = -1

    def __enter__(self) -> Self:
        from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock

        try:
            self._fd = os.open(_LOCK_FILE, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError.of(_CANNOT_LOCK, error, where=_LOCK_FILE) from error
        try:
            while True:
                try:
                    flock(self._fd, (LOCK_EX if self._alone else LOCK_SH) | LOCK_NB)
                    return self
                except BlockingIOError:
                    if time.monotonic() > self._deadline:
                        why, hint = "another runtime holds it", f"fuser {_LOCK_FILE} names its process"
                        raise DeadlineExceeded(_CANNOT_LOCK, where=_LOCK_FILE, why=why, hint=hint) from None
                    time.sleep(_LOCK_POLL_SECONDS)
        except BaseException:  # an interrupt, too: who does not enter does not leave
            self.__exit__()
            raise

    def __exit__(self, *_error: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _valid(network: str, living: Sequence[tuple[NetworkPlacement, Sequence[Effect]]]) -> list[dict[str, str]]:
    """Every attachment that a journal has, also one whose ADD was cut short: its DEL is still to come."""
    found = {
        (effect.args["identity"], placement.container_name): None
        for placement, effects in living
        for effect in effects
        if effect.kind == cni_attachment.KIND and placement.options["network"]["name"] == network
    }
    return [{"containerID": identity, "ifname": interface} for identity, interface in found]
