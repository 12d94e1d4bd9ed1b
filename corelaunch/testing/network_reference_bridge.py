"""The reference of a strategy with a shared bridge: ReferenceVeth, whose host end is a port of it."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256

from corelaunch.api import AlreadyExists, Effect, LaunchContext, NetworkPlacement, NetworkRequest, ProcessHandle

from . import network_rtnetlink as rt
from .network_reference import ReferenceVeth
from .network_rtnetlink import Rtnetlink, SeenLink, attribute
from .network_stage import FEATURES


class ReferenceBridge(ReferenceVeth):
    """A bridge is ours if it has the address that ours have; it is in use if a link has it for its master."""

    features = frozenset(FEATURES) - {"nat", "move", "companion"}

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        placement: NetworkPlacement = super().place(request)
        name = request.options.get("bridge", "refbr0")
        return placement.replace(shared_name=name)  # type: ignore[no-any-return]

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        os.close(self.open_namespace(process))  # before anything is made
        with self.lock():
            with Rtnetlink() as netlink:
                if placement.host_name in netlink.links():
                    raise AlreadyExists("link exists", where=placement.host_name)
                self.ensure(netlink, placement, ctx)
            super().create(placement, process, ctx)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Nobody else makes or removes a bridge meanwhile."""
        fd = os.open("/proc/sys/net/ipv4/route/flush", os.O_WRONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def make(
        self, netlink: Rtnetlink, placement: NetworkPlacement, namespace: int, mac: str, more: bytes = b""
    ) -> None:
        master = netlink.links()[placement.shared_name].index
        super().make(netlink, placement, namespace, mac, more + attribute(rt.IFLA_MASTER, struct.pack("=I", master)))

    def our_mac(self, netlink: Rtnetlink, name: str) -> bytes:
        """The MAC address of our bridges, which no other bridge has."""
        namespace = os.stat("/proc/thread-self/ns/net").st_ino
        return b"\x02" + sha256(f"{namespace} {name}".encode()).digest()[:5]

    def ensure(self, netlink: Rtnetlink, placement: NetworkPlacement, ctx: LaunchContext) -> None:
        """Make the bridge, or look whether the one that is there will do."""
        name, mac = placement.shared_name, self.our_mac(netlink, placement.shared_name)
        asked = [address for address in placement.options.get("bridge-address", "").split(",") if address]
        found = netlink.links().get(name)
        if found is None:
            effect = ctx.intend("bridge", name, absent=True)
            netlink.make_bridge(name, attribute(rt.IFLA_ADDRESS, mac))
            found = netlink.links()[name]
            ctx.done(effect, ifindex=found.index)
        elif not netlink.is_bridge(found.index):
            raise AlreadyExists("not a bridge", where=name)
        present = [address.cidr for address in netlink.addresses(found.index)]
        missing = [address for address in asked if address not in present]
        if not self.may_change(netlink, found, mac):
            if missing:
                raise AlreadyExists(f"the bridge does not have {missing[0]}", where=name)
            return
        for address in missing:
            netlink.add_address(found.index, address)
        netlink.set_link(found.index, up=True)

    def may_change(self, netlink: Rtnetlink, bridge: SeenLink, mac: bytes) -> bool:
        """Whether a bridge is ours and nobody uses it."""
        return bridge.mac == mac.hex(":") and not self.in_use(netlink, bridge)

    def in_use(self, netlink: Rtnetlink, bridge: SeenLink) -> bool:
        """Whether it has a port."""
        return any(link.master == bridge.index for link in netlink.links().values())

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        with self.lock():
            super().destroy(placement, [effect for effect in effects if effect.kind == "link"])
            if effects:
                with Rtnetlink() as netlink:
                    self.remove_unused(netlink, placement.shared_name)

    def remove_unused(self, netlink: Rtnetlink, name: str) -> None:
        """Remove the bridge if it is ours and nobody uses it."""
        bridge = netlink.links().get(name)
        if bridge is not None and self.may_change(netlink, bridge, self.our_mac(netlink, name)):
            self.delete(netlink, bridge.index)
