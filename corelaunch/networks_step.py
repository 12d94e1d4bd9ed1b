"""The step "networks" of a launch: every strategy makes its interface on the host, then sets it up inside.

The container's netlink socket is lent to a strategy for one call, and looked at when it comes back. Lent is a copy, so
that a strategy which closes it takes it away from nobody else. Imported only by a launch that has networks.
"""

from __future__ import annotations

import os

from .errors import PluginError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .api import ProcessHandle
    from .backends import Placed
    from .lifecycle import Launch


def make(launch: Launch, init: ProcessHandle, netlink_fd: int) -> None:
    """Make the interfaces of a container, in the order in which they were asked for.

    Raises:
        CorelaunchError: the first error of a strategy.
    """
    for network in launch.backends.networks:
        launch.call(network, "create", init, launch.context(network))
        _initialize(launch, network, netlink_fd)


def _initialize(launch: Launch, network: Placed, netlink_fd: int) -> None:
    lent = os.dup(netlink_fd)
    ours = _identity(lent)
    try:
        launch.call(network, "initialize", lent, launch.context(network))
    finally:
        found = _identity(lent)
        if found == ours:  # else it is somebody else's by now: another thread may have got the number
            os.close(lent)
    if found != ours:
        raise PluginError(
            f"plugin {network.owner} is broken",
            where="initialize",
            why=f"it {'replaced' if found else 'closed'} the socket that it was lent (netlink_fd)",
            hint="give os.dup(netlink_fd) to a library that closes what it is given",
            plugin=network.owner,
        )


def _identity(fd: int) -> tuple[int, int] | None:
    """Which socket a descriptor is: the kernel numbers them in its sockfs (stat(2)); None if it is closed."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino
