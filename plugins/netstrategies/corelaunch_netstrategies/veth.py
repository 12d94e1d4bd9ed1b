"""Network strategy ``veth``: a pair of interfaces, one end on the host, the other in the container."""

from __future__ import annotations

from corelaunch.api import NetworkStrategy, hookimpl

from . import options, pair
from .namespaces import ContainerNamespace
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from corelaunch.api import Effect, LaunchContext, NetworkPlacement, NetworkRequest, ProcessHandle

corelaunch_api = 1


class Veth(pair.PairStrategy):
    """Makes a veth pair per request. Options: see the README of corelaunch-netstrategies."""

    features = frozenset({"addresses", "routes", "mtu", "mac", "name", "accept-ra", "dns", "stats", "attach"})

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """Names from the options, or ``ethINDEX`` inside and a name derived from the container's id outside."""
        return options.place_pair(request, options.VETH)

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """Make the pair, exclusively; the host end is up when this returns.

        Raises:
            AlreadyExists: one of the two names is taken; nothing was made, and what is there stays untouched.
            ConfigError: the container has no network namespace of its own.
            KernelError: the process is gone, or the kernel refused.
        """
        with ContainerNamespace(process) as container, Netlink(ctx.deadline) as netlink:
            pair.check_names(netlink, placement, container)
            host_end = pair.make(netlink, placement, container, ctx)
            netlink.set_link(host_end, up=True, attributes=[("IFLA_IFALIAS", placement.options["alias"])])
            for address in placement.options["host-address"]:
                netlink.add_address(host_end, address)

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """Delete the links that the effects prove to be ours.

        Raises:
            KernelError: the kernel refused, or the link is in a network namespace other than the caller's.
        """
        with Netlink(pair.patience()) as netlink:
            for effect in effects:
                if effect.kind == "link" and pair.home_is_here(netlink, effect):
                    pair.delete_ours(netlink, effect)


@hookimpl
def corelaunch_network_strategy() -> NetworkStrategy:
    """See ``corelaunch.hookspecs``."""
    return Veth()
