"""A bridge that several containers share: made by the first, removed with the last, if it is ours.

Ours is a bridge with the MAC address that :func:`our_mac` gives its name: it has that from the message that makes
it, so also after a kill -9 at the next instant, and no journal of another container need be read to know it. What
uses a bridge is what the kernel lists as its ports. So the last container is whoever removes the last port, in
whatever order containers, or the runtimes that made them, go.

A bridge of anybody else's, or of ours that others use already, is taken as it is: joined, and never changed.
"""

from __future__ import annotations

import errno

from corelaunch.api import AlreadyExists, KernelError, Record, boot_id

from .namespace_lock import NamespaceLock
from .pair import home_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from corelaunch.api import LaunchContext, NetworkPlacement

    from .netlink_socket import NetlinkSocket
    from .rtnetlink import Link, Netlink


class Lock(NamespaceLock):
    """Nobody else makes or removes a bridge in this network namespace meanwhile.

    The kernel has no "delete it if it has no ports", so looking and deleting must not be torn apart by a launch that
    joins.
    """

    #: Every network namespace has it once, and only its root can open it. It is opened and never written.
    file = "/proc/sys/net/ipv4/route/flush"
    cannot = "cannot lock the bridges of this network namespace"


class Joined(Record):
    """A bridge as a container found it. ``mac`` is the address that it has if it is ours."""

    link: Link
    mac: str
    nat: bool

    def owner(self) -> dict[str, object]:
        """What the effects of a port say of its bridge, for whoever destroys them."""
        return {"bridge": self.link.name, "bridge_mac": self.mac, "nat": self.nat}


def our_mac(netlink: NetlinkSocket, name: str, *, nat: bool) -> str:
    """The MAC address of a bridge of ours, with or without NAT: the same in this boot and network namespace.

    Locally administered and unicast (IEEE 802), 46 bits.
    """
    from hashlib import blake2s

    identity = f"{boot_id()}\0{netlink.namespace_cookie()}\0{name}" + ("\0nat" if nat else "")
    octets = bytearray(blake2s(identity.encode()).digest()[:6])
    octets[0] = octets[0] & 0xFC | 0x02
    return octets.hex(":")


def ensure(netlink: Netlink, placement: NetworkPlacement, ctx: LaunchContext) -> Joined:
    """The bridge of a placement, made if there is none; the caller holds the lock.

    Raises:
        AlreadyExists: what has the name is no bridge, or a bridge that is in use and lacks an address, or NAT.
    """
    name, addresses, nat = placement.shared_name, placement.options["bridge-address"], placement.options["nat"]
    if nat:
        from .nat import check

        check(addresses)
    wanted, other = our_mac(netlink, name, nat=nat), our_mac(netlink, name, nat=not nat)
    ours = {wanted: nat, other: not nat}
    bridge = netlink.link(name=name)
    if bridge is None:
        return _make(netlink, placement, wanted, ctx)
    if bridge.kind != "bridge":
        why = f"it is {'a ' + bridge.kind if bridge.kind else 'a device'}"
        hint = "choose another name with bridge="
        raise AlreadyExists("a link of that name exists and is not a bridge", where=name, why=why, hint=hint)
    if bridge.mac in ours and not netlink.has_ports(bridge):
        # Left by a launch that was killed, or by containers that have stopped: nobody uses it, and one of their
        # journals removes it, or ours does.
        if bridge.mac != wanted:
            remove_unused(netlink, name, bridge.mac, nat=not nat, deadline=ctx.deadline)
            return _make(netlink, placement, wanted, ctx)
        _set_up(netlink, bridge, _missing(netlink, bridge, addresses))
        if nat:
            _ensure_nat(placement, wanted, ctx, renew=True)
        return Joined(bridge, wanted, nat)
    whose = "was made by an earlier container" if bridge.mac in ours else "is not ours"
    for address in _missing(netlink, bridge, addresses):
        why = f"the bridge {whose} and does not have it: what others use is not changed"
        hint = "leave bridge-address= out, give the address that it has, or choose another bridge="
        raise AlreadyExists(f"cannot give bridge {name} an address", where=address, why=why, hint=hint)
    if nat and bridge.mac != wanted:
        why = f"it {whose} and does not have it: what others use is not changed"
        hint = "leave nat= out (NAT of a bridge is its owner's affair), or choose another bridge="
        raise AlreadyExists("cannot give bridge NAT", where=name, why=why, hint=hint)
    if nat:
        # It is there, unless somebody flushed the ruleset (a restart of nftables.service does).
        _ensure_nat(placement, wanted, ctx, renew=False)
    if not bridge.up:
        ctx.log("warning", f"bridge {name} is down, and not ours: nothing passes until somebody brings it up")
    mac = bridge.mac if bridge.mac in ours else wanted
    return Joined(bridge, mac, ours[mac])


def _missing(netlink: Netlink, bridge: Link, addresses: Sequence[str]) -> list[str]:
    present = netlink.addresses(bridge) if addresses else []
    return [address for address in addresses if address not in present]


def _make(netlink: Netlink, placement: NetworkPlacement, mac: str, ctx: LaunchContext) -> Joined:
    name, nat = placement.shared_name, placement.options["nat"]
    if nat:
        _ensure_nat(placement, mac, ctx, renew=True)
    owner = {"bridge": name, "bridge_mac": mac, "nat": nat, **home_of(netlink)}
    effect = ctx.intend("bridge", name, absent=True, **owner)
    netlink.create_link(name, [("IFLA_ADDRESS", mac), ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]})])
    bridge = netlink.link(name=name)
    if bridge is None or bridge.mac != mac:
        raise KernelError("the new bridge is not there", where=name, errno=errno.ENODEV)
    ctx.done(effect, ifindex=bridge.index)
    _set_up(netlink, bridge, placement.options["bridge-address"])
    return Joined(bridge, mac, nat)


def _set_up(netlink: Netlink, bridge: Link, addresses: list[str]) -> None:
    for address in addresses:
        netlink.add_address(bridge, address)
    netlink.set_link(bridge, up=True)


def _ensure_nat(placement: NetworkPlacement, mac: str, ctx: LaunchContext, *, renew: bool) -> None:
    from . import nat

    nat.ensure(placement.shared_name, mac, placement.options["bridge-address"], ctx, renew=renew)


def remove_unused(netlink: Netlink, name: str, mac: str, *, nat: bool, deadline: float) -> None:
    """Remove a bridge if it is ours and has no port, and its NAT with it; the caller holds the lock. Gone is fine."""
    bridge = netlink.link(name=name)
    if bridge is not None and bridge.kind == "bridge" and bridge.mac == mac:
        if netlink.has_ports(bridge):
            return
        netlink.delete_link(bridge)
    if nat:
        from .nat import remove

        remove(name, mac, deadline)
