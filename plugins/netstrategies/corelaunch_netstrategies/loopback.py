"""Network strategy ``loopback``: no interface but the one that every network namespace has; for its DNS files."""

from __future__ import annotations

import errno

from corelaunch.api import KernelError, NetworkStrategy, hookimpl

from . import options, pair
from .namespaces import ContainerNamespace
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from corelaunch.api import Effect, LaunchContext, NetworkPlacement, NetworkRequest, ProcessHandle

corelaunch_api = 1


class Loopback(NetworkStrategy):
    """Makes nothing. Its counters cannot be read from the host, so it claims no stats."""

    features = frozenset({"dns"})

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """``lo``, and what belongs into the DNS files."""
        return options.place_loopback(request)

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """See that the container is there and has a network namespace of its own.

        Raises:
            ConfigError: it shares the host's, whose loopback is nobody's to set up.
            KernelError: the process is gone.
        """
        with ContainerNamespace(process) as container:
            pair.check_own_namespace(container, placement.container_name)

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        """Bring it up. The init does so for every new namespace; this one may be an older one that was joined."""
        with Netlink(ctx.deadline, netlink_fd) as netlink:
            link = netlink.link(name=placement.container_name)
            if link is None:
                raise KernelError("cannot set up link", where=placement.container_name, errno=errno.ENODEV)
            netlink.set_link(link, up=True)

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """Nothing was made."""


@hookimpl
def corelaunch_network_strategy() -> NetworkStrategy:
    """See ``corelaunch.hookspecs``."""
    return Loopback()
