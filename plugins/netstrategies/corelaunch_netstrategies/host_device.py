"""Network strategy ``host-device``: an interface that the host has already moves into the container, and back.

``linux.netDevices`` of config.json is this strategy, too, without the way back: the specification leaves that to the
kernel, which returns physical devices and destroys virtual ones with the container's network namespace.
"""

from __future__ import annotations

import errno
import os

from corelaunch.api import AlreadyExists, KernelError, NetworkStrategy, hookimpl

from . import options, pair, pinned_namespace
from .namespace_numbers import number_for, number_of
from .namespaces import ContainerNamespace
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corelaunch.api import Effect, LaunchContext, NetworkPlacement, NetworkRequest, ProcessHandle

    from .rtnetlink import Link

corelaunch_api = 1


class HostDevice(NetworkStrategy):
    """Moves a device per request. Options: see the README of corelaunch-netstrategies."""

    features = frozenset({"addresses", "routes", "mtu", "name", "accept-ra", "dns", "move"})

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        """The device's name inside, and the addresses that it has now if they are to be kept.

        Raises:
            ConfigError: an option is malformed.
        """
        placement = options.place_host_device(request)
        if not placement.options["keep-addresses"]:
            return placement
        with Netlink(pair.patience()) as netlink:
            device = netlink.link(name=placement.options["device"])
            kept = netlink.addresses(device, lasting=True) if device is not None else []
        addresses = [*placement.addresses, *(address for address in kept if address not in placement.addresses)]
        return placement.replace(  # type: ignore[no-any-return]
            addresses=addresses, options={**placement.options, "address": addresses}
        )

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        """Keep the container's network namespace, if the device is to come back, and move the device into it.

        Raises:
            AlreadyExists: the container has an interface of that name.
            ConfigError: the container has no network namespace of its own.
            KernelError: there is no such device, or it cannot be moved (the loopback, a port of a bridge).
        """
        asked = placement.options
        with ContainerNamespace(process) as container, Netlink(ctx.deadline) as netlink:
            pair.check_own_namespace(container, asked["device"])
            device = self._movable(netlink, asked["device"])
            number = number_of(netlink, container.fd, number_for(asked["alias"].split(":")[1]))
            if netlink.link(name=placement.container_name, nsid=number) is not None:
                raise _taken_inside(placement.container_name)
            effect = self._pin(netlink, placement, device, container, ctx) if asked["restore"] else None
            attributes: list[tuple[str, Any]] = [("IFLA_NET_NS_FD", container.fd)]
            attributes.append(("IFLA_IFNAME", placement.container_name))
            if "%d" in placement.container_name:
                # The kernel chooses the name, so that initialize has to know the number.
                attributes.append(("IFLA_NEW_IFINDEX", _number_inside(placement)))
            try:
                netlink.set_link(device, attributes=attributes)
            except KernelError as error:
                if error.errno == errno.EEXIST:
                    raise _taken_inside(placement.container_name) from error
                raise
            if effect is not None:
                inside = netlink.link(name=placement.container_name, nsid=number)
                ctx.done(effect, index=inside.index if inside is not None else _number_inside(placement))

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        """MTU, up, addresses (the kernel takes them away with the move), routes and default gateways."""
        index = _number_inside(placement) if "%d" in placement.container_name else 0
        with Netlink(ctx.deadline, netlink_fd) as netlink:
            link = netlink.link(index=index) if index else netlink.link(name=placement.container_name)
            if link is None:
                raise KernelError("cannot set up link", where=placement.container_name, errno=errno.ENODEV)
            if placement.options["mtu"]:
                netlink.set_link(link, attributes=[("IFLA_MTU", placement.options["mtu"])])
        pair.set_up(placement.replace(container_name=link.name), placement.options["address"], netlink_fd, ctx)

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        """Take the device back, make it what it was, and let the container's network namespace go.

        Raises:
            KernelError: the kernel refused; or the device is back under another name, since its own is taken.
        """
        for effect in effects:
            if effect.kind != "netns":
                continue
            deadline = pair.patience()
            with Netlink(deadline) as netlink:
                if pair.home_is_here(netlink, effect):
                    self._take_back(netlink, effect, deadline)
            pinned_namespace.unpin(effect.name)

    def _movable(self, netlink: Netlink, name: str) -> Link:
        device = netlink.link(name=name)
        if device is None or device.name != name:
            hint = "ip -brief link lists the host's interfaces; one that is in another container is not among them"
            raise KernelError("cannot move device", where=name, why="no such interface", hint=hint)
        if device.master:
            master = netlink.link(index=device.master)
            why = f"it is a port of {master.name if master is not None else 'another interface'}"
            raise KernelError("cannot move device", where=name, why=why, hint=f"ip link set {name} nomaster")
        return device

    def _pin(
        self,
        netlink: Netlink,
        placement: NetworkPlacement,
        device: Link,
        container: ContainerNamespace,
        ctx: LaunchContext,
    ) -> Effect:
        # With random digits: runtimes with other state roots may have a container of the same id.
        path = f"{pinned_namespace.DIRECTORY}/{placement.options['pin']}-{os.urandom(4).hex()}"
        was: dict[str, Any] = {"kind": device.kind, "mac": device.mac, "mtu": device.mtu, "up": device.up}
        was |= {"alias": device.alias, "alternatives": list(device.alternatives), "index": device.index}
        was["addresses"] = netlink.addresses(device, lasting=True)
        inside = {"inside": placement.container_name, "number": _number_inside(placement)}
        home = pair.home_of(netlink)
        effect = ctx.intend("netns", path, absent=True, device=device.name, was=was, **inside, **home)
        pinned_namespace.pin(container.fd, path)
        return effect

    def _take_back(self, netlink: Netlink, effect: Effect, deadline: float) -> None:
        name, was = effect.args["device"], effect.args["was"]
        moved_as = ""
        if pinned_namespace.is_pinned(effect.name):
            moved_as = self._move_back(netlink, effect, deadline)
        device = netlink.link(name=moved_as or name)
        if device is None and not moved_as:
            # The namespace was not kept any more: the kernel has returned a physical device, under the name inside.
            device = netlink.link(index=was["index"])
            if device is not None and device.mac == was["mac"]:
                netlink.set_link(device, attributes=[("IFLA_IFNAME", name)])
                device = netlink.link(name=name)
        if device is None or not (moved_as or device.index == was["index"] or device.mac == was["mac"]):
            return  # the container destroyed it, or the kernel did
        self._restore(netlink, device, was)
        if device.name != name:
            why = f"another interface has its name by now, so it is {device.name}"
            hint = f"ip link set {device.name} name {name}, when that is free; then delete again"
            raise KernelError("device is back under another name", where=name, why=why, hint=hint)

    def _move_back(self, netlink: Netlink, effect: Effect, deadline: float) -> str:
        """Move the device out of the namespace that was kept; its name now, "" if it is not in there."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        fd = -1
        try:
            fd = pinned_namespace.open_netlink(effect.name, deadline)
            with Netlink(deadline, fd) as inside:
                # By number: a container may rename its interfaces, and cannot number them. One that was not confirmed
                # was in a container that never ran, and so has its name and address still, if it has moved.
                if effect.done:
                    device = inside.link(index=effect.facts["index"])
                else:
                    device = inside.link(name=effect.args["inside"]) or inside.link(index=effect.args["number"])
                was = effect.args["was"]
                if device is None or device.kind != was["kind"] or not (effect.done or device.mac == was["mac"]):
                    return ""
                # A device does not move to where another one has any of its names: a container could keep it so.
                inside.remove_alternatives(device, device.alternatives)
                name: str = effect.args["device"]
                for target in (name, *(f"clback{number}" for number in range(100))):
                    if netlink.link(name=target) is not None:
                        continue
                    attributes: list[tuple[str, Any]] = [("IFLA_NET_NS_FD", own), ("IFLA_IFNAME", target)]
                    if netlink.link(index=was["index"]) is None:
                        attributes.append(("IFLA_NEW_IFINDEX", was["index"]))
                    inside.set_link(device, attributes=attributes)
                    return target
            raise KernelError("cannot take device back", where=name, why="all names are taken", errno=errno.EEXIST)
        finally:
            os.close(own)
            if fd >= 0:
                os.close(fd)

    def _restore(self, netlink: Netlink, device: Link, was: dict[str, Any]) -> None:
        """What a container may have changed, and what the kernel takes away with a move, is as it was."""
        if device.mac != was["mac"]:
            netlink.set_link(device, up=False)
            netlink.set_link(device, attributes=[("IFLA_ADDRESS", was["mac"])])
        if device.mtu != was["mtu"]:
            netlink.set_link(device, attributes=[("IFLA_MTU", was["mtu"])])
        netlink.set_link(device, up=was["up"])
        present = netlink.addresses(device) if was["addresses"] else []
        for address in was["addresses"]:
            if address not in present:
                netlink.add_address(device, address)
        if device.alias != was["alias"]:
            netlink.set_link(device, attributes=[("IFLA_IFALIAS", was["alias"])])
        netlink.remove_alternatives(device, [name for name in device.alternatives if name not in was["alternatives"]])
        # Last: one that another link has by now is an error, which does not keep the rest from being as it was.
        for name in was["alternatives"]:
            if name not in device.alternatives:
                netlink.add_alternative(device, name)


@hookimpl
def corelaunch_network_strategy() -> NetworkStrategy:
    """See ``corelaunch.hookspecs``."""
    return HostDevice()


def _number_inside(placement: NetworkPlacement) -> int:
    """The number that a device gets whose name the kernel chooses: 30 bits, hardly ever another one's."""
    return number_for(placement.options["alias"] + placement.options["device"]) >> 1 | 1 << 29


def _taken_inside(name: str) -> AlreadyExists:
    return AlreadyExists("a link of that name exists in the container", where=name, hint="choose another name")
