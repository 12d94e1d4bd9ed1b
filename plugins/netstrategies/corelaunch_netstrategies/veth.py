"""Network strategy ``veth``: a pair of interfaces, one end on the host, the other in the container.

The pair is made with its inner end already in the container's network namespace, under its final name, in one
netlink message; so there is no moment at which a half of it could be met on the host.

How an end that was made just before a kill -9 is known again: ``ctx.intend`` records a random MAC address, and the
host end is made with it, in the very message that makes it. (An ifalias would be nicer to read, but the kernel
takes none at creation; it is set afterwards, for people.)
"""

from __future__ import annotations

import errno
import os

from corelaunch.api import (
    AlreadyExists,
    ConfigError,
    KernelError,
    NetworkPlacement,
    NetworkStrategy,
    hookimpl,
)

from . import options as veth_options
from .namespaces import ContainerNamespace, find_holder, own_identity
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from corelaunch.api import Effect, LaunchContext, NetworkRequest, ProcessHandle

    from .rtnetlink import Link

corelaunch_api = 1

#: Seconds that ``stats`` and ``destroy``, which have no deadline of their own, wait for the kernel.
PATIENCE = 10.0

#: The kernel takes aliases of up to 255 bytes (IFALIASZ of <linux/if.h>); ids have no such limit.
LONGEST_ID_IN_ALIAS = 200

#: Which counter of the host end is which one of the container: what one end sends the other receives.
COUNTERS = ("bytes", "packets", "errors", "dropped")


class Veth(NetworkStrategy):
    """Makes a veth pair per request. Options: see the README of corelaunch-netstrategies."""

    features = frozenset({"addresses", "routes", "mtu", "mac", "stats", "attach"})

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """Names from the options, or ``ethINDEX`` inside and a name derived from the container's id outside."""
        checked = veth_options.check(request)
        checked["alias"] = f"corelaunch:{request.container_id[:LONGEST_ID_IN_ALIAS]}:{request.index}"
        return NetworkPlacement(
            host_name=checked["host-name"] or _generated_name(request),
            container_name=checked["name"] or f"eth{request.index}",
            options=checked,
        )

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """Make the pair, exclusively; the host end is up when this returns.

        Raises:
            AlreadyExists: one of the two names is taken; nothing was made, and what is there stays untouched.
            ConfigError: the container has no network namespace of its own.
            KernelError: the process is gone, or the kernel refused.
        """
        host_name = placement.host_name
        with ContainerNamespace(process) as container, Netlink(ctx.deadline) as netlink:
            home = own_identity()
            if container.identity() == home:
                raise _shares_ours(host_name)
            if netlink.link(name=host_name) is not None:
                raise _taken(host_name, "on the host")
            mac = _random_mac()
            effect = ctx.intend(
                "link",
                host_name,
                absent=True,
                host_name=host_name,
                mac=mac,
                netns=home.inode,
                netns_cookie=netlink.namespace_cookie(),
            )
            host_end = _make_pair(netlink, placement, container, mac)
            ctx.done(effect, ifindex=host_end.index)
            alias = [("IFLA_IFALIAS", placement.options["alias"])]
            netlink.set_link(host_end, up=True, attributes=alias)
            for address in placement.options["host-address"]:
                netlink.add_address(host_end, address)

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        """Bring the inner end up, then addresses, routes and default gateways, in the order of the options."""
        with Netlink(ctx.deadline, netlink_fd) as netlink:
            link = netlink.link(name=placement.container_name)
            if link is None:
                raise KernelError("cannot set up link", where=placement.container_name, errno=errno.ENODEV)
            netlink.set_link(link, up=True)
            for address in placement.options["address"]:
                netlink.add_address(link, address)
            for route in placement.options["route"]:
                destination, _via, gateway = route.partition(" via ")
                netlink.add_route(link, destination, gateway)
            for gateway in placement.options["gateway"]:
                netlink.add_route(link, "::/0" if ":" in gateway else "0.0.0.0/0", gateway)

    def stats(self, placement: NetworkPlacement) -> Mapping[str, int]:
        """Counters of the host end, turned round to the container's view.

        Raises:
            KernelError: ENODEV, there is no such link, or one of that name that is not this container's.
        """
        with Netlink(_deadline()) as netlink:
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

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """Delete the links that the effects prove to be ours.

        Raises:
            KernelError: the kernel refused, or the link is in a network namespace other than the caller's.
        """
        with Netlink(_deadline()) as netlink:
            for effect in effects:
                if effect.kind == "link" and _home_is_here(netlink, effect):
                    link = _find_ours(netlink, effect)
                    if link is not None:
                        netlink.delete_link(link)


@hookimpl
def corelaunch_network_strategy() -> NetworkStrategy:
    """See ``corelaunch.hookspecs``."""
    return Veth()


def _make_pair(netlink: Netlink, placement: NetworkPlacement, container: ContainerNamespace, mac: str) -> Link:
    """One RTM_NEWLINK for both ends; the host end as the kernel describes it."""
    mtu = [("IFLA_MTU", placement.options["mtu"])] if placement.options["mtu"] else []
    inner_mac = [("IFLA_ADDRESS", placement.options["mac"])] if placement.options["mac"] else []
    peer = [("IFLA_IFNAME", placement.container_name), ("IFLA_NET_NS_FD", container.fd), *mtu, *inner_mac]
    veth = {"attrs": [("VETH_INFO_PEER", {"attrs": peer})]}
    information = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", veth)]}
    try:
        netlink.create_link(placement.host_name, [("IFLA_ADDRESS", mac), *mtu, ("IFLA_LINKINFO", information)])
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        if netlink.link(name=placement.host_name) is not None:
            raise _taken(placement.host_name, "on the host") from error
        raise _taken(placement.container_name, "in the container") from error
    host_end = netlink.link(name=placement.host_name)
    if host_end is None or host_end.mac != mac:
        # Somebody renamed or removed it within this instant; destroy will look for the MAC address.
        raise KernelError("the new link is not there", where=placement.host_name, errno=errno.ENODEV)
    return host_end


def _shares_ours(name: str) -> ConfigError:
    why = "the container shares the host's network namespace"
    return ConfigError("cannot create link", where=name, why=why, hint='add {"type": "network"} to linux.namespaces')


def _taken(name: str, side: str) -> AlreadyExists:
    hint = "choose another with name= or host-name="
    return AlreadyExists(f"a link of that name exists {side}", where=name, hint=hint)


def _find_ours(netlink: Netlink, effect: Effect) -> Link | None:
    """The link of an effect, None if it is gone or if what is there now is somebody else's."""
    name, mac = effect.args["host_name"], effect.args["mac"]
    if effect.done:
        # The kernel counts interface numbers upwards, but a user may ask for a certain one, so one more thing must
        # agree; and an administrator may have renamed the link, or changed its address, so not both of them.
        link = netlink.link(index=effect.facts["ifindex"])
        return link if link is not None and (link.name == name or link.mac == mac) else None
    link = netlink.link(name=name)
    return link if link is not None and effect.absent and link.kind == "veth" and link.mac == mac else None


def _home_is_here(netlink: Netlink, effect: Effect) -> bool:
    """Whether the link was made in the caller's network namespace; False: that namespace, and so the link, is gone."""
    if effect.args["netns_cookie"] == netlink.namespace_cookie():
        return True
    holder = find_holder(effect.args["netns"])
    if not holder or effect.args["netns"] == own_identity().inode:
        # The second: our own namespace has the inode number that the dead one had.
        return False
    why = "it is in the network namespace that corelaunch was called from at create"
    hint = f"nsenter --net={holder} corelaunch delete …"
    raise KernelError("cannot delete link", where=effect.name, why=why, hint=hint)


def _generated_name(request: NetworkRequest) -> str:
    """15 characters, the same for the same container and index, and hardly ever the same for two (52 bits)."""
    from hashlib import blake2s

    identity = f"{request.container_id}\0{request.index}".encode()
    return "cl" + blake2s(identity).hexdigest()[: veth_options.LONGEST_NAME - 2]


def _random_mac() -> str:
    """A locally administered unicast address (IEEE 802): 46 random bits."""
    octets = bytearray(os.urandom(6))
    octets[0] = octets[0] & 0xFC | 0x02
    return octets.hex(":")


def _deadline() -> float:
    import time

    return time.monotonic() + PATIENCE
