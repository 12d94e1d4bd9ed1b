"""After a reboot a network's journal names links, devices, processes that are strangers' now: they stay as they are."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping

import pytest
from corelaunch_netstrategies.bridge import Bridge
from corelaunch_netstrategies.host_device import HostDevice
from corelaunch_netstrategies.nftables import NfTables
from corelaunch_netstrategies.pasta import Pasta
from corelaunch_netstrategies.veth import Veth

from corelaunch.api import Effect, NetworkPlacement, NetworkRequest, NetworkStrategy
from corelaunch.testing.network_host import Container, EffectRecorder, host_links, private_network
from corelaunch.testing.network_rtnetlink import IFLA_IFNAME, Rtnetlink, attribute
from corelaunch.testing.network_stage import still_links

pytestmark = pytest.mark.needs_root

ANOTHER = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def container() -> Iterator[Container]:
    with Container() as container:
        yield container


def of_another_boot(effects: list[Effect]) -> list[Effect]:
    """Effects as they would read if the same numbers and names had come again: the kernel counts anew in each boot."""
    return [effect.replace(args={**effect.args, "boot_id": ANOTHER}) for effect in effects]


def tables() -> list[str]:
    with NfTables(time.monotonic() + 10) as nftables:
        return sorted(table.name for table in nftables.tables())


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        (Veth(), {}),
        (Bridge(), {"bridge": "clnetbr0"}),
        (Bridge(), {"bridge": "clnetbr0", "subnet": "10.9.0.0/24", "nat": "true", "publish": "8088:80"}),
    ],
    ids=["veth", "bridge", "nat"],
)
def test_links_and_tables_of_the_same_names_and_numbers_stay(
    container: Container, strategy: NetworkStrategy, options: Mapping[str, str]
) -> None:
    recorder, placement = EffectRecorder(), strategy.place(NetworkRequest("clnet", 0, "x", options))
    strategy.create(placement, container.process, recorder)
    links, nftables = still_links(), tables()
    strategy.destroy(placement, of_another_boot(recorder.effects))
    assert (still_links(), tables()) == (links, nftables)
    strategy.destroy(placement, recorder.effects)
    assert (set(host_links()), tables()) == ({"lo"}, [])


def test_a_device_is_not_made_what_it_was_in_another_boot_and_its_mount_goes(container: Container) -> None:
    with Rtnetlink() as netlink:
        netlink.make_veth("clnetdev", attribute(IFLA_IFNAME, "clnetend"))
    recorder, strategy = EffectRecorder(), HostDevice()
    placement: NetworkPlacement = strategy.place(NetworkRequest("clnet", 0, "host-device", {"device": "clnetdev"}))
    strategy.create(placement, container.process, recorder)
    (effect,) = recorder.effects
    strategy.destroy(placement, recorder.effects)
    with Rtnetlink() as netlink:
        netlink.set_link(host_links()["clnetdev"].index, up=True)
    links = still_links()
    strategy.destroy(placement, of_another_boot([effect]))
    assert still_links() == links
    assert not os.path.exists(effect.name)


def test_a_process_of_the_same_number_and_start_stays() -> None:
    bystander = subprocess.Popen(["sleep", "100"], process_group=0)
    try:
        with open(f"/proc/{bystander.pid}/stat", encoding="ascii") as file:
            start = int(file.read().rpartition(")")[2].split()[19])
        args = {"pid": bystander.pid, "start_time": start, "boot_id": ANOTHER}
        effect = EffectRecorder().intend("companion", "pasta of eth0", absent=True, **args)
        Pasta().destroy(NetworkPlacement(container_name="eth0"), [effect])
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
