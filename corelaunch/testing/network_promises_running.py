"""Promises of a network strategy about a container that has its link: initialize, stats, attach, detach."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from corelaunch.api import CorelaunchError, KernelError, Unsupported

from .host import host_lacks
from .network_host import Container, EffectRecorder, LaterProcess, host_links, network_namespace
from .network_probe import send_frames
from .network_rtnetlink import SeenAddress
from .network_stage import (
    CLEANUP_SECONDS,
    COUNTERS,
    FEATURES,
    Stage,
    await_operational,
    has_ipv6,
    static,
    still_links,
)


class Running:
    """``initialize`` works through the socket alone; what is claimed is there, what is not is refused."""

    def test_initialize_brings_the_link_up(self, stage: Stage) -> None:
        placement = stage.place()
        stage.give(placement)
        assert stage.container.links()[placement.container_name].up, f"{placement.container_name} is not up"

    def test_initialize_needs_nothing_but_the_socket(self, stage: Stage) -> None:
        if "companion" in stage.strategy.features:
            pytest.skip("the interface goes with the program, and the program with the process")
        placement = stage.place()
        recorder = stage.create(placement)
        # Without its process the namespace can be reached only through the socket, which keeps it alive.
        stage.container.kill()
        stage.strategy.initialize(placement, stage.container.netlink_fd, recorder)
        assert stage.container.links()[placement.container_name].up, f"{placement.container_name} is not up"

    def test_initialize_leaves_the_socket_open(self, stage: Stage) -> None:
        placement = stage.place()
        recorder = stage.create(placement)
        fd = stage.container.netlink_fd
        before = os.fstat(fd).st_ino
        stage.strategy.initialize(placement, fd, recorder)
        assert os.path.exists(f"/proc/self/fd/{fd}"), "the socket was closed"
        assert os.fstat(fd).st_ino == before, "the socket was closed and its number used again"

    def test_the_caller_stays_in_its_network_namespace(self, stage: Stage) -> None:
        placement, home = stage.place(), network_namespace()
        recorder = stage.create(placement)
        assert network_namespace() == home, "create"
        stage.strategy.initialize(placement, stage.container.netlink_fd, recorder)
        assert network_namespace() == home, "initialize"
        stage.strategy.destroy(placement, recorder.effects)
        assert network_namespace() == home, "destroy"

    def test_addresses_are_there_and_usable_at_once(self, stage: Stage) -> None:
        stage.need("addresses")
        asked = ["10.123.0.2/24", "10.123.0.3/24", *(["fd00:7b::2/64", "fd00:7b::3/64"] if has_ipv6() else [])]
        placement = stage.place({"address": ",".join(asked)})
        stage.give(placement)
        with stage.container.netlink() as netlink:
            seen = netlink.addresses(netlink.links()[placement.container_name].index)
        assert sorted(seen, key=lambda address: address.cidr) == [SeenAddress(cidr, usable=True) for cidr in asked]

    def test_routes_are_there(self, stage: Stage) -> None:
        stage.need("addresses", "routes")
        placement = stage.place({**FEATURES["addresses"], **FEATURES["routes"]})
        stage.give(placement)
        with stage.container.netlink() as netlink:
            routes = netlink.routes(netlink.links()[placement.container_name].index)
        assert {"0.0.0.0/0 via 10.123.0.1", "10.124.0.0/16 via 10.123.0.7"} <= routes

    def test_ipv6_routes_are_there(self, stage: Stage) -> None:
        stage.need("addresses", "routes")
        if not has_ipv6():
            host_lacks("IPv6")
        routes = {"gateway": "10.123.0.1,fd00:7b::1", "route": "fd00:7c::/64 via fd00:7b::7"}
        placement = stage.place({"address": "10.123.0.2/24,fd00:7b::2/64", **routes})
        stage.give(placement)
        with stage.container.netlink() as netlink:
            seen = netlink.routes(netlink.links()[placement.container_name].index)
        # The last one is what every address brings along.
        asked = {"::/0 via fd00:7b::1", "fd00:7c::/64 via fd00:7b::7", "0.0.0.0/0 via 10.123.0.1"}
        assert asked | {"fd00:7b::/64"} <= seen

    def test_the_name_inside_is_as_asked(self, stage: Stage) -> None:
        stage.need("name")
        placement = stage.place(FEATURES["name"])
        stage.give(placement)
        assert placement.container_name == "clnet0"
        assert set(stage.container.links()) == {"lo", "clnet0"}

    def test_several_interfaces_of_one_container_have_each_its_own(self, stage: Stage) -> None:
        stage.need("name", "addresses")
        asked = {"clnet1": "10.123.1.2/24", "clnet0": "10.123.0.2/24"}
        for index, (name, address) in enumerate(asked.items()):
            stage.give(stage.place({"name": name, "address": address}, index=index))
        with stage.container.netlink() as netlink:
            links = netlink.links()
            seen = {name: [address.cidr for address in netlink.addresses(links[name].index)] for name in asked}
        assert seen == {name: [address] for name, address in asked.items()}

    def test_the_mtu_is_as_asked(self, stage: Stage) -> None:
        stage.need("mtu")
        placement = stage.place(FEATURES["mtu"])
        stage.give(placement)
        assert stage.container.links()[placement.container_name].mtu == 1400

    def test_the_mac_address_is_as_asked(self, stage: Stage) -> None:
        stage.need("mac")
        placement = stage.place(FEATURES["mac"])
        stage.give(placement)
        assert stage.container.links()[placement.container_name].mac == "02:00:00:00:12:34"

    def test_stats_count_from_the_containers_side(self, stage: Stage) -> None:
        stage.need("stats")
        placement = stage.place_new()
        stage.give(placement)
        if placement.host_name:
            await_operational(placement.host_name)
        before = stage.strategy.stats(placement)
        assert set(before) == COUNTERS
        stage.container.send_frames(placement.container_name, count=20, size=1000)
        sent = stage.strategy.stats(placement)
        # Neighbour discovery of either end may add some hundred bytes, so these are no equations.
        assert 20_000 <= sent["tx_bytes"] - before["tx_bytes"] < 25_000
        assert sent["tx_packets"] - before["tx_packets"] >= 20
        assert sent["rx_bytes"] - before["rx_bytes"] < 5_000
        if placement.host_name:
            send_frames(placement.host_name, count=10, size=1000)
            received = stage.strategy.stats(placement)
            assert 10_000 <= received["rx_bytes"] - sent["rx_bytes"] < 15_000
            assert received["tx_bytes"] - sent["tx_bytes"] < 5_000

    def test_stats_of_a_link_that_is_gone_are_an_error(self, stage: Stage) -> None:
        stage.need("stats")
        placement = stage.place_new()
        recorder = stage.create(placement)
        stage.strategy.destroy(placement, recorder.effects)
        stage.container.die()
        deadline = time.monotonic() + CLEANUP_SECONDS
        while time.monotonic() < deadline:
            try:
                stage.strategy.stats(placement)
            except KernelError:
                return
            # What has its link in the container alone waits for the kernel to take the namespace apart.
            time.sleep(0.02)
        pytest.fail("it has counters of a link that is gone")

    def test_stats_are_of_the_containers_own_link(self, stage: Stage) -> None:
        stage.need("stats")
        placement = stage.place_new()
        stage.give(placement)
        with Container() as second:
            other = stage.place(container_id="clnet-other")
            stage.give(other, second)
            before = stage.strategy.stats(placement), stage.strategy.stats(other)
            second.send_frames(other.container_name, count=20, size=1000)
            sent = [
                stage.strategy.stats(one)["tx_bytes"] - then["tx_bytes"]
                for one, then in zip((placement, other), before, strict=True)
            ]
        assert sent[0] < 5_000 < 20_000 <= sent[1]

    def test_attach_and_detach_change_a_running_container(self, stage: Stage) -> None:
        stage.need("attach")
        placement, before, recorder = stage.place(index=7), set(host_links()), EffectRecorder()
        stage.strategy.attach(placement, stage.container.process, recorder)
        stage.strategy.initialize(placement, stage.container.netlink_fd, recorder)
        assert stage.container.links()[placement.container_name].up, f"{placement.container_name} is not up"
        stage.strategy.detach(placement, recorder.effects)
        assert (set(host_links()), set(stage.container.links())) == (before, {"lo"})

    def test_check_in_a_later_process_finds_what_is_in_order_in_order(
        self, stage: Stage, later_process: LaterProcess
    ) -> None:
        stage.need("check")
        placement = stage.place_new()
        recorder = stage.give(placement)
        if placement.host_name:
            await_operational(placement.host_name)
        before = still_links(), {name: static(link) for name, link in stage.container.links().items()}
        assert later_process.check(placement, recorder.effects, stage.container.process) == ""
        after = still_links(), {name: static(link) for name, link in stage.container.links().items()}
        assert after == before, "it changed a link"

    def test_check_tells_that_the_containers_link_is_gone(self, stage: Stage) -> None:
        stage.need("check")
        placement = stage.place_new()
        recorder = stage.give(placement)
        with stage.container.netlink() as netlink:
            netlink.delete_link(netlink.links()[placement.container_name].index)
        with pytest.raises(CorelaunchError) as caught:
            stage.strategy.check(placement, recorder.effects, stage.container.process)
        assert not isinstance(caught.value, Unsupported), "it claims check"

    def test_collect_removes_what_no_container_has_and_nothing_else(self, stage: Stage) -> None:
        stage.need("gc")
        placement, lost = stage.place_new(), stage.place(container_id="clnet-other")
        recorder = stage.give(placement)
        with Container() as second:
            stage.give(lost, second)
            try:
                stage.strategy.collect(stage.request(), lambda: [(placement, recorder.effects)])
            except Unsupported as error:
                pytest.skip(f"this network cannot do it: {error}")
            assert placement.container_name in stage.container.links(), "it removed what a container has"
            assert lost.container_name not in second.links(), "it left what no container has"

    def test_unclaimed_operations_are_refused(self, stage: Stage) -> None:
        placement, strategy = stage.place(), stage.strategy
        operations: dict[str, list[Callable[[], object]]] = {
            "stats": [lambda: strategy.stats(placement)],
            "attach": [
                lambda: strategy.attach(placement, stage.container.process, EffectRecorder()),
                lambda: strategy.detach(placement, []),
            ],
            "check": [lambda: strategy.check(placement, [], stage.container.process)],
        }
        operations["gc"] = [lambda: strategy.collect(stage.request(), list)]
        for feature in stage.unclaimed("stats", "attach", "check", "gc"):
            for operation in operations[feature]:
                with pytest.raises(Unsupported):
                    operation()
