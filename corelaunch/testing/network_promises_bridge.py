"""Promises of a network strategy whose containers share a bridge on the host: whose it is, how long, and for whom."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from corelaunch.api import AlreadyExists, NetworkPlacement

from .network_host import Container, EffectRecorder, host_links, private_network
from .network_probe import ping
from .network_rtnetlink import IFLA_ADDRESS, Rtnetlink, SeenAddress, SeenLink, attribute
from .network_stage import FEATURES, Stage, die_creating, has_ipv6, make_foreign, static

NAME = FEATURES["bridge"]["bridge"]
#: Long enough for an answer, and for neighbour discovery before it.
SILENCE_SECONDS = 0.3


class Sharing:
    """The bridge is made once, is shared, goes with the last, and is never somebody else's."""

    def test_containers_on_one_bridge_and_the_host_reach_each_other(self, stage: Stage) -> None:
        stage.need("bridge", "addresses")
        with Container() as second:
            give_on_bridge(stage, "clnet-a", 2)
            give_on_bridge(stage, "clnet-b", 3, second)
            for container, other in ((stage.container, 3), (second, 2)):
                with private_network(container.namespace):
                    assert [ping(address) for address in addresses_of(1) + addresses_of(other)] == answers(2)
            assert [ping(address) for address in addresses_of(2) + addresses_of(3)] == answers(2)

    def test_containers_on_two_bridges_do_not_reach_each_other(self, stage: Stage) -> None:
        stage.need("bridge", "addresses")
        with Container() as second:
            # The same subnet, so that nothing but the bridges keeps them apart.
            stage.give(stage.place({"bridge": NAME, "address": "10.123.0.2/24"}, container_id="clnet-a"))
            elsewhere = {"bridge": "clnetbr1", "address": "10.123.0.3/24"}
            stage.give(stage.place(elsewhere, container_id="clnet-b"), second)
            with private_network(stage.container.namespace):
                assert not ping("10.123.0.3", seconds=SILENCE_SECONDS)
        assert {NAME, "clnetbr1"} <= set(host_links())

    @pytest.mark.parametrize("first_to_go", [0, 1], ids=["maker-first", "maker-last"])
    def test_the_bridge_goes_with_its_last_container(self, stage: Stage, first_to_go: int) -> None:
        stage.need("bridge")
        before = set(host_links())
        with Container() as second:
            containers = [stage.container, second]
            placements = [place_on_bridge(stage, container_id) for container_id in ("clnet-a", "clnet-b")]
            recorders = [stage.give(p, c) for p, c in zip(placements, containers, strict=True)]
            made = bridge()
            for left, index in enumerate((first_to_go, 1 - first_to_go)):
                assert (bridge().index, left) == (made.index, left), "it went while another used it"
                stage.strategy.destroy(placements[index], recorders[index].effects)
        assert set(host_links()) == before

    def test_a_stopped_container_does_not_keep_the_bridge_that_another_uses_or_leaves(self, stage: Stage) -> None:
        stage.need("bridge")
        before = set(host_links())
        with Container() as second:
            stopped, other = place_on_bridge(stage, "clnet-a"), place_on_bridge(stage, "clnet-b")
            recorder = stage.give(stopped)
            stage.container.die()
            others = stage.give(other, second)
            assert host_links()[other.host_name].master == bridge().index
            stage.strategy.destroy(stopped, recorder.effects)
            assert host_links()[other.host_name].master == bridge().index
            stage.strategy.destroy(other, others.effects)
        assert set(host_links()) == before

    def test_a_foreign_bridge_is_joined_as_it_is_and_stays(self, stage: Stage) -> None:
        stage.need("bridge")
        make_foreign_bridge(FEATURES["bridge"]["bridge-address"])
        before = (static(bridge()), bridge_addresses())
        placement = place_on_bridge(stage, "clnet-a")
        recorder = stage.give(placement)
        assert host_links()[placement.host_name].master == bridge().index
        assert (static(bridge()), bridge_addresses()) == before
        stage.strategy.destroy(placement, recorder.effects)
        assert (static(bridge()), bridge_addresses()) == before
        assert placement.host_name not in host_links()

    def test_a_foreign_bridge_without_the_address_is_refused_and_left_as_it_is(self, stage: Stage) -> None:
        stage.need("bridge")
        make_foreign_bridge("10.124.0.1/24")
        before, recorder, placement = host_links(), EffectRecorder(), place_on_bridge(stage, "clnet-a")
        with pytest.raises(AlreadyExists, match=r"10\.123\.0\.1/24"):
            stage.create(placement, recorder)
        stage.strategy.destroy(placement, recorder.effects)
        assert (static(bridge()), bridge_addresses()) == (static(before[NAME]), ["10.124.0.1/24"])
        assert set(host_links()) == set(before)

    def test_a_link_of_the_bridges_name_that_is_no_bridge_is_refused_and_left(self, stage: Stage) -> None:
        stage.need("bridge")
        make_foreign(NAME)
        before, recorder, placement = host_links(), EffectRecorder(), place_on_bridge(stage, "clnet-a")
        with pytest.raises(AlreadyExists, match="not a bridge"):
            # Not by stage.create: the kernel's own refusal looks like a kernel that has no such links.
            stage.strategy.create(placement, stage.container.process, recorder)
        stage.strategy.destroy(placement, recorder.effects)
        assert host_links() == before

    def test_a_bridge_that_another_container_uses_is_not_changed(self, stage: Stage) -> None:
        stage.need("bridge")
        stage.give(place_on_bridge(stage, "clnet-a"))
        before, recorder = set(host_links()), EffectRecorder()
        other = stage.place({"bridge": NAME, "bridge-address": "10.125.0.1/24"}, container_id="clnet-b")
        with Container() as second, pytest.raises(AlreadyExists, match=r"10\.125\.0\.1/24"):
            stage.create(other, recorder, second)
        stage.strategy.destroy(other, recorder.effects)
        assert (set(host_links()), bridge_addresses()) == (before, ["10.123.0.1/24"])

    def test_kill_9_before_the_bridge_is_confirmed_leaves_what_destroy_finds(self, stage: Stage) -> None:
        stage.need("bridge")
        placement, before = place_on_bridge(stage, "clnet-a"), set(host_links())
        effects = die_creating(stage, placement, NAME)
        assert NAME in host_links(), "it was confirmed before it was made"
        stage.strategy.destroy(placement, effects)
        assert set(host_links()) == before

    def test_destroy_leaves_a_foreign_bridge_that_took_the_name_since(self, stage: Stage) -> None:
        stage.need("bridge")
        placement = place_on_bridge(stage, "clnet-a")
        recorder = stage.create(placement)
        with Rtnetlink() as netlink:
            netlink.delete_link(bridge().index)
        make_foreign_bridge("10.123.0.1/24")
        before = bridge()
        stage.strategy.destroy(placement, recorder.effects)
        assert static(bridge()) == static(before)

    def test_launches_at_the_same_time_share_one_bridge_and_leave_none(self, stage: Stage) -> None:
        stage.need("bridge")
        failures: list[BaseException] = []
        before = set(host_links())

        def launch(container_id: str) -> None:
            try:
                with Container() as own:
                    for _ in range(5):
                        placement = place_on_bridge(stage, container_id)
                        recorder = stage.give(placement, own)
                        assert host_links()[placement.host_name].master == bridge().index, "it lost its bridge"
                        stage.strategy.destroy(placement, recorder.effects)
            except BaseException as error:  # noqa: BLE001 -- a thread must not swallow it
                failures.append(error)

        threads = [threading.Thread(target=launch, args=(f"clnet-{number}",)) for number in range(3)]
        with ExitStack() as stack:
            for thread in threads:
                thread.start()
                stack.callback(thread.join)
        assert (failures, set(host_links())) == ([], before)


def place_on_bridge(stage: Stage, container_id: str) -> NetworkPlacement:
    """A request for the contract's bridge with its address."""
    return stage.place(FEATURES["bridge"], container_id=container_id)


def give_on_bridge(stage: Stage, container_id: str, number: int, container: Container | None = None) -> None:
    """Put a container onto the bridge, with the addresses of that number."""
    lengths = {True: "64", False: "24"}
    of_bridge, own = (
        ",".join(f"{address}/{lengths[':' in address]}" for address in addresses_of(one)) for one in (1, number)
    )
    options = {"bridge": NAME, "bridge-address": of_bridge, "address": own}
    stage.give(stage.place(options, container_id=container_id), container)


def addresses_of(number: int) -> list[str]:
    """An address of each family that this kernel speaks."""
    return [f"10.123.0.{number}", *([f"fd00:7b::{number}"] if has_ipv6() else [])]


def answers(hosts: int) -> list[bool]:
    """What pinging that many hosts gives if all is well."""
    return [True] * hosts * len(addresses_of(1))


def make_foreign_bridge(address: str) -> None:
    """A bridge of somebody else's, with an address, up."""
    with Rtnetlink() as netlink:
        netlink.make_bridge(NAME, attribute(IFLA_ADDRESS, b"\x02clnet"))
        netlink.add_address(bridge().index, address)
        netlink.set_link(bridge().index, up=True)


def bridge() -> SeenLink:
    """The contract's bridge as it is now."""
    return host_links()[NAME]


def bridge_addresses() -> list[str]:
    """The addresses of the contract's bridge."""
    with Rtnetlink() as netlink:
        seen: list[SeenAddress] = netlink.addresses(bridge().index)
    return [address.cidr for address in seen]
