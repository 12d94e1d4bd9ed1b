"""The netlink socket of the strategies: the kernel's own words, patience with an end, nothing left changed."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from corelaunch_netstrategies.cidr import parse_cidr
from corelaunch_netstrategies.netlink_socket import NLMSG_ERROR
from corelaunch_netstrategies.rtnetlink import Netlink

from corelaunch.api import DeadlineExceeded, KernelError
from corelaunch.testing.network_host import private_network

pytestmark = pytest.mark.needs_root


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def netlink() -> Iterator[Netlink]:
    with Netlink(time.monotonic() + 10) as netlink:
        yield netlink


def make_pair(netlink: Netlink, name: str) -> None:
    information = {"attrs": [("IFLA_INFO_KIND", "veth")]}
    netlink.create_link(name, [("IFLA_LINKINFO", information)])


def test_a_link_that_is_not_there_is_none(netlink: Netlink) -> None:
    assert netlink.link(name="clnet0") is None
    assert netlink.link(index=4711) is None


def test_a_link_is_found_by_name_and_by_number_and_is_the_same(netlink: Netlink) -> None:
    make_pair(netlink, "clnet0")
    link = netlink.link(name="clnet0")
    assert link is not None and link.kind == "veth" and not link.up
    assert netlink.link(index=link.index) == link


def test_a_name_that_is_taken_is_eexist(netlink: Netlink) -> None:
    make_pair(netlink, "clnet0")
    with pytest.raises(KernelError) as caught:
        make_pair(netlink, "clnet0")
    assert (caught.value.errno, caught.value.where) == (errno.EEXIST, "clnet0")


def test_the_kernels_own_sentence_is_in_the_error(netlink: Netlink) -> None:
    make_pair(netlink, "clnet0")
    link = netlink.link(name="clnet0")
    assert link is not None
    with pytest.raises(KernelError, match="mtu greater than device maximum"):
        netlink.set_link(link, attributes=[("IFLA_MTU", 1_000_000)])


def test_deleting_a_link_that_has_gone_is_fine(netlink: Netlink) -> None:
    make_pair(netlink, "clnet0")
    link = netlink.link(name="clnet0")
    assert link is not None
    netlink.delete_link(link)
    netlink.delete_link(link)
    assert netlink.link(name="clnet0") is None


class Silent(socket.socket):
    """A socket that swallows every request, so that nobody answers."""

    def sendto(self, *_message: object) -> int:
        return 0


def test_a_deadline_that_has_passed_ends_the_wait() -> None:
    with Netlink(time.monotonic() + 0.05) as netlink:
        netlink._socket.close()
        netlink._socket = Silent(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)
        with pytest.raises(DeadlineExceeded, match="clnet0: the kernel did not answer in time"):
            netlink.link(name="clnet0")


def test_what_anybody_but_the_kernel_sends_is_no_answer(netlink: Netlink) -> None:
    assert netlink.link(name="lo") is not None  # so that the socket has its port
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE) as hostile:
        for ahead in range(1, 9):
            refused = struct.pack("=IHHIIi", 20, NLMSG_ERROR, 0, netlink._sequence + ahead, 0, -errno.EPERM)
            hostile.sendto(refused, (netlink._socket.getsockname()[0], 0))
    found = netlink.link(name="lo")
    assert found is not None and found.name == "lo"


class Chatty(Silent):
    """A socket into which somebody else sends all the time, and the kernel nothing."""

    def recvfrom(self, *_size: object) -> Any:
        return b"x", (4711, 0)


def test_a_deadline_ends_the_wait_though_somebody_sends_all_the_time() -> None:
    with Netlink(time.monotonic() + 0.05) as netlink:
        netlink._socket.close()
        ours, its = socket.socketpair()
        its.send(b"always something to read")
        netlink._socket = Chatty(fileno=ours.detach())
        with its, pytest.raises(DeadlineExceeded, match="clnet0: the kernel did not answer in time"):
            netlink.link(name="clnet0")


def test_a_link_with_as_many_alternative_names_as_the_kernel_takes_is_read(netlink: Netlink) -> None:
    make_pair(netlink, "clnet0")
    link = netlink.link(name="clnet0")
    assert link is not None
    names = []
    with pytest.raises(KernelError, match="property list too long"):
        while True:
            netlink.add_alternative(link, name := f"{len(names):04d}".ljust(127, "x"))
            names.append(name)
    found = netlink.link(name="clnet0")
    assert found is not None and found.alternatives == names and len("".join(names)) > 60000


def test_names_that_are_no_text_are_read_without_an_error(netlink: Netlink) -> None:
    make_pair(netlink, "clnet0")
    link = netlink.link(name="clnet0")
    assert link is not None
    odd = b"\xff\xfe\xfd"
    netlink.set_link(link, attributes=[("IFLA_IFNAME", odd), ("IFLA_IFALIAS", odd)])
    found = netlink.link(index=link.index)
    assert found is not None and found.name == found.alias == odd.decode(errors="surrogateescape")


def test_what_the_kernel_has_answered_counts_however_late_it_is() -> None:
    with Netlink(time.monotonic() - 1) as netlink:
        make_pair(netlink, "clnet0")
        link = netlink.link(name="clnet0")
    assert link is not None


def test_a_handed_socket_stays_open_and_blocking() -> None:
    handed = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)
    with handed:
        before = fcntl.fcntl(handed.fileno(), fcntl.F_GETFL)
        with Netlink(time.monotonic() + 10, handed.fileno()) as netlink:
            assert netlink.link(name="lo") is not None
        assert fcntl.fcntl(handed.fileno(), fcntl.F_GETFL) == before
        assert os.fstat(handed.fileno())


def test_two_users_of_one_socket_do_not_take_each_others_answers() -> None:
    handed = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)
    with handed:
        # An answer that nobody has read: RTM_GETLINK of number 1, without an acknowledgement.
        handed.sendto(b"\x20\0\0\0\x12\0\x01\0\x07\0\0\0\0\0\0\0" + b"\0\0\0\0\x01\0\0\0" + bytes(8), (0, 0))
        with Netlink(time.monotonic() + 10, handed.fileno()) as netlink:
            make_pair(netlink, "clnet0")
            link = netlink.link(name="clnet0")
    assert link is not None and link.name == "clnet0"


def test_it_works_inside_a_running_event_loop(netlink: Netlink) -> None:
    async def look_up() -> bool:
        return netlink.link(name="lo") is not None

    assert asyncio.run(look_up())


def test_namespaces_have_different_cookies(netlink: Netlink) -> None:
    with private_network(), Netlink(time.monotonic() + 10) as other:
        assert other.namespace_cookie() != netlink.namespace_cookie()


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("10.0.0.2/8", (socket.AF_INET, "10.0.0.2", 8)),
        ("0.0.0.0/0", (socket.AF_INET, "0.0.0.0", 0)),
        ("FD00:0::1/128", (socket.AF_INET6, "fd00::1", 128)),
    ],
)
def test_a_cidr_is_parsed_to_its_canonical_form(text: str, parsed: tuple[int, str, int]) -> None:
    assert parse_cidr(text) == parsed
