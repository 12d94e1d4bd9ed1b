"""Thousands of siblings: networks on a host with many links and tables find their own, and leave the others alone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from corelaunch_netstrategies.bridge import Bridge
from corelaunch_netstrategies.host_device import HostDevice
from corelaunch_netstrategies.macvlan import Macvlan
from corelaunch_netstrategies.netlink_socket import NetlinkSocket
from corelaunch_netstrategies.nftables import NfTables, new_table
from corelaunch_netstrategies.rtnetlink import Netlink
from corelaunch_netstrategies.veth import Veth

from corelaunch.api import NetworkRequest, NetworkStrategy
from corelaunch.testing.network_host import Container, EffectRecorder, private_network

pytestmark = pytest.mark.needs_root

#: Pairs, so twice as many links; half of the host's ends are ports of the bridge that we join.
PAIRS, TABLES = 1000, 1000
BRIDGE, PARENT = "clnetbr0", "clnet0"
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "veth": {},
    "bridge": {"bridge": BRIDGE, "address": "10.9.0.2/24"},
    "nat": {"bridge": "clnetbr1", "subnet": "10.8.0.0/24", "nat": "true", "publish": "8088:80"},
    "macvlan": {"parent": PARENT},
    "host-device": {"device": "clnet1"},
}
STRATEGIES: Mapping[str, NetworkStrategy] = {
    "veth": Veth(), "bridge": Bridge(), "nat": Bridge(), "macvlan": Macvlan(), "host-device": HostDevice()
}


@pytest.fixture(scope="module")
def crowd() -> Iterator[int]:
    """The private host with all of them, as a descriptor that stays open."""
    with private_network() as namespace:
        lines = [f"link add {BRIDGE} type bridge"]
        for number in range(PAIRS):
            lines.append(f"link add clnet{number} type veth peer name clnetp{number}")
            if number % 2:
                lines.append(f"link set clnetp{number} master {BRIDGE}")
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
        with NfTables(time.monotonic() + 60) as tables:
            tables.commit("cannot make siblings", [new_table(f"corelaunch-port-udp-{n}", "x") for n in range(TABLES)])
        yield namespace


@pytest.fixture
def answers(crowd: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What the kernel was asked, and how many messages each answer had."""
    asked: list[tuple[str, int]] = []
    exchange = NetlinkSocket.exchange

    def count(netlink: NetlinkSocket, data: bytes, what: str, wheres: Any) -> list[bytes]:
        found = exchange(netlink, data, what, wheres)
        asked.append((what, len(found)))
        return found

    monkeypatch.setattr(NetlinkSocket, "exchange", count)
    return asked


def everything() -> set[str]:
    listed = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    with NfTables(time.monotonic() + 60) as tables:
        return {line.split(": ")[1] for line in listed} | {table.name for table in tables.tables()}


@pytest.mark.parametrize("kind", STRATEGIES)
def test_creation_counters_and_delete_are_right_among_thousands_and_ask_for_few_of_them(
    kind: str, answers: list[tuple[str, int]]
) -> None:
    strategy, recorder = STRATEGIES[kind], EffectRecorder()
    before = everything()
    assert len(before) > 2 * PAIRS + TABLES
    del answers[:]
    with Container() as container:
        placement = strategy.place(NetworkRequest("clnet", 7, kind, OPTIONS[kind]))
        strategy.create(placement, container.process, recorder)
        strategy.initialize(placement, container.netlink_fd, recorder)
        assert placement.container_name in container.links()
        if "stats" in strategy.features:
            assert strategy.stats(placement)["rx_errors"] == 0
        strategy.destroy(placement, recorder.effects)
    lists = [(what, count) for what, count in answers if count > 2]
    assert everything() == before
    # Who leaves a shared bridge asks for its ports; who removes the last NAT, for the tables. Nobody lists all links.
    most = {"bridge": ("cannot list ports", PAIRS // 2), "nat": ("cannot look up nftables", TABLES + 5)}
    assert all(what == most[kind][0] and count <= most[kind][1] for what, count in lists), lists


def test_the_ports_and_addresses_of_one_link_are_asked_for_alone(answers: list[tuple[str, int]]) -> None:
    with Netlink(time.monotonic() + 10) as netlink:
        bridge, loopback = netlink.link(name=BRIDGE), netlink.link(name="lo")
        assert bridge is not None and loopback is not None
        netlink.set_link(loopback, up=True)
        netlink.add_address(bridge, "10.9.0.1/24")
        netlink.add_address(bridge, "fd00:9::1/64")
        del answers[:]
        assert netlink.has_ports(bridge) and not netlink.has_ports(loopback)
        assert netlink.addresses(bridge, lasting=True) == ["10.9.0.1/24", "fd00:9::1/64"]
    assert [count for _what, count in answers] == [PAIRS // 2, 0, 2]
