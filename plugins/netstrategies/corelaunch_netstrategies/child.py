"""An interface of the container's that hangs on one of the host's, its parent: what macvlan and ipvlan share.

It is made in the container's network namespace, in one message, and goes with it. There is nothing of it on the host,
so nothing is announced: what a kill -9 leaves is the container's process, and that is in core's journal.
"""

from __future__ import annotations

import errno

from corelaunch.api import AlreadyExists, KernelError, NetworkStrategy

from . import pair
from .namespace_numbers import all_numbers, number_for, number_of
from .namespaces import ContainerNamespace
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from corelaunch.api import Effect, LaunchContext, NetworkPlacement, ProcessHandle

    from .rtnetlink import Link


class ChildStrategy(NetworkStrategy):
    """The whole strategy but for its options. Counters are read by a number that the host has for the namespace."""

    #: The kernel's word for the type of link.
    kind: str
    #: Its attribute for the mode, and the kernel's number for each.
    mode_attribute: str
    modes: Mapping[str, Any]

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """Make the interface in the container.

        Raises:
            AlreadyExists: the container has an interface of that name.
            ConfigError: it has no network namespace of its own.
            KernelError: the process or the parent is gone, the parent takes no such child, or the kernel has no such
                type of link (EOPNOTSUPP).
        """
        name, options = placement.container_name, placement.options
        with ContainerNamespace(process) as container, Netlink(ctx.deadline) as netlink:
            pair.check_own_namespace(container, name)
            parent = self._parent(netlink, placement, ctx)
            data = {"attrs": [(self.mode_attribute, self.modes[options["mode"]])]}
            information = {"attrs": [("IFLA_INFO_KIND", self.kind), ("IFLA_INFO_DATA", data)]}
            attributes = [("IFLA_LINK", parent.index), ("IFLA_NET_NS_FD", container.fd)]
            attributes += [("IFLA_MTU", options["mtu"])] if options["mtu"] else []
            attributes += [("IFLA_ADDRESS", options["mac"])] if options.get("mac") else []
            try:
                netlink.create_link(name, [*attributes, ("IFLA_LINKINFO", information)])
            except KernelError as error:
                raise self._refusal(error, placement) from error
            number_of(netlink, container.fd, _wanted_number(placement))

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        """Bring it up, then addresses, routes and default gateways."""
        with Netlink(ctx.deadline, netlink_fd) as netlink:
            link = netlink.link(name=placement.container_name)
            if link is not None:
                # Not in create: a link of another namespace can be looked at by a number, and not be changed.
                netlink.set_link(link, attributes=[("IFLA_IFALIAS", placement.options["alias"])])
        pair.set_up(placement, placement.options["address"], netlink_fd, ctx)

    def stats(self, placement: NetworkPlacement) -> Mapping[str, int]:
        """Counters of the interface.

        Raises:
            KernelError: ENODEV, the container's network namespace is gone, or has no such interface of ours.
        """
        with Netlink(pair.patience()) as netlink:
            link = self._find(netlink, placement)
        return {f"{way}_{what}": link.counters[f"{way}_{what}"] for way in ("rx", "tx") for what in pair.COUNTERS}

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """Nothing was made on the host; the interface goes with the container's network namespace."""

    def _parent(self, netlink: Netlink, placement: NetworkPlacement, ctx: LaunchContext) -> Link:
        name, mtu = placement.options["parent"], placement.options["mtu"]
        parent = netlink.link(name=name)
        if parent is None:
            hint = "ip -brief link lists the host's interfaces"
            raise KernelError(f"cannot create {self.kind}", where=f"parent {name}", why="no such interface", hint=hint)
        if mtu > parent.mtu:
            why = f"its parent {name} has {parent.mtu}"
            raise KernelError(f"cannot give {self.kind} an MTU of {mtu}", where=placement.container_name, why=why)
        if not parent.up:
            ctx.log("warning", f"interface {name} is down: nothing passes until somebody brings it up")
        return parent

    def _refusal(self, error: KernelError, placement: NetworkPlacement) -> KernelError | AlreadyExists:
        if error.errno == errno.EEXIST:
            where, hint = placement.container_name, "choose another with name="
            return AlreadyExists("a link of that name exists in the container", where=where, hint=hint)
        if error.errno == errno.EOPNOTSUPP:
            error.hint = f"this kernel has no {self.kind}: its option is CONFIG_{self.kind.upper()}"
        elif error.errno in (errno.EBUSY, errno.EINVAL):
            parent = placement.options["parent"]
            error.hint = f"{parent} may have children of another type or mode, or be one that takes none"
        return error

    def _find(self, netlink: Netlink, placement: NetworkPlacement) -> Link:
        """The interface, by the number that its namespace was to have, or else in every namespace with a number."""
        for nsid in self._numbers(netlink, placement):
            try:
                link = netlink.link(name=placement.container_name, nsid=nsid)
            except KernelError as error:
                if error.errno != errno.EINVAL:  # no namespace has that number
                    raise
                continue
            if link is not None and link.alias == placement.options["alias"]:
                return link
        raise KernelError("cannot read counters", where=placement.container_name, errno=errno.ENODEV)

    def _numbers(self, netlink: Netlink, placement: NetworkPlacement) -> Iterator[int]:
        wanted = _wanted_number(placement)
        yield wanted
        yield from (number for number in all_numbers(netlink) if number != wanted)


def _wanted_number(placement: NetworkPlacement) -> int:
    """The same for all interfaces of a container; ids have no colon."""
    return number_for(placement.options["alias"].split(":")[1])
