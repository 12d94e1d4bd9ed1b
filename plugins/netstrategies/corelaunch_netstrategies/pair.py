"""A veth pair between the host and a container: made, described, found again, removed; what all strategies here share.

The pair is made with its inner end already in the container's network namespace, under its final name, in one
netlink message; so there is no moment at which a half of it could be met on the host.

How an end that was made just before a kill -9 is known again: ``ctx.intend`` records a random MAC address, and the
host end is made with it, in the very message that makes it. (An ifalias would be nicer to read, but the kernel
takes none at creation; it is set afterwards, for people.)
"""

from __future__ import annotations

import errno
import os
import time

from corelaunch.api import AlreadyExists, ConfigError, KernelError, NetworkStrategy, boot_id

from .namespaces import find_holder, own_identity
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from corelaunch.api import Effect, LaunchContext, NetworkPlacement, ProcessHandle

    from .namespaces import ContainerNamespace
    from .netlink_socket import NetlinkSocket
    from .rtnetlink import Link

#: Seconds that ``stats`` and ``destroy``, which have no deadline of their own, wait for the kernel.
PATIENCE = 10.0

#: Which counter of the host end is which one of the container: what one end sends the other receives.
COUNTERS = ("bytes", "packets", "errors", "dropped")


class PairStrategy(NetworkStrategy):
    """The part of a strategy that knows only the pair: the container's side, counters, and a later moment."""

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        """Bring the inner end up, then addresses, routes and default gateways, in the order of the options."""
        set_up(placement, placement.options["address"], netlink_fd, ctx)

    def stats(self, placement: NetworkPlacement) -> Mapping[str, int]:
        """Counters of the host end, turned round to the container's view.

        Raises:
            KernelError: ENODEV, there is no such link, or one of that name that is not this container's.
        """
        with Netlink(patience()) as netlink:
            link = netlink.link(name=placement.host_name)
        if link is None or link.alias != placement.options["alias"]:
            raise KernelError("cannot read counters", where=placement.host_name, errno=errno.ENODEV)
        received = {f"rx_{counter}": link.counters[f"tx_{counter}"] for counter in COUNTERS}
        sent = {f"tx_{counter}": link.counters[f"rx_{counter}"] for counter in COUNTERS}
        return received | sent

    def attach(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """``create`` for a container that runs; ``initialize`` follows, through a socket from inside, as at launch."""
        self.create(placement, process, ctx)

    def detach(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """Delete the pair: its inner end vanishes from the running container with the outer one."""
        self.destroy(placement, effects)


def set_up(placement: NetworkPlacement, addresses: Sequence[str], netlink_fd: int, ctx: LaunchContext) -> None:
    """Bring a container's interface up, with these addresses and the routes and gateways of its options.

    Raises:
        KernelError: the kernel refused, for example a gateway that no address makes reachable.
    """
    with Netlink(ctx.deadline, netlink_fd) as netlink:
        link = netlink.link(name=placement.container_name)
        if link is None:
            raise KernelError("cannot set up link", where=placement.container_name, errno=errno.ENODEV)
        netlink.set_link(link, up=True)
        for address in addresses:
            netlink.add_address(link, address)
        for route in placement.options["route"]:
            destination, _via, gateway = route.partition(" via ")
            netlink.add_route(link, destination, gateway)
        for gateway in placement.options["gateway"]:
            netlink.add_route(link, "::/0" if ":" in gateway else "0.0.0.0/0", gateway)


def home_of(netlink: NetlinkSocket) -> dict[str, Any]:
    """The network namespace of the caller, as an effect carries it and :func:`home_is_here` reads it."""
    return {"netns": own_identity().inode, "netns_cookie": netlink.namespace_cookie(), "boot_id": boot_id()}


def check_names(netlink: Netlink, placement: NetworkPlacement, container: ContainerNamespace) -> None:
    """Refuse what cannot be made, before anything is announced.

    Raises:
        ConfigError: the container has no network namespace of its own.
        AlreadyExists: the host's name is taken.
    """
    check_own_namespace(container, placement.host_name)
    if netlink.link(name=placement.host_name) is not None:
        raise _taken(placement.host_name, "on the host")


def check_own_namespace(container: ContainerNamespace, where: str) -> None:
    """Refuse a container in the caller's network namespace.

    Raises:
        ConfigError: it is there.
    """
    if container.identity() == own_identity():
        why = "the container shares the host's network namespace"
        hint = 'add {"type": "network"} to linux.namespaces'
        raise ConfigError("cannot create link", where=where, why=why, hint=hint)


def make(
    netlink: Netlink, placement: NetworkPlacement, container: ContainerNamespace, ctx: LaunchContext, **port: Any
) -> Link:
    """Announce, make and confirm a pair; its host end as the kernel describes it, not up yet.

    Args:
        port: for a port of a bridge: ``master``, the bridge's number, and more that goes into the effect.

    Raises:
        AlreadyExists: one of the two names is taken; nothing was made, and what is there stays untouched.
        KernelError: the kernel refused.
    """
    master = port.pop("master", 0)
    mac = _random_mac()
    name = placement.host_name
    effect = ctx.intend("link", name, absent=True, host_name=name, mac=mac, **home_of(netlink), **port)
    attributes: list[tuple[str, Any]] = [("IFLA_ADDRESS", mac)]
    if master:
        attributes.append(("IFLA_MASTER", master))
    if placement.options["mtu"]:
        attributes.append(("IFLA_MTU", placement.options["mtu"]))
    attributes.append(("IFLA_LINKINFO", _pair(placement, container)))
    try:
        netlink.create_link(name, attributes)
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        if netlink.link(name=name) is not None:
            raise _taken(name, "on the host") from error
        raise _taken(placement.container_name, "in the container") from error
    host_end = netlink.link(name=name)
    if host_end is None or host_end.mac != mac:
        # Somebody renamed or removed it within this instant; destroy will look for the MAC address.
        raise KernelError("the new link is not there", where=name, errno=errno.ENODEV)
    ctx.done(effect, ifindex=host_end.index)
    return host_end


def _pair(placement: NetworkPlacement, container: ContainerNamespace) -> dict[str, Any]:
    """IFLA_LINKINFO of the pair, with all that the inner end is made with."""
    peer: list[tuple[str, Any]] = [("IFLA_IFNAME", placement.container_name), ("IFLA_NET_NS_FD", container.fd)]
    if placement.options["mtu"]:
        peer.append(("IFLA_MTU", placement.options["mtu"]))
    if placement.options["mac"]:
        peer.append(("IFLA_ADDRESS", placement.options["mac"]))
    veth = {"attrs": [("VETH_INFO_PEER", {"attrs": peer})]}
    return {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", veth)]}


def delete_ours(netlink: Netlink, effect: Effect) -> None:
    """Delete the pair of an effect; gone is fine, and what is there now and is somebody else's stays."""
    link = _find_ours(netlink, effect)
    if link is not None:
        netlink.delete_link(link)


def _find_ours(netlink: Netlink, effect: Effect) -> Link | None:
    name, mac = effect.args["host_name"], effect.args["mac"]
    if effect.done:
        # The kernel counts interface numbers upwards, but a user may ask for a certain one, so one more thing must
        # agree; and an administrator may have renamed the link, or changed its address, so not both of them.
        link = netlink.link(index=effect.facts["ifindex"])
        return link if link is not None and (link.name == name or link.mac == mac) else None
    link = netlink.link(name=name)
    return link if link is not None and effect.absent and link.kind == "veth" and link.mac == mac else None


def home_is_here(netlink: Netlink, effect: Effect, verb: str = "delete") -> bool:
    """Whether a link was made in the caller's network namespace; False: that namespace, and so the link, is gone.

    Args:
        verb: what is to be done with the link, and the command that does it.

    Raises:
        KernelError: it is in another one that lives.
    """
    if effect.args["boot_id"] != boot_id():
        # The kernel counts anew: the first namespace has the same cookie in every boot, and links their numbers again.
        return False
    if effect.args["netns_cookie"] == netlink.namespace_cookie():
        return True
    holder = find_holder(effect.args["netns"])
    if not holder or effect.args["netns"] == own_identity().inode:
        # The second: our own namespace has the inode number that the dead one had.
        return False
    why = "it is in the network namespace that corelaunch was called from at create"
    hint = f"nsenter --net={holder} corelaunch {verb} …"
    raise KernelError(f"cannot {verb} link", where=effect.name, why=why, hint=hint)


def patience() -> float:
    """The deadline of an operation that was given none."""
    return time.monotonic() + PATIENCE


def _taken(name: str, side: str) -> AlreadyExists:
    hint = "choose another with name= or host-name="
    return AlreadyExists(f"a link of that name exists {side}", where=name, hint=hint)


def _random_mac() -> str:
    """A locally administered unicast address (IEEE 802): 46 random bits."""
    octets = bytearray(os.urandom(6))
    octets[0] = octets[0] & 0xFC | 0x02
    return octets.hex(":")
