"""A bridge that several containers share: made by the first, removed with the last, if it is ours.

Ours is a bridge with the MAC address that :func:`our_mac` gives its name: it has that from the message that makes
it, so also after a kill -9 at the next instant, and no journal of another container need be read to know it. What
uses a bridge is what the kernel lists as its ports. So the last container is whoever removes the last port, in
whatever order containers, or the runtimes that made them, go.

A bridge of anybody else's, or of ours that others use already, is taken as it is: joined, and never changed.
"""

from __future__ import annotations

import errno
import os
import time

from corelaunch.api import AlreadyExists, DeadlineExceeded, KernelError

from .pair import home_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from corelaunch.api import LaunchContext, NetworkPlacement

    from .rtnetlink import Link, Netlink

#: A file that every network namespace has once, and that only its root can open. It is opened and never written.
_LOCK_FILE = "/proc/sys/net/ipv4/route/flush"
_LOCK_POLL_SECONDS = 0.005
_CANNOT_LOCK = "cannot lock the bridges of this network namespace"


class Lock:
    """Nobody else makes or removes a bridge in this network namespace meanwhile; a context manager.

    The kernel has no "delete it if it has no ports", so looking and deleting must not be torn apart by a launch that
    joins. The lock is flock(2) on a file that belongs to the network namespace, whatever state roots the runtimes
    have; it goes with its holder, leaves no file, and an ordinary user, who cannot open that file, cannot hold it.
    Runtimes in different pid namespaces have different /proc and so different locks.

    Raises (on entering):
        DeadlineExceeded: somebody else held it until ``deadline`` (``time.monotonic()``).
        KernelError: /proc/sys is read-only here.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._fd = -1

    def __enter__(self) -> Self:
        from fcntl import LOCK_EX, LOCK_NB, flock

        try:
            self._fd = os.open(_LOCK_FILE, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError.of(_CANNOT_LOCK, error, where=_LOCK_FILE) from error
        try:
            while True:
                try:
                    flock(self._fd, LOCK_EX | LOCK_NB)
                    return self
                except BlockingIOError:
                    if time.monotonic() > self._deadline:
                        why = "another runtime holds it"
                        hint = f"fuser {_LOCK_FILE} names its process"
                        raise DeadlineExceeded(_CANNOT_LOCK, where=_LOCK_FILE, why=why, hint=hint) from None
                    time.sleep(_LOCK_POLL_SECONDS)
        except BaseException:  # an interrupt, too: who does not enter does not leave
            self.__exit__()
            raise

    def __exit__(self, *_error: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def our_mac(netlink: Netlink, name: str) -> str:
    """The MAC address of a bridge of ours: the same for all runtimes of this boot and network namespace.

    Locally administered and unicast (IEEE 802), 46 bits.
    """
    from hashlib import blake2s

    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot_id = file.read().strip()
    octets = bytearray(blake2s(f"{boot_id}\0{netlink.namespace_cookie()}\0{name}".encode()).digest()[:6])
    octets[0] = octets[0] & 0xFC | 0x02
    return octets.hex(":")


def ensure(netlink: Netlink, placement: NetworkPlacement, ctx: LaunchContext) -> Link:
    """The bridge of a placement, made if there is none; the caller holds the lock.

    Raises:
        AlreadyExists: what has the name is no bridge, or a bridge that is in use and lacks an address.
    """
    name, addresses = placement.shared_name, placement.options["bridge-address"]
    mac = our_mac(netlink, name)
    bridge = netlink.link(name=name)
    if bridge is None:
        return _make(netlink, name, mac, addresses, ctx)
    if bridge.kind != "bridge":
        why = f"it is {'a ' + bridge.kind if bridge.kind else 'a device'}"
        hint = "choose another name with bridge="
        raise AlreadyExists("a link of that name exists and is not a bridge", where=name, why=why, hint=hint)
    present = netlink.addresses(bridge) if addresses else []
    missing = [address for address in addresses if address not in present]
    if bridge.mac == mac and not netlink.has_ports(bridge):
        # Left by a launch that was killed, or by containers that have stopped: nobody uses it, and one of their
        # journals removes it, or ours does.
        _set_up(netlink, bridge, missing)
        return bridge
    if missing:
        whose = "was made by an earlier container" if bridge.mac == mac else "is not ours"
        why = f"the bridge {whose} and does not have it: what others use is not changed"
        hint = "leave bridge-address= out, give the address that it has, or choose another bridge="
        raise AlreadyExists(f"cannot give bridge {name} an address", where=missing[0], why=why, hint=hint)
    if not bridge.up:
        ctx.log("warning", f"bridge {name} is down, and not ours: nothing passes until somebody brings it up")
    return bridge


def _make(netlink: Netlink, name: str, mac: str, addresses: list[str], ctx: LaunchContext) -> Link:
    effect = ctx.intend("bridge", name, absent=True, mac=mac, **home_of(netlink))
    netlink.create_link(name, [("IFLA_ADDRESS", mac), ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]})])
    bridge = netlink.link(name=name)
    if bridge is None or bridge.mac != mac:
        raise KernelError("the new bridge is not there", where=name, errno=errno.ENODEV)
    ctx.done(effect, ifindex=bridge.index)
    _set_up(netlink, bridge, addresses)
    return bridge


def _set_up(netlink: Netlink, bridge: Link, addresses: list[str]) -> None:
    for address in addresses:
        netlink.add_address(bridge, address)
    netlink.set_link(bridge, up=True)


def remove_unused(netlink: Netlink, name: str, mac: str) -> None:
    """Remove a bridge if it is ours and has no port; the caller holds the lock. Gone is fine."""
    bridge = netlink.link(name=name)
    if bridge is not None and bridge.kind == "bridge" and bridge.mac == mac and not netlink.has_ports(bridge):
        netlink.delete_link(bridge)
