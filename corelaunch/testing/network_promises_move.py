"""Promises of a network strategy that moves a device of the host's into the container: it comes back as it was."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import pytest

from corelaunch.api import CorelaunchError, KernelError, NetworkPlacement

from .network_host import EffectRecorder, LaterProcess, host_links
from .network_rtnetlink import IFLA_ADDRESS, IFLA_IFNAME, IFLA_MASTER, IFLA_MTU, Rtnetlink, attribute
from .network_stage import Stage, die_creating, make_foreign, static, still_links

_MTU = 1400


class Moving:
    """A device is in one place at a time, whole, and back on the host when the container is undone."""

    def test_the_device_is_in_the_container_and_not_on_the_host(self, stage: Stage) -> None:
        stage.need("move")
        placement, device = lend(stage)
        stage.create(placement)
        assert device not in host_links()
        assert set(stage.container.links()) == {"lo", placement.container_name}

    def test_the_device_comes_back_as_it_was_whatever_the_container_did_to_it(
        self, stage: Stage, later_process: LaterProcess
    ) -> None:
        stage.need("move")
        placement, device = lend(stage)
        before = seen(device)
        recorder = stage.give(placement)
        with stage.container.netlink() as netlink:
            index = netlink.links()[placement.container_name].index
            netlink.set_link(index, up=False)
            changed = attribute(IFLA_IFNAME, "clnetevil") + attribute(IFLA_MTU, 900)
            netlink.set_link(index, attributes=changed + attribute(IFLA_ADDRESS, b"\x02clnet"))
        stage.container.die()
        assert later_process.destroy(placement, recorder.effects) == ""
        assert seen(device) == before

    def test_a_running_container_gives_the_device_back(self, stage: Stage) -> None:
        stage.need("move")
        placement, device = lend(stage)
        before = seen(device)
        recorder = stage.give(placement)
        stage.strategy.destroy(placement, recorder.effects)
        assert seen(device) == before
        assert set(stage.container.links()) == {"lo"}

    def test_kill_9_before_the_move_is_confirmed_leaves_what_destroy_brings_back(self, stage: Stage) -> None:
        stage.need("move")
        placement, device = lend(stage)
        before = seen(device)
        effects = die_creating(stage, placement, "")
        assert device not in host_links(), "it was confirmed before it had moved"
        stage.container.die()
        stage.strategy.destroy(placement, effects)
        assert seen(device) == before

    def test_a_device_that_is_not_there_is_refused(self, stage: Stage) -> None:
        stage.need("move")
        before, recorder = still_links(), EffectRecorder()
        placement = stage.place({"device": "clnetnone"})
        with pytest.raises(CorelaunchError, match="clnetnone"):
            stage.create(placement, recorder)
        stage.strategy.destroy(placement, recorder.effects)
        assert (still_links(), set(stage.container.links())) == (before, {"lo"})

    def test_a_port_of_a_bridge_is_refused_and_stays(self, stage: Stage) -> None:
        stage.need("move")
        placement, device = lend(stage)
        with Rtnetlink() as netlink:
            netlink.make_bridge("clnetbr0")
            links = netlink.links()
            netlink.set_link(links[device].index, attributes=attribute(IFLA_MASTER, links["clnetbr0"].index))
        before, recorder = still_links(), EffectRecorder()
        with pytest.raises(CorelaunchError, match=device):
            stage.create(placement, recorder)
        stage.strategy.destroy(placement, recorder.effects)
        assert still_links() == before

    def test_a_foreign_link_that_took_the_name_since_stays_and_the_device_is_back_beside_it(self, stage: Stage) -> None:
        stage.need("move")
        placement, device = lend(stage)
        recorder = stage.give(placement)
        make_foreign(device)
        before = static(host_links()[device])
        with pytest.raises(KernelError, match=device):
            stage.strategy.destroy(placement, recorder.effects)
        stage.strategy.destroy(placement, recorder.effects)
        assert static(host_links()[device]) == before
        assert [link.mtu for link in host_links().values() if link.mtu == _MTU] == [_MTU]


def lend(stage: Stage) -> tuple[NetworkPlacement, str]:
    """A placement with its device, which has properties that a device does not have by itself, and addresses."""
    placement = stage.place()
    device = placement.options["device"]
    with Rtnetlink() as netlink:
        index = netlink.links()[device].index
        netlink.set_link(index, attributes=attribute(IFLA_MTU, _MTU))
        netlink.set_link(index, up=True)
        netlink.add_address(index, "10.123.9.2/24")
    return placement, device


def seen(device: str) -> tuple[int, str, bool, list[str]]:
    """What of a device must be as it was: MTU, MAC address, whether it is up, addresses."""
    with Rtnetlink() as netlink:
        link = netlink.links()[device]
        return link.mtu, link.mac, link.up, [address.cidr for address in netlink.addresses(link.index)]
