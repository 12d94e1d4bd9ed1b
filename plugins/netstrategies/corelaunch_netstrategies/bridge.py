"""Network strategy ``bridge``: a veth pair whose host end is a port of a bridge that several containers share."""

from __future__ import annotations

import errno

from corelaunch.api import AlreadyExists, KernelError, NetworkStrategy, hookimpl

from . import options as option_tables
from . import pair, shared_bridge
from .namespaces import ContainerNamespace
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corelaunch.api import Effect, LaunchContext, NetworkPlacement, NetworkRequest, ProcessHandle

    from .rtnetlink import Link

corelaunch_api = 1

#: What every effect says of the bridge.
_OF_BRIDGE = ("bridge", "bridge_mac", "nat")


class Bridge(pair.PairStrategy):
    """Makes a pair per request, and the bridge for the first of them. Options: see the README."""

    features = frozenset(
        {"addresses", "routes", "mtu", "mac", "name", "accept-ra", "dns", "stats", "attach", "bridge", "nat"}
    )

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """Names as veth has them, and the bridge's: ``corelaunch0`` unless another is asked for."""
        return option_tables.place_pair(request, option_tables.BRIDGE)

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """Make the bridge if there is none, and the pair with its host end as a port of it, up.

        Raises:
            AlreadyExists: one of the pair's names is taken, or the bridge's by something that is no bridge, or by a
                bridge without the address or the NAT that was asked for; or an address, or a port to be published, is
                taken. What is there stays untouched.
            ConfigError: the container has no network namespace of its own.
            KernelError: the process is gone, or the kernel refused.
            DeadlineExceeded: another runtime works on bridges all the time.
        """
        options = placement.options
        with (
            ContainerNamespace(process) as container,
            Netlink(ctx.deadline) as netlink,
            shared_bridge.Lock(ctx.deadline),
        ):
            pair.check_names(netlink, placement, container)
            bridge = shared_bridge.ensure(netlink, placement, ctx)
            port = pair.make(netlink, placement, container, ctx, master=bridge.link.index, **bridge.owner())
            addresses = self._claim(netlink, port, placement, bridge)
            attributes: list[tuple[str, Any]] = [("IFLA_IFALIAS", options["alias"])]
            of_port = [("IFLA_BRPORT_ISOLATED", 1)] if options["isolated"] else []
            if options["publish"]:
                # A container that asks its own published port: with net.bridge.bridge-nf-call-iptables the bridge
                # itself redirects, and sends nothing back out of the port that it came from unless told to.
                of_port.append(("IFLA_BRPORT_MODE", 1))
            if of_port:
                # In the message that brings it up: the kernel sets what belongs to the port first.
                slave = [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", {"attrs": of_port})]
                attributes.append(("IFLA_LINKINFO", {"attrs": slave}))
            netlink.set_link(port, up=True, attributes=attributes)
        if options["publish"]:
            from . import published_ports

            published_ports.publish(options["publish"], addresses, ctx, bridge.owner())

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        """As for every pair, with the addresses that ``create`` found free; the port on the host knows them."""
        addresses = list(placement.options["address"])
        subnets = placement.options["allocate"]
        if subnets:
            with Netlink(ctx.deadline) as netlink:
                port = netlink.link(name=placement.host_name)
            if port is None:
                what = "cannot look up the container's addresses"
                raise KernelError(what, where=placement.host_name, errno=errno.ENODEV)
            from .claimed_addresses import claimed

            addresses += [a for subnet in subnets for a in claimed(port, placement.shared_name, subnet)]
        pair.set_up(placement, addresses, netlink_fd, ctx)

    def _claim(
        self, netlink: Netlink, port: Link, placement: NetworkPlacement, bridge: shared_bridge.Joined
    ) -> list[str]:
        """Take the addresses of the container, so that no other one on the bridge has them."""
        options, name = placement.options, bridge.link.name
        if not options["address"] and not options["allocate"]:
            return []
        from .claimed_addresses import allocate, claim

        taken = options["bridge-address"] or netlink.addresses(bridge.link)
        hosts = [address.partition("/")[0] for address in taken]
        addresses = list(options["address"])
        for address in addresses:
            if address.partition("/")[0] in hosts:
                hint = "give the container another one"
                raise AlreadyExists("cannot give address", where=address, why=f"bridge {name} itself has it", hint=hint)
            claim(netlink, port, name, address)
        for subnet in options["allocate"]:
            addresses.append(allocate(netlink, port, name, subnet, taken, options["alias"]))
        return addresses

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
            publications = [effect for effect in here if effect.kind == "publication"]
            if publications:
                from .published_ports import withdraw

                withdraw(publications, deadline)
            for effect in here:
                if effect.kind == "link":
                    pair.delete_ours(netlink, effect)
            for name, mac, nat in {tuple(effect.args[arg] for arg in _OF_BRIDGE) for effect in here}:
                shared_bridge.remove_unused(netlink, name, mac, nat=nat, deadline=deadline)


@hookimpl
def corelaunch_network_strategy() -> NetworkStrategy:
    """See ``corelaunch.hookspecs``."""
    return Bridge()
