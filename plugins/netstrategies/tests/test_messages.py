"""Our messages of rtnetlink say to pyroute2, who knows the protocol from elsewhere, what they are meant to say."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import pytest
from corelaunch_netstrategies import messages
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

HEADER = 16


def read(kind: Any, body: bytes) -> Any:
    """A body as pyroute2 reads it."""
    length = HEADER + len(body)
    message = kind(length.to_bytes(4, sys.byteorder) + bytes(HEADER - 4) + body)
    message.decode()
    return message


def written(message: Any) -> bytes:
    """A body as pyroute2 writes it."""
    message.encode()
    return bytes(message.data[HEADER:])


def test_a_pair_with_all_its_attributes_is_one() -> None:
    inner = messages.link(
        [
            (messages.IFLA_IFNAME, "eth0"),
            (messages.IFLA_NET_NS_FD, 7),
            (messages.IFLA_MTU, 1400),
            (messages.IFLA_ADDRESS, messages.mac_bytes("02:00:00:00:00:02")),
        ]
    )
    pair = [(messages.IFLA_INFO_KIND, "veth"), (messages.IFLA_INFO_DATA, [(messages.VETH_INFO_PEER, inner)])]
    seen = read(
        ifinfmsg,
        messages.link([(messages.IFLA_IFNAME, "clnet0"), (messages.IFLA_MASTER, 9), (messages.IFLA_LINKINFO, pair)]),
    )
    assert (seen.get_attr("IFLA_IFNAME"), seen.get_attr("IFLA_MASTER"), seen["index"]) == ("clnet0", 9, 0)
    peer = seen.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "VETH_INFO_PEER")
    assert seen.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "veth"
    assert (peer.get_attr("IFLA_IFNAME"), peer.get_attr("IFLA_NET_NS_FD"), peer.get_attr("IFLA_MTU")) == (
        "eth0",
        7,
        1400,
    )
    assert peer.get_attr("IFLA_ADDRESS") == "02:00:00:00:00:02"


def test_a_port_that_is_isolated_and_brought_up() -> None:
    port = [(messages.IFLA_BRPORT_ISOLATED, b"\1")]
    slave = [(messages.IFLA_INFO_SLAVE_KIND, "bridge"), (messages.IFLA_INFO_SLAVE_DATA, port)]
    body = messages.link([(messages.IFLA_IFALIAS, "alias"), (messages.IFLA_LINKINFO, slave)], index=5, up=True)
    seen = read(ifinfmsg, body)
    assert (seen["index"], seen["flags"], seen["change"], seen.get_attr("IFLA_IFALIAS")) == (5, 1, 1, "alias")
    assert seen.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_ISOLATED") == 1


@pytest.mark.parametrize(
    ("family", "host", "prefix", "flags"), [(socket.AF_INET, "10.0.0.2", 24, 0), (socket.AF_INET6, "fd00::2", 64, 2)]
)
def test_an_address(family: int, host: str, prefix: int, flags: int) -> None:
    body = messages.address(family, socket.inet_pton(family, host), prefix, 5, flags)
    seen = read(ifaddrmsg, body)
    assert (seen["family"], seen["prefixlen"], seen["index"]) == (family, prefix, 5)
    assert [seen.get_attr(f"IFA_{name}") for name in ("LOCAL", "ADDRESS", "FLAGS")] == [host, host, flags]
    assert messages.read_address(body) == (5, family, socket.inet_pton(family, host), prefix)


@pytest.mark.parametrize(
    ("destination", "prefix", "gateway", "on_link", "scope"),
    [
        ("0.0.0.0", 0, "10.0.0.1", False, "RT_SCOPE_UNIVERSE"),
        ("10.1.0.0", 16, "", True, "RT_SCOPE_LINK"),
        ("fd01::", 64, "fd00::1", False, "RT_SCOPE_UNIVERSE"),
        ("::", 0, "fd00::1", False, "RT_SCOPE_UNIVERSE"),
    ],
)
def test_a_route(destination: str, prefix: int, gateway: str, on_link: bool, scope: str) -> None:
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    packed = socket.inet_pton(family, gateway) if gateway else b""
    body = messages.route(family, socket.inet_pton(family, destination), prefix, packed, 5, on_link=on_link)
    seen = read(rtmsg, body)
    assert (seen["family"], seen["dst_len"], seen["table"], seen["proto"], seen["type"]) == (family, prefix, 254, 4, 1)
    assert seen["scope"] == {"RT_SCOPE_UNIVERSE": 0, "RT_SCOPE_LINK": 253}[scope]
    assert seen.get_attr("RTA_OIF") == 5
    assert seen.get_attr("RTA_DST") == (destination if prefix else None)
    assert seen.get_attr("RTA_GATEWAY") == (gateway or None)


def test_a_link_that_pyroute2_wrote_is_read() -> None:
    message = ifinfmsg()
    message["index"], message["flags"] = 7, 1
    message["attrs"] = [
        ("IFLA_IFNAME", "clnet0"),
        ("IFLA_ADDRESS", "02:00:00:00:00:07"),
        ("IFLA_MASTER", 9),
        ("IFLA_IFALIAS", "corelaunch:clnet:0"),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "veth")]}),
    ]
    link = messages.read_link(written(message))
    assert (link.index, link.name, link.kind, link.up, link.master) == (7, "clnet0", "veth", True, 9)
    assert (link.mac, link.alias, set(link.counters.values())) == ("02:00:00:00:00:07", "corelaunch:clnet:0", {0})


def test_a_link_without_anything_is_read() -> None:
    link = messages.read_link(messages.link([], index=3))
    assert (link.index, link.name, link.kind, link.mac) == (3, "", "", "")
    assert (link.alias, link.up, link.master) == ("", False, 0)


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_what_was_encoded_is_decoded(attributes: dict[int, bytes]) -> None:
    assert messages.decode(messages.encode(list(attributes.items()))) == attributes


@given(st.binary(max_size=64))
def test_any_bytes_are_decoded_to_something(data: bytes) -> None:
    messages.decode(data)


@pytest.mark.parametrize("strategy", ["veth", "bridge"])
def test_importing_a_strategy_loads_neither_pyroute2_nor_the_slow_part_of_socket(strategy: str) -> None:
    code = f"import sys; sys.path[:0] = {sys.path!r}\nimport corelaunch_netstrategies.{strategy}\n"
    code += "print(sorted({'pyroute2', 'socket', 'ipaddress', 'typing', 'enum', 're'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
