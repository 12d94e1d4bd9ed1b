"""Promises of a network strategy about what it cannot do and what it must not touch: values, errors, the host."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from corelaunch.api import ConfigError, CorelaunchError

from .network_host import Container, EffectRecorder, host_links
from .network_rtnetlink import Rtnetlink
from .network_stage import FEATURES, Stage, make_foreign, static, still_links

#: Option -> values that mean nothing, whatever the strategy.
MALFORMED: Mapping[str, tuple[str, ...]] = {
    "address": ("here", "10.123.0.300/24", "10.123.0.2/33", "fd00:7b::2/129", "10.123.0.2/24,here"),
    "gateway": ("here", "10.123.0", "fd00:7b:::1"),
    "route": ("here", "10.124.0.0/16 via here", "10.124.0.0/99 via 10.123.0.7"),
    "mtu": ("many", "-1", "1400.5", "99999999999"),
    "mac": ("here", "02:00:00:00:12", "02:00:00:00:12:xy"),
    "name": ("sixteen-letters-", "a/b", "a b", ".."),
    "accept-ra": ("often",),
    "bridge": ("sixteen-letters-", "a/b"),
    "bridge-address": ("here", "10.123.0.1/33"),
    "nat": ("perhaps",),
}
#: Where the kernel has what decides for all links of a network namespace, and for those that come.
_PARAMETERS = ("ipv4/ip_forward", "ipv4/conf/all/*", "ipv4/conf/default/*", "ipv6/conf/all/*", "ipv6/conf/default/*")


class Refusing:
    """What cannot be is said in a clear error and undone; what is not the strategy's is left as it is."""

    @pytest.mark.parametrize("option", MALFORMED)
    def test_a_malformed_value_is_refused_by_its_option(self, stage: Stage, option: str) -> None:
        stage.need(next(feature for feature, options in FEATURES.items() if option in options))
        of_bridge = FEATURES["bridge"] if option in ("bridge-address", "nat") else {}
        for value in MALFORMED[option]:
            try:
                stage.place({**of_bridge, option: value})
            except ConfigError as error:
                assert option in str(error), f"{value!r} is refused, and {option} not named"
            else:
                pytest.fail(f"place takes {option}={value!r}; a ConfigError that names the option would be right")

    def test_a_route_that_cannot_be_is_a_clear_error_and_undone(self, stage: Stage) -> None:
        stage.need("addresses", "routes")
        before, recorder = set(host_links()), EffectRecorder()
        route = "10.124.0.0/16 via 10.99.0.1"  # no address makes the gateway reachable
        with suppress(CorelaunchError):
            placement = stage.place({**FEATURES["addresses"], "route": route})
            try:
                stage.create(placement, recorder)
                stage.strategy.initialize(placement, stage.container.netlink_fd, recorder)
                with stage.container.netlink() as netlink:
                    routes = netlink.routes(netlink.links()[placement.container_name].index)
                assert route in routes, "nothing says that the route is not there"
            finally:
                stage.strategy.destroy(placement, recorder.effects)
        assert set(host_links()) == before

    def test_initialize_of_a_link_that_is_gone_fails_clearly_if_at_all(self, stage: Stage) -> None:
        placement = stage.place_new()
        recorder = stage.create(placement)
        with stage.container.netlink() as netlink:
            netlink.delete_link(netlink.links()[placement.container_name].index)
        with suppress(CorelaunchError):
            stage.strategy.initialize(placement, stage.container.netlink_fd, recorder)

    def test_an_interface_does_not_replace_the_routes_of_another(self, stage: Stage) -> None:
        stage.need("addresses", "routes")
        route = "10.124.0.0/16 via 10.123.0.7"
        first = stage.place({"address": "10.123.0.2/24", "route": route})
        stage.give(first)
        with suppress(CorelaunchError):
            second = {"address": "10.123.0.3/24", "route": route.replace("0.7", "0.8")}
            stage.give(stage.place(second, index=1))
        with stage.container.netlink() as netlink:
            assert route in netlink.routes(netlink.links()[first.container_name].index)

    def test_parameters_of_the_host_stay_as_they_are(self, stage: Stage) -> None:
        placement, before = stage.place(), _parameters()
        if "nat" in stage.request().options:
            pytest.skip("forwarding is what NAT needs")
        recorder = stage.give(placement)
        assert _changed(before) == {}, "create or initialize has changed what is the administrator's"
        stage.strategy.destroy(placement, recorder.effects)
        assert _changed(before) == {}, "destroy has changed what is the administrator's"

    def test_other_links_of_the_host_stay_as_they_are(self, stage: Stage) -> None:
        placement = stage.place()
        make_foreign("clnetother")
        # What the strategy is lent is its own to change: that is the business of the promises about moving.
        others = {name: link for name, link in still_links().items() if name not in placement.options.values()}
        recorder = stage.give(placement)
        assert {name: still_links().get(name) for name in others} == others
        stage.strategy.destroy(placement, recorder.effects)
        assert {name: still_links().get(name) for name in others} == others

    def test_the_hosts_end_is_up(self, stage: Stage) -> None:
        placement = stage.place_on_host()
        stage.give(placement)
        links = host_links()
        down = [name for name in (placement.host_name, placement.shared_name) if name and not links[name].up]
        assert down == [], "nothing passes there"

    def test_the_hosts_end_has_the_mtu_of_the_containers(self, stage: Stage) -> None:
        """A pair drops what is too long for the end that gets it, without a word to who has sent it."""
        stage.need("mtu")
        placement = stage.place(FEATURES["mtu"])
        if not placement.host_name:
            pytest.skip("this strategy makes nothing on the host")
        stage.give(placement)
        assert host_links()[placement.host_name].mtu == int(FEATURES["mtu"]["mtu"])

    def test_two_containers_have_two_mac_addresses(self, stage: Stage) -> None:
        if "companion" in stage.strategy.features:
            pytest.skip("each program has a network of its own")
        placements = [stage.place(container_id="clnet-a"), stage.place(container_id="clnet-b")]
        with Container() as second:
            macs = []
            for placement, container in zip(placements, (stage.container, second), strict=True):
                stage.give(placement, container)
                link = container.links()[placement.container_name]
                with container.netlink() as netlink:
                    kind = netlink.kind(link.index)
                macs.append(link.mac)
        if kind == "ipvlan" or set(macs[0]) <= set("0:"):
            pytest.skip("this type of link has no MAC address of its own")
        assert macs[0] != macs[1]

    def test_destroy_leaves_a_foreign_link_that_took_the_number_since(self, stage: Stage) -> None:
        placement = stage.place_on_host()
        recorder = stage.create(placement)
        with Rtnetlink() as netlink:
            number = host_links()[placement.host_name].index
            netlink.delete_link(number)
            netlink.make_veth("clnetlater", index=number)
        before = static(host_links()["clnetlater"])
        assert before.index == number
        stage.strategy.destroy(placement, recorder.effects)
        found = host_links().get("clnetlater")
        assert found is not None and static(found) == before, "it is somebody else's"


def _parameters() -> dict[str, str]:
    """Of the calling thread's network namespace."""
    found = {}
    for pattern in _PARAMETERS:
        for path in Path("/proc/sys/net").glob(pattern):
            with suppress(OSError):  # some can only be written
                found[str(path)] = path.read_text()
    return found


def _changed(before: Mapping[str, str]) -> dict[str, str]:
    return {path: value for path, value in _parameters().items() if before.get(path) != value}
