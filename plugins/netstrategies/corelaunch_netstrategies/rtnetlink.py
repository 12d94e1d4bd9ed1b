"""Links, addresses and routes over a NETLINK_ROUTE socket, with pyroute2's messages. Source: rtnetlink(7)."""

from __future__ import annotations

import errno
import struct
import time

from corelaunch.api import DeadlineExceeded, KernelError, Record

from . import pyroute2_messages
from .cidr import parse_cidr
from .netlink_socket import (
    HEADER,
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REQUEST,
    SOL_NETLINK,
    NetlinkSocket,
    attributes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

NETLINK_ROUTE = 0

# Message types of rtnetlink(7).
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE = 24
RTM_NEWLINKPROP, RTM_DELLINKPROP = 108, 109

IFF_UP = 0x1
IFA_F_NODAD, IFA_F_PERMANENT = 0x02, 0x80
RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST = 254, 4, 1
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253

#: A nested attribute has at most 64 KiB, and a name 128 bytes (ALTIFNAMSIZ of <linux/if.h>).
_NAMES_IN_MESSAGE = 100

#: Of <linux/netlink.h>; size of struct ifinfomsg of <linux/rtnetlink.h>; an attribute of <linux/if_link.h>.
NETLINK_GET_STRICT_CHK, _LINK_SIZE, IFLA_MASTER = 12, 16, 10

#: struct ifaddrmsg of <linux/if_addr.h>.
_ADDRESS = struct.Struct("=BBBBI")


class Link(Record):
    """A network interface as the kernel describes it. ``mac`` and ``alias`` are "" when there is none."""

    index: int
    name: str
    kind: str
    mac: str
    alias: str
    up: bool
    mtu: int
    #: Number of the bridge, bond or the like that it is a port of, 0 if it is none's.
    master: int
    #: Alternative names (IFLA_ALT_IFNAME): each is one link's in a network namespace, like the name.
    alternatives: Sequence[str]
    #: IFLA_STATS64: rx_packets, rx_bytes, tx_errors, … as seen from this side.
    counters: Mapping[str, int]


class Netlink(NetlinkSocket):
    """A NETLINK_ROUTE socket; see NetlinkSocket."""

    def __init__(self, deadline: float, fd: int = -1) -> None:
        super().__init__(NETLINK_ROUTE, deadline, fd)
        # The kernel then heeds the number of the link for which addresses are asked, and does not list all of the host.
        self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        self._link_message, self._address_message, self._route_message = pyroute2_messages.load()

    def link(self, *, name: str = "", index: int = 0, alternative: str = "", nsid: int = -1) -> Link | None:
        """The interface of that name, number or alternative name, None if there is none.

        Args:
            nsid: the network namespace to look in, by the number that the socket's own has for it; -1: the own.
        """
        message = self._link_message()
        message["index"] = index
        if name or alternative:
            message["attrs"] = [("IFLA_ALT_IFNAME", alternative) if alternative else ("IFLA_IFNAME", name)]
        if nsid >= 0:
            message["attrs"].append(("IFLA_IF_NETNSID", nsid))
        try:
            answer = self._request(message, RTM_GETLINK, 0, "cannot look up link", name or alternative or str(index))
        except KernelError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        found = self._link_message(answer)
        found.decode()
        information = found.get_attr("IFLA_LINKINFO")
        properties = found.get_attr("IFLA_PROP_LIST")
        return Link(
            index=found["index"],
            name=_text(found.get_attr("IFLA_IFNAME")),
            kind=(information.get_attr("IFLA_INFO_KIND") if information else None) or "",
            mac=found.get_attr("IFLA_ADDRESS") or "",
            alias=_text(found.get_attr("IFLA_IFALIAS")),
            up=bool(found["flags"] & IFF_UP),
            mtu=found.get_attr("IFLA_MTU") or 0,
            master=found.get_attr("IFLA_MASTER") or 0,
            alternatives=[_text(name) for name in properties.altnames()] if properties else [],
            counters=dict(found.get_attr("IFLA_STATS64") or {}),
        )

    def create_link(self, name: str, attributes: Sequence[tuple[str, Any]]) -> None:
        """Make an interface. KernelError with EEXIST when the name is taken, here or where its peer goes."""
        message = self._link_message()
        message["attrs"] = [("IFLA_IFNAME", name), *attributes]
        self._request(message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "cannot create link", name)

    def set_link(self, link: Link, *, up: bool | None = None, attributes: Sequence[tuple[str, Any]] = ()) -> None:
        """Change an interface: ``up`` brings it up or down, ``attributes`` are IFLA_* pairs."""
        message = self._link_message()
        message["index"] = link.index
        if up is not None:
            message["flags"], message["change"] = (IFF_UP if up else 0), IFF_UP
        message["attrs"] = list(attributes)
        self._request(message, RTM_NEWLINK, 0, "cannot set up link", link.name)

    def add_alternative(self, link: Link, name: str) -> None:
        """Give an interface one more name. KernelError with EEXIST when another one has it."""
        message = self._link_message()
        message["index"] = link.index
        message["attrs"] = [("IFLA_PROP_LIST", {"attrs": [("IFLA_ALT_IFNAME", name)]})]
        flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND
        self._request(message, RTM_NEWLINKPROP, flags, "cannot name link", name)

    def remove_alternatives(self, link: Link, names: Sequence[str]) -> None:
        """Take alternative names from an interface."""
        for start in range(0, len(names), _NAMES_IN_MESSAGE):
            message = self._link_message()
            message["index"] = link.index
            some = [
                ("IFLA_ALT_IFNAME", name.encode(errors="surrogateescape"))
                for name in names[start : start + _NAMES_IN_MESSAGE]
            ]
            message["attrs"] = [("IFLA_PROP_LIST", {"attrs": some})]
            self._request(message, RTM_DELLINKPROP, 0, "cannot take alternative names from link", link.name)

    def delete_link(self, link: Link) -> None:
        """Delete an interface (a veth goes with its peer); one that has gone meanwhile is fine."""
        message = self._link_message()
        message["index"] = link.index
        try:
            self._request(message, RTM_DELLINK, 0, "cannot delete link", link.name)
        except KernelError as error:
            if error.errno != errno.ENODEV:
                raise

    def add_address(self, link: Link, address: str) -> None:
        """Give an interface an address, ``"10.0.0.2/24"`` or ``"fd00::2/64"``; usable at once."""
        family, host, prefix = parse_cidr(address)
        message = self._address_message()
        message["family"], message["prefixlen"], message["index"] = family, prefix, link.index
        # Duplicate address detection would keep an IPv6 address from being used for its first second.
        flags = IFA_F_NODAD if ":" in host else 0
        message["attrs"] = [("IFA_LOCAL", host), ("IFA_ADDRESS", host), ("IFA_FLAGS", flags)]
        what = "cannot add address"
        self._request(message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, what, f"{address} on {link.name}")

    def addresses(self, link: Link, *, lasting: bool = False) -> list[str]:
        """The addresses of an interface, as ``add_address`` takes them; ``lasting``: permanent ones of global scope."""
        message = self._address_message()
        message["index"] = link.index
        found = []
        for answer in self._dump(message, RTM_GETADDR, "cannot list addresses", link.name):
            _family, prefix, _flags, scope, index = _ADDRESS.unpack_from(answer, HEADER.size)
            if index == link.index:
                one = self._address_message(answer)
                one.decode()
                if lasting and (scope != RT_SCOPE_UNIVERSE or not one.get_attr("IFA_FLAGS") & IFA_F_PERMANENT):
                    continue
                found.append(f"{one.get_attr('IFA_LOCAL') or one.get_attr('IFA_ADDRESS')}/{prefix}")
        return found

    def has_ports(self, bridge: Link) -> bool:
        """Whether any interface has this one for its master."""
        number = struct.pack("=I", bridge.index)

        def is_port(answer: bytes) -> bool:
            return attributes(answer, HEADER.size + _LINK_SIZE).get(IFLA_MASTER) == number

        message = self._link_message()
        message["attrs"] = [("IFLA_MASTER", bridge.index)]
        return any(map(is_port, self._dump(message, RTM_GETLINK, "cannot list ports", bridge.name, is_port)))

    def add_route(self, link: Link, destination: str, gateway: str, *, priority: int = 0) -> None:
        """Add a route to ``destination`` (CIDR) by ``gateway``, or straight onto the link when that is "".

        Of several to the same destination the lowest priority counts; 0 is the kernel's default.
        """
        family, host, prefix = parse_cidr(destination)
        message = self._route_message()
        message["family"], message["dst_len"], message["table"] = family, prefix, RT_TABLE_MAIN
        message["proto"], message["type"] = RTPROT_STATIC, RTN_UNICAST
        message["scope"] = RT_SCOPE_UNIVERSE if gateway or ":" in host else RT_SCOPE_LINK
        message["attrs"] = [("RTA_OIF", link.index)]
        if prefix:
            message["attrs"].append(("RTA_DST", host))
        if gateway:
            message["attrs"].append(("RTA_GATEWAY", gateway))
        if priority:
            message["attrs"].append(("RTA_PRIORITY", priority))
        where = f"{destination} via {gateway} on {link.name}" if gateway else f"{destination} on {link.name}"
        self._request(message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "cannot add route", where)

    def _request(self, message: Any, kind: int, flags: int, what: str, where: str) -> bytes:
        """Send one message and wait for its acknowledgement; the data message that came before it, if any."""
        answers = self._exchange(message, kind, NLM_F_ACK | flags, what, where)
        return answers[-1] if answers else b""

    def _dump(
        self, message: Any, kind: int, what: str, where: str, enough: Callable[[bytes], bool] = lambda _answer: False
    ) -> list[bytes]:
        """Ask for all of a kind; every data message of the answer.

        What changes while the kernel lists it is asked for again, unless there is a message that is ``enough``: where
        thousands come and go, a long list is hardly ever whole.
        """
        while True:
            self._interrupted = False
            answers = self._exchange(message, kind, NLM_F_DUMP, what, where)
            if not self._interrupted or any(map(enough, answers)):
                return answers
            if time.monotonic() > self._deadline:
                raise DeadlineExceeded(what, where=where, why="it changes all the time")

    def _exchange(self, message: Any, kind: int, flags: int, what: str, where: str) -> list[bytes]:
        message["header"]["type"] = kind
        message["header"]["flags"] = NLM_F_REQUEST | flags
        message["header"]["sequence_number"] = self.next_sequence()
        message.encode()
        return self.exchange(bytes(message.data), what, [where])


def _text(value: str | bytes | None) -> str:
    """A name or alias; pyroute2 leaves it as it is if it is no UTF-8, which the kernel does not ask of a container."""
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value or ""
