"""Network strategies that are wrong on purpose in values, in errors and in what they touch; see network_wrong.py."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from corelaunch.api import Effect, KernelError, LaunchContext, NetworkPlacement, ProcessHandle

from . import network_rtnetlink as rt
from .network_promises_nat import FORWARDING
from .network_promises_nat import write as write_parameter
from .network_reference import ReferenceVeth
from .network_reference_move import ReferenceMove, run
from .network_rtnetlink import Rtnetlink


class BelievesValues(ReferenceVeth):
    """Leaves it to the kernel to refuse a value, when half of the container is made."""

    def check_values(self, options: Mapping[str, str]) -> None:
        pass


class FailsRawAtValues(ReferenceVeth):
    """Parses values, and lets what the parser raises go its way."""

    def check_values(self, options: Mapping[str, str]) -> None:
        int(options.get("mtu", "0"))
        super().check_values(options)


class RaisesOSError(ReferenceVeth):
    """Lets the kernel's refusal go its way."""

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        try:
            super().initialize(placement, netlink_fd, ctx)
        except KernelError as error:
            raise error.__cause__ or error from None


class SwallowsRoutes(ReferenceVeth):
    """Sets the routes that can be set."""

    def add_route(self, netlink: Rtnetlink, index: int, route: str) -> None:
        try:
            super().add_route(netlink, index, route)
        except OSError:
            pass


class FailsRawWhenGone(ReferenceVeth):
    """Takes the first link of that name, as one does who looks names up in pyroute2."""

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        with Rtnetlink(netlink_fd) as netlink:
            [_index] = [link.index for name, link in netlink.links().items() if name == placement.container_name]
        super().initialize(placement, netlink_fd, ctx)


class ReplacesRoutes(ReferenceVeth):
    """Gives a route in place of whatever goes there."""

    def add_route(self, netlink: Rtnetlink, index: int, route: str) -> None:
        netlink.add_route(index, route, rt.CREATE | rt.REPLACE)


class TurnsForwardingOn(ReferenceVeth):
    """Makes a router of the host, and leaves it one."""

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        super().create(placement, process, ctx)
        write_parameter(FORWARDING, "1")


class TurnsForwardingOff(ReferenceVeth):
    """Turns off on the way down what somebody else may need."""

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        super().create(placement, process, ctx)
        write_parameter(FORWARDING, "1")

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, effects)
        write_parameter(FORWARDING, "0")


class LeavesTheEndDown(ReferenceVeth):
    """Forgets that a link is made down."""

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        super().create(placement, process, ctx)
        with Rtnetlink() as netlink:
            netlink.set_link(netlink.links()[placement.host_name].index, up=False)


class MtuOfOneEnd(ReferenceVeth):
    """Sets the MTU in the container, and leaves the host's end as it was made."""

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        super().create(placement, process, ctx)
        with Rtnetlink() as netlink:
            index = netlink.links()[placement.host_name].index
            netlink.set_link(index, attributes=rt.attribute(rt.IFLA_MTU, 1500))


class OneMacForAll(ReferenceVeth):
    """Has a MAC address that it likes."""

    def make(
        self, netlink: Rtnetlink, placement: NetworkPlacement, namespace: int, mac: str, more: bytes = b""
    ) -> None:
        options = {"mac": "02:00:00:00:00:01", **placement.options}
        super().make(netlink, placement.replace(options=options), namespace, mac, more)


class DestroysByNumber(ReferenceVeth):
    """Deletes what has the number today."""

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        with Rtnetlink() as netlink:
            for effect in effects:
                if effect.done:
                    self.delete(netlink, effect.facts["ifindex"])
        super().destroy(placement, [effect for effect in effects if not effect.done])


class TidiesUp(ReferenceVeth):
    """Brings down links of the host's that nobody seems to use."""

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        super().create(placement, process, ctx)
        with Rtnetlink() as netlink:
            for name, link in netlink.links().items():
                if not (name == "lo" or name.startswith("ref") or link.up):
                    netlink.delete_link(link.index)
                    return


class MovesTheNeighbour(ReferenceMove):
    """Moves a device, and the other end of it, to be on the safe side."""

    def move(self, process: ProcessHandle, device: str, inside: str) -> None:
        super().move(process, device, inside)
        other = device.replace("dev", "end")
        run("ip", "link", "set", other, "netns", str(process.pid))


class LeaksInCheck(ReferenceVeth):
    """Opens the namespace to look inside, and never closes it."""

    def check(self, placement: NetworkPlacement, effects: Sequence[Effect], process: ProcessHandle) -> None:
        self.open_namespace(process)
        super().check(placement, effects, process)


class LeaksInAttach(ReferenceVeth):
    """The same at attach."""

    def attach(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        self.open_namespace(process)
        super().attach(placement, process, ctx)


class LeaksInDetach(ReferenceVeth):
    """Opens a file at detach."""

    def detach(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        os.open("/proc/self/ns/net", os.O_RDONLY)
        super().detach(placement, effects)
