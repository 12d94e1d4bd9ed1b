"""Promises of a network strategy whose bridge has NAT: who reaches whom, and what of it stays on the host."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from corelaunch.api import AlreadyExists, NetworkPlacement

from .host import host_lacks
from .network_host import Container, EffectRecorder, host_links, private_network
from .network_probe import ping
from .network_promises_bridge import NAME, SILENCE_SECONDS, addresses_of
from .network_rtnetlink import IFLA_IFNAME, IFLA_NET_NS_FD, Rtnetlink, attribute
from .network_stage import FEATURES, Stage, die_creating, has_ipv6
from .network_tables import delete_table, inet_tables, make_table

FORWARDING = "/proc/sys/net/ipv4/ip_forward"
_FORWARDING_6 = "/proc/sys/net/ipv6/conf/all/forwarding"
#: The host's addresses towards the outside, and the outside's own (RFC 5737, RFC 3849).
HOSTS, OUTSIDES = ("192.0.2.1", "2001:db8:7b::1"), ("192.0.2.2", "2001:db8:7b::2")


class Translating:
    """Containers behind NAT reach what is outside, nobody outside reaches them, and nothing of it outlives them."""

    def test_what_is_outside_is_reached_under_the_hosts_own_address(self, stage: Stage) -> None:
        stage.need("bridge", "addresses", "routes", "nat")
        with outside_world() as outside:
            give_with_nat(stage, "clnet-a", 2)
            for host, there in zip(HOSTS, OUTSIDES, strict=True):
                if ":" not in there or has_ipv6():
                    assert seen_by(outside, stage.container, there) == host

    def test_nobody_outside_gets_in_unasked(self, stage: Stage) -> None:
        stage.need("bridge", "addresses", "routes", "nat")
        with outside_world() as outside:
            give_with_nat(stage, "clnet-a", 2)
            assert all(ping(address) for address in addresses_of(2)), "the host itself does not reach it"
            with private_network(outside.namespace):
                assert [a for a in addresses_of(2) if ping(a, seconds=SILENCE_SECONDS)] == []

    def test_containers_of_two_bridges_with_nat_do_not_reach_each_other(self, stage: Stage) -> None:
        stage.need("bridge", "addresses", "routes", "nat")
        allow_ipv6()
        with Container() as second:
            give_with_nat(stage, "clnet-a", 2)
            options = {"bridge": "clnetbr1", "bridge-address": "10.124.0.1/24", "nat": "true"}
            options |= {"address": "10.124.0.2/24", "gateway": "10.124.0.1"}
            stage.give(stage.place(options, container_id="clnet-b"), second)
            with private_network(second.namespace):
                assert ping("10.124.0.1") and ping("10.123.0.1"), "it does not even reach the host"
                assert not ping("10.123.0.2", seconds=SILENCE_SECONDS)

    @pytest.mark.parametrize("forwarding", ["0", "1"], ids=["forwarding-off", "forwarding-on"])
    def test_nat_stays_until_the_last_container_goes_and_then_nothing_of_it(
        self, stage: Stage, forwarding: str
    ) -> None:
        stage.need("bridge", "addresses", "routes", "nat")
        with outside_world() as outside, Container() as second:
            write(FORWARDING, forwarding)
            before = (set(host_links()), inet_tables())
            first = place_with_nat(stage, "clnet-a", 2)
            other = place_with_nat(stage, "clnet-b", 3)
            recorders = [stage.give(first), stage.give(other, second)]
            stage.strategy.destroy(first, recorders[0].effects)
            assert seen_by(outside, second, OUTSIDES[0]) == HOSTS[0], "NAT went with the first container"
            stage.strategy.destroy(other, recorders[1].effects)
            assert (set(host_links()), inet_tables()) == before
            assert read(FORWARDING) == forwarding

    def test_each_table_is_announced_and_confirmed(self, stage: Stage) -> None:
        stage.need("bridge", "nat")
        made = names_of_tables(stage)
        assert made != set()
        placement = place_with_nat(stage, "clnet-a", 2)
        recorder = stage.create(placement)
        assert recorder.dishonest == []
        assert made <= {effect.name for effect in recorder.all_effects if effect.done}

    def test_kill_9_before_a_table_is_confirmed_leaves_what_destroy_finds(self, stage: Stage) -> None:
        stage.need("bridge", "nat")
        names = names_of_tables(stage)
        before = (set(host_links()), inet_tables(), read(FORWARDING))
        for name in sorted(names):
            placement = place_with_nat(stage, "clnet-a", 2)
            effects = die_creating(stage, placement, name)
            assert name in inet_tables(), "it was confirmed before it was made"
            stage.strategy.destroy(placement, effects)
            assert (set(host_links()), inet_tables(), read(FORWARDING)) == before

    def test_a_foreign_table_in_the_way_is_refused_and_left(self, stage: Stage) -> None:
        stage.need("bridge", "nat")
        for name in sorted(names_of_tables(stage)):
            make_table(name)
            before, recorder = (set(host_links()), inet_tables(), read(FORWARDING)), EffectRecorder()
            placement = place_with_nat(stage, "clnet-a", 2)
            with pytest.raises(AlreadyExists, match=name):
                stage.create(placement, recorder)
            stage.strategy.destroy(placement, recorder.effects)
            assert (set(host_links()), inet_tables(), read(FORWARDING)) == before
            delete_table(name)

    def test_destroy_leaves_a_foreign_table_that_took_the_name_since(self, stage: Stage) -> None:
        stage.need("bridge", "nat")
        names = names_of_tables(stage)
        placement = place_with_nat(stage, "clnet-a", 2)
        recorder = stage.create(placement)
        for name in names:
            delete_table(name)
            make_table(name)
        stage.strategy.destroy(placement, recorder.effects)
        assert names <= set(inet_tables())

    def test_a_bridge_without_nat_that_others_use_gets_none(self, stage: Stage) -> None:
        stage.need("bridge", "addresses", "routes", "nat")
        options = {option: value for option, value in nat_options(2).items() if option != "nat"}
        stage.give(stage.place(options, container_id="clnet-a"))
        before, recorder = (set(host_links()), inet_tables()), EffectRecorder()
        with Container() as second, pytest.raises(AlreadyExists, match=NAME):
            stage.create(place_with_nat(stage, "clnet-b", 3), recorder, second)
        stage.strategy.destroy(place_with_nat(stage, "clnet-b", 3), recorder.effects)
        assert (set(host_links()), inet_tables()) == before


def nat_options(number: int) -> dict[str, str]:
    """Options of a container on the contract's bridge, with NAT and the addresses of that number."""
    lengths = {True: "64", False: "24"}
    of_bridge, own = (
        ",".join(f"{address}/{lengths[':' in address]}" for address in addresses_of(one)) for one in (1, number)
    )
    plain = {"bridge": NAME, "bridge-address": of_bridge, "address": own, "gateway": ",".join(addresses_of(1))}
    return {**plain, **FEATURES["nat"]}


def place_with_nat(stage: Stage, container_id: str, number: int) -> NetworkPlacement:
    """A placement of such a container."""
    allow_ipv6()
    return stage.place(nat_options(number), container_id=container_id)


def give_with_nat(stage: Stage, container_id: str, number: int) -> None:
    """Launch such a container."""
    stage.give(place_with_nat(stage, container_id, number))


def names_of_tables(stage: Stage) -> set[str]:
    """Which tables a container with NAT on a host that does not forward makes; they are gone again.

    The tables of the private host are the strategy's, so that their names need not be known here.
    """
    write(FORWARDING, "0")
    before = set(inet_tables())
    placement = place_with_nat(stage, "clnet-a", 2)
    recorder = stage.create(placement)
    made = set(inet_tables()) - before
    if not made:
        host_lacks("nftables, or the strategy has other means")
    stage.strategy.destroy(placement, recorder.effects)
    return made


@contextmanager
def outside_world() -> Iterator[Container]:
    """A machine behind an interface of the host: it knows the host, and the way through it to the containers."""
    with Container() as outside, Rtnetlink() as netlink, outside.netlink() as inside:
        peer = attribute(IFLA_IFNAME, "clnetout1") + attribute(IFLA_NET_NS_FD, outside.namespace)
        netlink.make_veth("clnetout0", peer)
        for client, name, addresses in ((netlink, "clnetout0", HOSTS), (inside, "clnetout1", OUTSIDES)):
            link = client.links()[name].index
            client.set_link(link, up=True)
            client.add_address(link, f"{addresses[0]}/24")
            if has_ipv6():
                client.add_address(link, f"{addresses[1]}/64")
        index = inside.links()["clnetout1"].index
        inside.add_route(index, f"10.123.0.0/24 via {HOSTS[0]}")
        if has_ipv6():
            inside.add_route(index, f"fd00:7b::/64 via {HOSTS[1]}")
        yield outside


def seen_by(outside: Container, container: Container, address: str) -> str:
    """Whom the outside sees when a container connects to its address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with private_network(outside.namespace):
        server = socket.create_server((address, 7777), family=family)
    with server:
        server.settimeout(5)
        with private_network(container.namespace):
            client = socket.create_connection((address, 7777), timeout=5)
        with client:
            connection, peer = server.accept()
            connection.close()
            return str(peer[0])


def allow_ipv6() -> None:
    """Let the private host forward IPv6, which is its administrator's to decide."""
    if os.path.exists(_FORWARDING_6):
        write(_FORWARDING_6, "1")


def read(path: str) -> str:
    """A parameter of the private host."""
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def write(path: str, value: str) -> None:
    """Set a parameter of the private host."""
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
