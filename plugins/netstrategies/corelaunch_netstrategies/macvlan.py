"""Network strategy ``macvlan``: an interface in the container, with a MAC address of its own, on one of the host's."""

from __future__ import annotations

from corelaunch.api import NetworkStrategy, hookimpl

from . import options
from .child import ChildStrategy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corelaunch.api import NetworkPlacement, NetworkRequest

corelaunch_api = 1


class Macvlan(ChildStrategy):
    """Makes a macvlan per request. Options: see the README of corelaunch-netstrategies."""

    features = frozenset({"addresses", "routes", "mtu", "mac", "name", "accept-ra", "dns", "stats"})
    kind = "macvlan"
    mode_attribute = "IFLA_MACVLAN_MODE"
    #: pyroute2 knows the numbers of <linux/if_link.h>.
    modes = {mode: mode for mode in ("bridge", "private", "vepa", "passthru")}

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """``ethINDEX`` inside, unless another name is asked for; nothing on the host."""
        return options.place_child(request, options.MACVLAN)


@hookimpl
def corelaunch_network_strategy() -> NetworkStrategy:
    """See ``corelaunch.hookspecs``."""
    return Macvlan()
