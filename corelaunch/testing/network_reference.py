"""The reference network strategy: a veth pair by the standard library alone. The contract holds it to be right.

It claims every feature of a pair alone; for those of a bridge see network_reference_bridge.py and
network_reference_nat.py, for that of a program network_reference_companion.py; :class:`PlainVeth` claims none.
"""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from ipaddress import ip_interface
from string import ascii_letters, digits
from typing import Any

from corelaunch.api import (
    AlreadyExists,
    ConfigError,
    Effect,
    KernelError,
    LaunchContext,
    NetworkPlacement,
    NetworkRequest,
    NetworkStrategy,
    ProcessHandle,
)

from . import network_rtnetlink as rt
from .network_rtnetlink import Rtnetlink, attribute
from .network_stage import FEATURES

_OF_DNS = set(ascii_letters + digits + "-_.:,")


class ReferenceVeth(NetworkStrategy):
    """Options: those that the claimed features bring."""

    features = frozenset(FEATURES) - {"bridge", "nat", "move", "companion"}

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        known = [option for feature in self.features for option in FEATURES[feature]]
        for option in request.options:
            if option not in known:
                raise ConfigError("unknown option", where=option)
        self.check_values(request.options)
        name = sha256(f"{request.container_id} {request.index}".encode()).hexdigest()[:12]
        inside = request.options.get("name", f"eth{request.index}")
        return NetworkPlacement(f"ref{name}", inside, dict(request.options), **self.for_core(request, inside))

    def check_values(self, options: Mapping[str, str]) -> None:
        """Refuse what the kernel would refuse later, or take for something else."""
        for option, text in options.items():
            try:
                good = all(_CHECKS.get(option, bool)(part) for part in text.split(","))
            except ValueError:
                good = False
            if not good:
                raise ConfigError(f"malformed: {text!r}", where=option)

    def for_core(self, request: NetworkRequest, inside: str) -> dict[str, Any]:
        """What core does for a strategy: fields of the placement."""
        asked = request.options
        for option in ("dns", "search", "dns-option", "add-host"):
            if not set(asked.get(option, "")) <= _OF_DNS:
                raise ConfigError("malformed", where=option)
        hosts = [entry.partition(":") for entry in _list(asked, "add-host")]
        for option, addresses in (("dns", _list(asked, "dns")), ("add-host", [address for _, _, address in hosts])):
            if not all(_is_address(address) for address in addresses):
                raise ConfigError("not an address", where=option)
        return {
            "addresses": _list(asked, "address"),
            "sysctl": {f"net/ipv6/conf/{inside}/accept_ra": asked["accept-ra"]} if "accept-ra" in asked else {},
            "nameservers": _list(asked, "dns"),
            "search": _list(asked, "search"),
            "resolver_options": _list(asked, "dns-option"),
            "hosts": [f"{address} {name}" for name, _, address in hosts],
        }

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        namespace = self.open_namespace(process)
        try:
            with Rtnetlink() as netlink:
                if placement.host_name in netlink.links():
                    raise AlreadyExists("link exists", where=placement.host_name)
                mac = (b"\x02" + os.urandom(5)).hex(":")
                effect = ctx.intend("link", placement.host_name, absent=True, mac=mac)
                self.make(netlink, placement, namespace, mac)
                link = netlink.links()[placement.host_name]
                ctx.done(effect, ifindex=link.index)
                netlink.set_link(link.index, up=True)
        except OSError as error:
            raise KernelError.of("cannot create link", error, where=placement.host_name) from error
        finally:
            os.close(namespace)

    def open_namespace(self, process: ProcessHandle) -> int:
        """A descriptor of the process's network namespace."""
        try:
            namespace = os.open(f"/proc/{process.pid}/ns/net", os.O_RDONLY)
            with open(f"/proc/{process.pid}/stat", encoding="utf-8") as stat:
                start_time = int(stat.read().rpartition(")")[2].split()[19])
        except OSError as error:
            raise KernelError.of("cannot open network namespace", error) from error
        if start_time != process.start_time:
            os.close(namespace)
            raise KernelError("the process is gone", errno=errno.ESRCH)
        return namespace

    def make(
        self, netlink: Rtnetlink, placement: NetworkPlacement, namespace: int, mac: str, more: bytes = b""
    ) -> None:
        """Make the pair in one message; ``more`` are attributes of the host's end."""
        peer = attribute(rt.IFLA_IFNAME, placement.container_name) + attribute(rt.IFLA_NET_NS_FD, namespace)
        if "mtu" in placement.options:
            mtu = attribute(rt.IFLA_MTU, int(placement.options["mtu"]))
            peer, more = peer + mtu, more + mtu
        if "mac" in placement.options:
            peer += attribute(rt.IFLA_ADDRESS, _mac_bytes(placement.options["mac"]))
        netlink.make_veth(placement.host_name, peer, attribute(rt.IFLA_ADDRESS, _mac_bytes(mac)) + more)

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        try:
            with Rtnetlink(netlink_fd) as netlink:
                link = netlink.links().get(placement.container_name)
                if link is None:
                    raise KernelError("no such link", where=placement.container_name, errno=errno.ENODEV)
                index = link.index
                netlink.set_link(index, up=True)
                for address in _list(placement.options, "address"):
                    self.add_address(netlink, index, address)
                for gateway in _list(placement.options, "gateway"):
                    self.add_route(netlink, index, f"{'::/0' if ':' in gateway else '0.0.0.0/0'} via {gateway}")
                for route in _list(placement.options, "route"):
                    self.add_route(netlink, index, route)
        except OSError as error:
            raise KernelError.of("cannot set up link", error, where=placement.container_name) from error

    def add_address(self, netlink: Rtnetlink, index: int, cidr: str) -> None:
        """Give the link an address that needs no duplicate detection."""
        netlink.add_address(index, cidr)

    def add_route(self, netlink: Rtnetlink, index: int, route: str) -> None:
        """Give the link a route that none has yet."""
        netlink.add_route(index, route)

    def stats(self, placement: NetworkPlacement) -> Mapping[str, int]:
        if "stats" not in self.features:
            raise self.unsupported("stats", "stats")
        with Rtnetlink() as netlink:
            link = netlink.links().get(placement.host_name)
        if link is None:
            raise KernelError("no such link", where=placement.host_name, errno=errno.ENODEV)
        return {{"rx": "tx", "tx": "rx"}[name[:2]] + name[2:]: value for name, value in link.counters.items()}

    def attach(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        if "attach" not in self.features:
            raise self.unsupported("attach", "attach")
        self.create(placement, process, ctx)

    def detach(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        if "attach" not in self.features:
            raise self.unsupported("detach", "attach")
        self.destroy(placement, effects)

    def check(self, placement: NetworkPlacement, effects: Sequence[Effect], process: ProcessHandle) -> None:
        if "check" not in self.features:
            raise self.unsupported("check", "check")
        # A pair's ends go together.
        with Rtnetlink() as netlink:
            link = netlink.links().get(placement.host_name)
        made = [effect.facts.get("ifindex") for effect in effects if effect.name == placement.host_name]
        if link is None or made != [link.index]:
            raise KernelError("no such link", where=placement.host_name, errno=errno.ENODEV)

    def collect(
        self, request: NetworkRequest, living: Callable[[], Sequence[tuple[NetworkPlacement, Sequence[Effect]]]]
    ) -> None:
        if "gc" not in self.features:
            raise self.unsupported("collect", "gc")
        kept = {effect.name for _, effects in living() for effect in effects}
        with Rtnetlink() as netlink:
            for name, link in netlink.links().items():
                if name.startswith("ref") and name not in kept:
                    self.delete(netlink, link.index)

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        with Rtnetlink() as netlink:
            for effect in effects:
                link = netlink.links().get(effect.name)
                if link is None or link.mac != effect.args["mac"]:
                    continue
                if effect.done and link.index != effect.facts["ifindex"]:
                    continue
                self.delete(netlink, link.index)

    def delete(self, netlink: Rtnetlink, index: int) -> None:
        """Delete a link; gone is fine."""
        try:
            netlink.delete_link(index)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise KernelError.of("cannot delete link", error) from error


class PlainVeth(ReferenceVeth):
    """The same, without a claim: everything else must be refused."""

    features = frozenset()


def _list(options: Mapping[str, str], option: str) -> list[str]:
    return [part for part in options.get(option, "").split(",") if part]


def _is_route(text: str) -> bool:
    destination, _via, gateway = text.partition(" via ")
    return bool(ip_interface(destination)) and _is_address(gateway)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 15 and text not in (".", "..") and not set(text) & set("/: ")


def _is_address(text: str) -> bool:
    try:
        return bool(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text))
    except OSError:
        return False


def _mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


_CHECKS: Mapping[str, Callable[[str], object]] = {
    "address": ip_interface,
    "bridge-address": ip_interface,
    "gateway": _is_address,
    "route": _is_route,
    "mtu": lambda text: 68 <= int(text) <= 65535,
    "mac": lambda text: len(_mac_bytes(text)) == 6,
    "name": _is_name,
    "bridge": _is_name,
    "nat": lambda text: text == "true",
    "accept-ra": lambda text: text in ("0", "1", "2"),
}
