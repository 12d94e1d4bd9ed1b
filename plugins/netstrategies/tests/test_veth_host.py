"""What veth does beyond the contract: namespaces of the caller, host addresses, renamed links, clear refusals."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
from corelaunch_netstrategies.veth import Veth

from corelaunch.api import AlreadyExists, ConfigError, KernelError, NetworkPlacement, NetworkRequest, ProcessHandle
from corelaunch.testing.network_host import Container, EffectRecorder, host_links, private_network
from corelaunch.testing.network_rtnetlink import IFLA_IFNAME, Rtnetlink, attribute

pytestmark = pytest.mark.needs_root


@pytest.fixture
def private_host() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def container(private_host: None) -> Iterator[Container]:
    with Container() as container:
        yield container


def place(**options: str) -> NetworkPlacement:
    named = {option.replace("_", "-"): value for option, value in options.items()}
    return Veth().place(NetworkRequest("clnet", 0, "veth", named))


def create(placement: NetworkPlacement, container: Container) -> EffectRecorder:
    recorder = EffectRecorder()
    Veth().create(placement, container.process, recorder)
    return recorder


def test_the_host_end_is_up_with_its_alias_mtu_and_addresses(container: Container) -> None:
    placement = place(mtu="1400", host_address="10.9.0.1/24,fd00:9::1/64")
    create(placement, container)
    with Rtnetlink() as netlink:
        link = netlink.links()[placement.host_name]
        addresses = {address.cidr for address in netlink.addresses(link.index) if address.usable}
    assert (link.up, link.alias, link.mtu) == (True, "corelaunch:clnet:0", 1400)
    assert addresses == {"10.9.0.1/24", "fd00:9::1/64"}


def test_a_very_long_container_id_is_no_obstacle(container: Container) -> None:
    placement = Veth().place(NetworkRequest("clnet" * 200, 99, "veth"))
    recorder = create(placement, container)
    assert host_links()[placement.host_name].alias.endswith(":99")
    Veth().destroy(placement, recorder.effects)
    assert set(host_links()) == {"lo"}


def test_routes_of_both_families_and_on_link_are_set(container: Container) -> None:
    placement = place(
        address="10.9.0.2/24,fd00:9::2/64",
        gateway="10.9.0.1,fd00:9::1",
        route="10.77.0.0/16,fd00:77::/32 via fd00:9::7",
    )
    recorder = create(placement, container)
    Veth().initialize(placement, container.netlink_fd, recorder)
    with container.netlink() as netlink:
        routes = netlink.routes(netlink.links()["eth0"].index)
    assert routes >= {"0.0.0.0/0 via 10.9.0.1", "::/0 via fd00:9::1", "10.77.0.0/16", "fd00:77::/32 via fd00:9::7"}


def test_a_gateway_that_cannot_be_reached_is_an_error_that_names_it(container: Container) -> None:
    placement = place(address="10.9.0.2/24", gateway="10.8.0.1")
    recorder = create(placement, container)
    with pytest.raises(KernelError, match=r"cannot add route: 0.0.0.0/0 via 10.8.0.1 on eth0: network is unreachable"):
        Veth().initialize(placement, container.netlink_fd, recorder)


def test_a_container_without_a_network_namespace_is_refused(private_host: None) -> None:
    sleeper = subprocess.Popen(["sleep", "100"])
    try:
        with open(f"/proc/{sleeper.pid}/stat") as stat:
            start_time = int(stat.read().rpartition(")")[2].split()[19])
        with pytest.raises(ConfigError, match="shares the host's network namespace"):
            Veth().create(place(), ProcessHandle(sleeper.pid, start_time), EffectRecorder())
    finally:
        sleeper.kill()
        sleeper.wait()
    assert set(host_links()) == {"lo"}


def test_a_process_that_has_exited_is_refused_by_its_pidfd(container: Container) -> None:
    pidfd = os.pidfd_open(container.process.pid)
    try:
        container.kill()
        with pytest.raises(KernelError):
            Veth().create(place(), container.process.replace(pidfd=pidfd), EffectRecorder())
    finally:
        os.close(pidfd)
    assert set(host_links()) == {"lo"}


def test_a_taken_name_says_on_which_side_it_is_taken(container: Container) -> None:
    placement = place(host_name="clnet0", name="web0")
    with container.netlink() as netlink:
        netlink.make_veth("web0", attribute(IFLA_IFNAME, "clnetpeer"))
    with pytest.raises(AlreadyExists, match="a link of that name exists in the container: web0"):
        create(placement, container)
    with Rtnetlink() as netlink:
        netlink.make_veth("clnet0", attribute(IFLA_IFNAME, "clnetpeer"))
    with pytest.raises(AlreadyExists, match="a link of that name exists on the host: clnet0"):
        create(placement, container)


def test_a_link_that_was_renamed_since_is_still_removed(container: Container) -> None:
    placement = place()
    recorder = create(placement, container)
    with Rtnetlink() as netlink:
        netlink.set_link(host_links()[placement.host_name].index, attributes=attribute(IFLA_IFNAME, "clnetrenamed"))
    Veth().destroy(placement, recorder.effects)
    assert set(host_links()) == {"lo"}


def test_stats_of_a_foreign_link_of_that_name_are_refused(container: Container) -> None:
    placement = place()
    with Rtnetlink() as netlink:
        netlink.make_veth(placement.host_name, attribute(IFLA_IFNAME, "clnetpeer"))
    with pytest.raises(KernelError, match="cannot read counters"):
        Veth().stats(placement)


def test_destroy_from_another_namespace_says_where_to_call_it_from(container: Container) -> None:
    placement = place()
    recorder = create(placement, container)
    neighbour = subprocess.Popen(["sleep", "100"])  # keeps this namespace alive, visibly
    try:
        with private_network(), pytest.raises(KernelError) as caught:
            Veth().destroy(placement, recorder.effects)
        assert caught.value.hint.startswith("nsenter --net=/proc/")
        assert placement.host_name in host_links()
    finally:
        neighbour.kill()
        neighbour.wait()
    Veth().destroy(placement, recorder.effects)
    assert set(host_links()) == {"lo"}


def test_destroy_after_the_callers_namespace_died_is_done() -> None:
    with private_network(), Container() as container:
        placement = place()
        recorder = create(placement, container)
    with private_network():
        Veth().destroy(placement, recorder.effects)
