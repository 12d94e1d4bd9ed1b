"""Network strategy ``pasta``: an interface that the program pasta of passt serves, through sockets of the host."""

from __future__ import annotations

from corelaunch.api import NetworkStrategy, hookimpl

from . import user_mode
from .options import wrong
from .user_mode import NETWORK_FD, READY_FD, USER_FD, UserModeStrategy, has_default_route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corelaunch.api import NetworkPlacement, NetworkRequest

corelaunch_api = 1

#: The address of the gateway on the link; any would do (IEEE 802: locally administered, unicast).
_GATEWAY_MAC = "02:00:00:00:00:01"


class Pasta(UserModeStrategy):
    """Starts pasta per request. Options: see the README of corelaunch-netstrategies."""

    program = "pasta"
    package = "passt"

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """As every program's.

        Raises:
            ConfigError: IPv6 is asked for, and the host has no way out by it, without which pasta switches it off.
        """
        if request.options.get("ipv6") == "true" and not has_default_route(ipv6=True):
            why = "the host has no IPv6 default route, and without one pasta passes no IPv6"
            raise wrong(request, "ipv6", why, "leave it out")
        return super().place(request)

    def arguments(self, placement: NetworkPlacement, *, user_namespace: bool, socket: str) -> list[str]:
        """As of passt 2023-03 (Debian 12); what it would take from the host is given to it, or switched off."""
        asked, subnet = placement.options, placement.options["subnet"]
        addresses = [address.partition("/")[0] for address in placement.addresses]
        words = ["--foreground", "--quiet", "--stderr", "--no-dhcp"]
        words += ["--no-dhcpv6", "--no-ra", "--ns-ifname", placement.container_name]
        words += ["--mac-addr", _GATEWAY_MAC, "--netmask", subnet.partition("/")[2]]
        if not has_default_route():
            # It wants to know an interface that leads to the world. Where there is none it does for the host itself.
            words += ["--interface", "lo"]
        for address in addresses:
            words += ["--address", address]
        for gateway in asked["gateway"]:
            words += ["--gateway", gateway]
        words += ["--dns-forward", user_mode.host_of(subnet, user_mode.NAME_SERVER)]
        if not asked["ipv6"]:
            words.append("--ipv4-only")
        if not asked["host-loopback"]:
            words.append("--no-map-gw")
        for protocol, option in (("tcp", "--tcp-ports"), ("udp", "--udp-ports")):
            numbers = [port.partition("/")[0] for port in asked["publish"] if port.endswith(protocol)]
            words += [option, ",".join(numbers) or "none"]
        words += ["--tcp-ns", "none", "--udp-ns", "none", "--pid", f"/proc/self/fd/{READY_FD}"]
        words += ["--userns", f"/proc/self/fd/{USER_FD}"] if user_namespace else ["--runas", "0", "--netns-only"]
        return [*words, "--netns", f"/proc/self/fd/{NETWORK_FD}"]


@hookimpl
def corelaunch_network_strategy() -> NetworkStrategy:
    """See ``corelaunch.hookspecs``."""
    return Pasta()
