"""Network strategies with a shared bridge that are wrong on purpose; see network_wrong.py."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from corelaunch.api import Effect, LaunchContext, NetworkPlacement, NetworkRequest

from .network_reference import ReferenceVeth
from .network_reference_bridge import ReferenceBridge
from .network_rtnetlink import Rtnetlink, SeenLink


class TakesTheBridgeAlong(ReferenceBridge):
    """Removes the bridge with the first container that goes."""

    def remove_unused(self, netlink: Rtnetlink, name: str) -> None:
        bridge = netlink.links().get(name)
        if bridge is not None and bridge.mac == self.our_mac(netlink, name).hex(":"):
            self.delete(netlink, bridge.index)


class OwnsByName(ReferenceBridge):
    """Takes every bridge of its name for its own: gives it addresses, and removes it when it is empty."""

    def may_change(self, netlink: Rtnetlink, bridge: SeenLink, mac: bytes) -> bool:
        return not self.in_use(netlink, bridge)


class ChangesWhatOthersUse(ReferenceBridge):
    """Gives a bridge of its own one more address, whoever uses it."""

    def ensure(self, netlink: Rtnetlink, placement: NetworkPlacement, ctx: LaunchContext) -> None:
        name = placement.shared_name
        found = netlink.links().get(name)
        if found is not None and found.mac == self.our_mac(netlink, name).hex(":"):
            present = [address.cidr for address in netlink.addresses(found.index)]
            for address in placement.options.get("bridge-address", "").split(","):
                if address and address not in present:
                    netlink.add_address(found.index, address)
        super().ensure(netlink, placement, ctx)


class OneBridgeForAll(ReferenceBridge):
    """Puts everybody onto one bridge, whichever was asked for."""

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        placement: NetworkPlacement = super().place(request).replace(shared_name="clnetbr0")
        return placement


class JoinsAnything(ReferenceBridge):
    """Does not look whether what has the name is a bridge, and lets the kernel refuse."""

    def ensure(self, netlink: Rtnetlink, placement: NetworkPlacement, ctx: LaunchContext) -> None:
        found = netlink.links().get(placement.shared_name)
        if found is None or netlink.is_bridge(found.index):
            super().ensure(netlink, placement, ctx)


class ForgetsThePort(ReferenceBridge):
    """Makes the bridge and does not put the host's end into it."""

    def make(
        self, netlink: Rtnetlink, placement: NetworkPlacement, namespace: int, mac: str, more: bytes = b""
    ) -> None:
        ReferenceVeth.make(self, netlink, placement, namespace, mac, more)


class LooksAndThenActs(ReferenceBridge):
    """Takes no lock: between the look and the act another launch comes and goes."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        yield

    def in_use(self, netlink: Rtnetlink, bridge: SeenLink) -> bool:
        answer = super().in_use(netlink, bridge)
        time.sleep(0.02)
        return answer


class ConfirmsTheBridgeEarly(ReferenceBridge):
    """Confirms the bridge before it is there."""

    def ensure(self, netlink: Rtnetlink, placement: NetworkPlacement, ctx: LaunchContext) -> None:
        if placement.shared_name not in netlink.links():
            ctx.done(ctx.intend("bridge", placement.shared_name, absent=True))
        super().ensure(netlink, placement, ctx)


class LeavesUnconfirmedBridges(ReferenceBridge):
    """Undoes a bridge only if it was confirmed: kill -9 between the bridge and ``done`` leaks it."""

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, [effect for effect in effects if effect.kind == "link" or effect.done])
