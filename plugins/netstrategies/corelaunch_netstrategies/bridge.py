"""Network strategy ``bridge``: a veth pair whose host end is a port of a bridge that several containers share."""

from __future__ import annotations

from corelaunch.api import NetworkStrategy, hookimpl

from . import options, pair, shared_bridge
from .namespaces import ContainerNamespace
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corelaunch.api import Effect, LaunchContext, NetworkPlacement, NetworkRequest, ProcessHandle

corelaunch_api = 1


class Bridge(pair.PairStrategy):
    """Makes a pair per request, and the bridge for the first of them. Options: see the README."""

    features = frozenset({"addresses", "routes", "mtu", "mac", "name", "accept-ra", "dns", "stats", "attach", "bridge"})

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """Names as veth has them, and the bridge's: ``corelaunch0`` unless another is asked for."""
        return options.place_pair(request, options.BRIDGE)

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """Make the bridge if there is none, and the pair with its host end as a port of it, up.

        Raises:
            AlreadyExists: one of the pair's names is taken, or the bridge's by something that is no bridge, or by a
                bridge without the address that was asked for; what is there stays untouched.
            ConfigError: the container has no network namespace of its own.
            KernelError: the process is gone, or the kernel refused.
            DeadlineExceeded: another runtime works on bridges all the time.
        """
        with (
            ContainerNamespace(process) as container,
            Netlink(ctx.deadline) as netlink,
            shared_bridge.Lock(ctx.deadline),
        ):
            pair.check_names(netlink, placement, container)
            bridge = shared_bridge.ensure(netlink, placement, ctx)
            our_mac = shared_bridge.our_mac(netlink, bridge.name)
            host_end = pair.make(
                netlink, placement, container, ctx, master=bridge.index, bridge=bridge.name, bridge_mac=our_mac
            )
            attributes: list[tuple[str, Any]] = [("IFLA_IFALIAS", placement.options["alias"])]
            if placement.options["isolated"]:
                # In the message that brings it up: the kernel sets what belongs to the port first.
                flags = {"attrs": [("IFLA_BRPORT_ISOLATED", 1)]}
                slave = [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", flags)]
                attributes.append(("IFLA_LINKINFO", {"attrs": slave}))
            netlink.set_link(host_end, up=True, attributes=attributes)

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """Delete the pairs that the effects prove to be ours, and then the bridge, if it is ours and has no port left.

        Raises:
            KernelError: the kernel refused, or the link is in a network namespace other than the caller's.
        """
        if not effects:
            return
        deadline = pair.patience()
        with Netlink(deadline) as netlink, shared_bridge.Lock(deadline):
            here = [effect for effect in effects if pair.home_is_here(netlink, effect)]
            for effect in here:
                if effect.kind == "link":
                    pair.delete_ours(netlink, effect)
            for name, mac in {_bridge_of(effect) for effect in here}:
                shared_bridge.remove_unused(netlink, name, mac)


@hookimpl
def corelaunch_network_strategy() -> NetworkStrategy:
    """See ``corelaunch.hookspecs``."""
    return Bridge()


def _bridge_of(effect: Effect) -> tuple[str, str]:
    """Name of the bridge, and the MAC address that it has if it is ours."""
    if effect.kind == "bridge":
        return effect.name, effect.args["mac"]
    return effect.args["bridge"], effect.args["bridge_mac"]
