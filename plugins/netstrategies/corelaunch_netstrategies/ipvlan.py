"""Network strategy ``ipvlan``: an interface in the container that shares MAC address and link of one of the host's."""

from __future__ import annotations

from corelaunch.api import NetworkStrategy, hookimpl

from . import options
from .child import ChildStrategy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corelaunch.api import NetworkPlacement, NetworkRequest

corelaunch_api = 1


class Ipvlan(ChildStrategy):
    """Makes a ipvlan per request. Options: see the README of corelaunch-netstrategies."""

    features = frozenset({"addresses", "routes", "mtu", "name", "accept-ra", "dns", "stats"})
    kind = "ipvlan"
    mode_attribute = "IFLA_IPVLAN_MODE"
    #: The numbers of <linux/if_link.h>.
    modes = {"l2": 0, "l3": 1, "l3s": 2}

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """``ethINDEX`` inside, unless another name is asked for; nothing on the host."""
        return options.place_child(request, options.IPVLAN)


@hookimpl
def corelaunch_network_strategy() -> NetworkStrategy:
    """See ``corelaunch.hookspecs``."""
    return Ipvlan()
