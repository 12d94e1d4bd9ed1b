"""Network strategies that are wrong on purpose, one mistake each. The contract must catch every one, for its reason.

Which promises each of them breaks stands in tests/unit/testing/test_network_contract_bites.py.
"""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import ctypes
import errno
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from corelaunch.api import (
    ConfigError,
    Effect,
    KernelError,
    LaunchContext,
    NetworkPlacement,
    NetworkRequest,
    ProcessHandle,
)

from . import network_rtnetlink as rt
from .network_reference import PlainVeth, ReferenceVeth
from .network_rtnetlink import Rtnetlink, attribute


class RandomNames(ReferenceVeth):
    """A new name at every call: plan would print another one than create makes."""

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        placement: NetworkPlacement = super().place(request).replace(host_name=f"ref{uuid.uuid4().hex[:12]}")
        return placement


class CutNames(ReferenceVeth):
    """The container's id, cut to fit: two containers may get one name."""

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        name = f"r{request.index}{request.container_id[:12]}"
        placement: NetworkPlacement = super().place(request).replace(host_name=name)
        return placement


class IgnoresUnknownOptions(ReferenceVeth):
    """A typing error in an option is silently nothing."""

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        try:
            return super().place(request)
        except ConfigError:
            return super().place(request.replace(options={}))


class NeedlesslyAccepts(PlainVeth):
    """Takes options of features that it does not claim, and does nothing with them."""

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        rest = {option: value for option, value in request.options.items() if option.startswith("clnet")}
        return super().place(request.replace(options=rest))


class PretendsStats(PlainVeth):
    """Does not claim stats, and answers nothing instead of refusing."""

    def stats(self, placement: NetworkPlacement) -> Mapping[str, int]:
        return {}


class AnnouncesTooLate(ReferenceVeth):
    """Makes the link first and announces it then: a kill in between leaks it."""

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        namespace, mac = self.open_namespace(process), (b"\x02" + os.urandom(5)).hex(":")
        with Rtnetlink() as netlink:
            try:
                self.make(netlink, placement, namespace, mac)
            except OSError as error:
                if placement.host_name in netlink.links():
                    return super().create(placement, process, ctx)  # the honest error
                raise KernelError.of("cannot create link", error) from error
            finally:
                os.close(namespace)
            index = netlink.links()[placement.host_name].index
            ctx.done(ctx.intend("link", placement.host_name, absent=True, mac=mac), ifindex=index)
            netlink.set_link(index, up=True)
        return None


class _Deaf(LaunchContext):
    """Passes announcements on, and no confirmations."""

    __slots__ = ("_context",)

    def __init__(self, context: LaunchContext) -> None:
        super().__init__(context.container_id, context.deadline)
        self._context = context

    def intend(self, kind: str, name: str, *, absent: bool, **args: Any) -> Effect:
        return self._context.intend(kind, name, absent=absent, **args)

    def done(self, effect: Effect, **facts: Any) -> Effect:
        return effect


class NeverConfirms(ReferenceVeth):
    """Forgets ``ctx.done``: nobody can tell its link from a later one."""

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        super().create(placement, process, _Deaf(ctx))


class TakesAnyProcess(ReferenceVeth):
    """Trusts the pid: the link may go to whoever has it now."""

    def open_namespace(self, process: ProcessHandle) -> int:
        return os.open(f"/proc/{process.pid}/ns/net", os.O_RDONLY)


class ReplacesForeignLinks(ReferenceVeth):
    """Deletes whatever has the name, to make room."""

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        with Rtnetlink() as netlink:
            found = netlink.links().get(placement.host_name)
            if found is not None:
                netlink.delete_link(found.index)
        super().create(placement, process, ctx)


class WrongNameInside(ReferenceVeth):
    """Promises one name and gives another."""

    def make(
        self, netlink: Rtnetlink, placement: NetworkPlacement, namespace: int, mac: str, more: bytes = b""
    ) -> None:
        inside = placement.container_name.replace("eth", "net")
        super().make(netlink, placement.replace(container_name=inside), namespace, mac, more)

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        inside = placement.container_name.replace("eth", "net")
        super().initialize(placement.replace(container_name=inside), netlink_fd, ctx)


class ClosesTheSocket(ReferenceVeth):
    """Closes the socket that belongs to core (as ``IPRoute(fileno=fd)`` of pyroute2 does)."""

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        copy = os.dup(netlink_fd)
        super().initialize(placement, netlink_fd, ctx)
        os.close(netlink_fd)
        # On the number of the closed one lies something else by now, as in any busy process.
        os.dup2(os.open("/dev/null", os.O_RDWR), netlink_fd)
        os.close(copy)


class EntersTheNamespace(ReferenceVeth):
    """Works inside by entering the container's namespace, and the thread stays there."""

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        super().create(placement, process, ctx)
        namespace = self.open_namespace(process)
        ctypes.CDLL(None).setns(namespace, 0)
        os.close(namespace)


class NeedsTheProcess(ReferenceVeth):
    """Looks for the container's pid once more in initialize, where the socket is all it was given."""

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        super().create(placement, process, ctx)
        self.process = process

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        os.close(self.open_namespace(self.process))
        super().initialize(placement, netlink_fd, ctx)


class WaitsForDuplicates(ReferenceVeth):
    """Leaves duplicate address detection on: the IPv6 address cannot be used for a second."""

    def add_address(self, netlink: Rtnetlink, index: int, cidr: str) -> None:
        netlink.add_address(index, cidr, flags=0)


class ForgetsTheGateway(ReferenceVeth):
    """Claims routes and does not set the default one."""

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        options = {option: value for option, value in placement.options.items() if option != "gateway"}
        super().initialize(placement.replace(options=options), netlink_fd, ctx)


class OneFamilyOnly(ReferenceVeth):
    """Sets the first gateway and forgets the other family's."""

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        options = dict(placement.options)
        if "gateway" in options:
            options["gateway"] = options["gateway"].partition(",")[0]
        super().initialize(placement.replace(options=options), netlink_fd, ctx)


class NumbersItsLinks(ReferenceVeth):
    """Takes a name for the interface and gives it another."""

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        placement: NetworkPlacement = super().place(request).replace(container_name=f"eth{request.index}")
        return placement


class OneAddressForAll(ReferenceVeth):
    """Gives every address to the first interface that it finds."""

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        with Rtnetlink(netlink_fd) as netlink:
            first = min((link.index, name) for name, link in netlink.links().items() if name != "lo")[1]
        super().initialize(placement.replace(container_name=first), netlink_fd, ctx)
        super().initialize(placement.replace(options={}), netlink_fd, ctx)


class MtuOnTheWrongEnd(ReferenceVeth):
    """Claims mtu and sets it on the host's end."""

    def make(
        self, netlink: Rtnetlink, placement: NetworkPlacement, namespace: int, mac: str, more: bytes = b""
    ) -> None:
        options = {option: value for option, value in placement.options.items() if option != "mtu"}
        super().make(netlink, placement.replace(options=options), namespace, mac, more)
        if "mtu" in placement.options:
            index = netlink.links()[placement.host_name].index
            netlink.set_link(index, attributes=attribute(rt.IFLA_MTU, int(placement.options["mtu"])))


class StatsFromTheHost(ReferenceVeth):
    """Counts from the host's side: what the container sent is called received."""

    def stats(self, placement: NetworkPlacement) -> Mapping[str, int]:
        swapped = super().stats(placement)
        return {{"rx": "tx", "tx": "rx"}[name[:2]] + name[2:]: value for name, value in swapped.items()}


class CountsAllLinks(ReferenceVeth):
    """Counts what any container's link has sent and received."""

    def stats(self, placement: NetworkPlacement) -> Mapping[str, int]:
        with Rtnetlink() as netlink:
            names = [name for name in netlink.links() if name.startswith("ref")]
        counted = [ReferenceVeth.stats(self, placement.replace(host_name=name)) for name in names]
        own = super().stats(placement)
        return {name: sum(one[name] for one in counted) for name in own}


class ZerosForGone(ReferenceVeth):
    """Answers zeros for a link that is not there."""

    def stats(self, placement: NetworkPlacement) -> Mapping[str, int]:
        try:
            return super().stats(placement)
        except KernelError:
            return dict.fromkeys(rt.COUNTERS, 0)


class DestroysByName(ReferenceVeth):
    """Deletes what has the name today."""

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        with Rtnetlink() as netlink:
            for effect in effects:
                link = netlink.links().get(effect.name)
                if link is not None:
                    self.delete(netlink, link.index)


class DestroysByPlacement(ReferenceVeth):
    """Deletes what it placed, whatever the journal says of it."""

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, effects)
        with Rtnetlink() as netlink:
            link = netlink.links().get(placement.host_name)
            if link is not None and not effects:
                self.delete(netlink, link.index)


class RemembersInMemory(ReferenceVeth):
    """Destroys what this object remembers, which a later process does not."""

    def __init__(self) -> None:
        self.made: set[str] = set()

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        self.made.add(placement.host_name)
        super().create(placement, process, ctx)

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, [effect for effect in effects if effect.name in self.made])


class ForgetsUnconfirmed(ReferenceVeth):
    """Destroys only what was confirmed: kill -9 between the link and ``done`` leaks it."""

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        super().destroy(placement, [effect for effect in effects if effect.done])


class FailsWhenGone(ReferenceVeth):
    """Takes "already gone" for a failure."""

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        with Rtnetlink() as netlink:
            if effects and placement.host_name not in netlink.links():
                raise KernelError("no such link", where=placement.host_name, errno=errno.ENODEV)
        super().destroy(placement, effects)


class LeaksDescriptors(ReferenceVeth):
    """Opens a socket at every create and never closes it."""

    def open_namespace(self, process: ProcessHandle) -> int:
        namespace = super().open_namespace(process)
        socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE).detach()
        return namespace
