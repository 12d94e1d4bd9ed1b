"""Devices of the host's in containers: linux.netDevices, and host-device with its way back, at every failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from corelaunch_netstrategies.host_device import HostDevice
from corelaunch_netstrategies.netlink_socket import NetlinkSocket
from corelaunch_netstrategies.pinned_namespace import DIRECTORY
from corelaunch_netstrategies.rtnetlink import Netlink
from network_faults import AtRequest, die_at_request

from corelaunch.api import ConfigError, KernelError, NetworkPlacement, NetworkRequest
from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.errors import AlreadyExists, CorelaunchError, PluginError
from corelaunch.features import features
from corelaunch.plugins.registry import Registry
from corelaunch.runtime import Runtime
from corelaunch.testing.network_host import Container, EffectRecorder, host_links, private_network
from corelaunch.testing.network_rtnetlink import IFLA_IFALIAS, IFLA_IFNAME, IFLA_MTU, Rtnetlink, attribute

pytestmark = pytest.mark.needs_root

DEVICE, PEER, ADDRESSES = "clnetdev", "clnetend", ["10.9.0.2/24", "fd00:9::2/64"]
#: The device there?, number the container's namespace and look it up, name free inside?, addresses, move, look; then
#: look, MTU; look, up, 2 addresses.
REQUESTS = 7 + 6
#: Inside: look, without alternative names; on the host: own name free?, number free?; inside: move; then look, MTU, up,
#: its addresses, 2 addresses, its alternative name.
REQUESTS_BACK = 12


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    """A device with what a device can have, on a private host."""
    kept = set(os.listdir(DIRECTORY)) if os.path.isdir(DIRECTORY) else set()
    with private_network(), Rtnetlink() as netlink:
        netlink.make_veth(DEVICE, attribute(IFLA_IFNAME, PEER))
        index = netlink.links()[DEVICE].index
        netlink.set_link(index, attributes=attribute(IFLA_MTU, 1400) + attribute(IFLA_IFALIAS, "lent"))
        netlink.set_link(index, up=True)
        with Netlink(time.monotonic() + 10) as ours:
            link = ours.link(index=index)
            assert link is not None
            ours.add_alternative(link, "clnet-a-long-name")
        netlink.set_link(netlink.links()[PEER].index, up=True)
        for address in ADDRESSES:
            netlink.add_address(index, address)
        yield
    assert (set(os.listdir(DIRECTORY)) if os.path.isdir(DIRECTORY) else set()) == kept


@pytest.fixture
def container() -> Iterator[Container]:
    with Container() as container:
        yield container


def of_device(name: str = DEVICE) -> tuple[Any, ...]:
    with Rtnetlink() as netlink:
        link = netlink.links()[name]
        addresses = [address.cidr for address in netlink.addresses(link.index)]
    with Netlink(time.monotonic() + 10) as ours:
        found = ours.link(name=name)
    assert found is not None
    return link.mtu, link.mac, link.up, link.alias, addresses, found.alternatives


def place(**options: str) -> NetworkPlacement:
    named = {option.replace("_", "-"): value for option, value in options.items()}
    return HostDevice().place(NetworkRequest("clnet", 0, "host-device", {"device": DEVICE, **named}))


def launch(container: Container, recorder: EffectRecorder) -> None:
    placement = place(keep_addresses="true", mtu="1300")
    HostDevice().create(placement, container.process, recorder)
    HostDevice().initialize(placement, container.netlink_fd, recorder)


def without_cgroup(config: dict[str, Any]) -> None:
    config["linux"].pop("resources", None)


def with_devices(devices: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        without_cgroup(config)
        config["linux"]["netDevices"] = devices

    return change


def silent() -> ProcessIO:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return ProcessIO(stdin=null, stdout=null, stderr=null)


def test_it_makes_as_many_requests_as_these_tests_take_it_to(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, recorder = [], EffectRecorder()
    counter = AtRequest(-1, lambda: None, before=True)
    with monkeypatch.context() as patch:
        placement = place(keep_addresses="true", mtu="1300")
        patch.setattr(NetlinkSocket, "exchange", lambda *arguments: counter(*arguments))
        HostDevice().create(placement, container.process, recorder)
        HostDevice().initialize(placement, container.netlink_fd, recorder)
        counts.append(-1 - counter.left)
        HostDevice().destroy(placement, recorder.effects)
        counts.append(-1 - counter.left - counts[0])
    assert counts == [REQUESTS, REQUESTS_BACK]


@pytest.mark.parametrize("number", range(3, REQUESTS + 3))
def test_kill_9_after_any_request_brings_the_device_back(container: Container, number: int) -> None:
    was = of_device()
    effects = die_at_request(lambda journal: launch(container, journal), number, before=False)
    container.die()
    HostDevice().destroy(place(), effects)
    assert of_device() == was


@pytest.mark.parametrize("number", range(1, REQUESTS_BACK + 1))
def test_kill_9_after_any_request_of_destroy_leaves_what_the_next_destroy_finds(
    container: Container, number: int
) -> None:
    was, recorder = of_device(), EffectRecorder()
    launch(container, recorder)
    container.die()
    die_at_request(lambda _journal: HostDevice().destroy(place(), recorder.effects), number, before=False)
    HostDevice().destroy(place(), recorder.effects)
    assert of_device() == was


@pytest.mark.parametrize("number", range(3, REQUESTS + 3))
def test_a_refusal_at_any_request_brings_the_device_back(
    container: Container, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse() -> None:
        raise KernelError("no memory for a message", errno=12)

    was, recorder = of_device(), EffectRecorder()
    at_request = AtRequest(number, refuse, before=True)
    with monkeypatch.context() as patch:
        patch.setattr(NetlinkSocket, "exchange", lambda *arguments: at_request(*arguments))
        with pytest.raises(KernelError, match="no memory for a message"):
            launch(container, recorder)
    HostDevice().destroy(place(), recorder.effects)
    assert of_device() == was


#: What a container with CAP_NET_ADMIN may do to its device: name -> arguments of ip(8).
HOSTILE: dict[str, list[str | bytes]] = {
    "a name of the host's": ["link", "set", DEVICE, "name", PEER],
    "a name that is no text": ["link", "set", DEVICE, "name", b"\xff\xfe"],
    "an alternative name of the host's": ["link", "property", "add", "dev", DEVICE, "altname", PEER],
    "an alternative name that is no text": ["link", "property", "add", "dev", DEVICE, "altname", b"\xff\xfe"],
    "no alternative name": ["link", "property", "del", "dev", DEVICE, "altname", "clnet-a-long-name"],
    "another alias": ["link", "set", DEVICE, "alias", "of the container"],
    "an alias that is no text": ["link", "set", DEVICE, "alias", b"\xff\xfe"],
    "another MAC address and MTU": ["link", "set", DEVICE, "address", "02:00:00:00:00:07", "mtu", "1281"],
    "down": ["link", "set", DEVICE, "down"],
}


@pytest.mark.parametrize("act", HOSTILE)
def test_whatever_the_container_does_to_it_the_device_comes_back_as_it_was(container: Container, act: str) -> None:
    was, recorder = of_device(), EffectRecorder()
    launch(container, recorder)
    inside = ["nsenter", f"--net=/proc/{container.process.pid}/ns/net", "ip", *HOSTILE[act]]
    subprocess.run(inside, check=True)
    container.die()
    HostDevice().destroy(place(), recorder.effects)
    assert of_device() == was


def test_as_many_names_as_the_kernel_takes_do_not_keep_the_device(container: Container) -> None:
    was, recorder = of_device(), EffectRecorder()
    launch(container, recorder)
    with Netlink(time.monotonic() + 10, container.netlink_fd) as inside:
        link = inside.link(name=DEVICE)
        assert link is not None
        with pytest.raises(KernelError, match="property list too long"):
            for number in range(1000):
                inside.add_alternative(link, f"{number:04d}".ljust(127, "x"))
    container.die()
    HostDevice().destroy(place(), recorder.effects)
    assert of_device() == was


def test_an_alternative_name_that_somebody_else_has_by_now_is_an_error_and_the_rest_is_as_it_was(
    container: Container,
) -> None:
    was, recorder = of_device(), EffectRecorder()
    launch(container, recorder)
    with Netlink(time.monotonic() + 10) as netlink:
        peer = netlink.link(name=PEER)
        assert peer is not None
        netlink.add_alternative(peer, "clnet-a-long-name")
        container.die()
        with pytest.raises(KernelError, match="cannot name link: clnet-a-long-name: file exists"):
            HostDevice().destroy(place(), recorder.effects)
        assert of_device()[:-1] == was[:-1]
        netlink.remove_alternatives(peer, ["clnet-a-long-name"])
    HostDevice().destroy(place(), recorder.effects)
    assert of_device() == was


def test_a_whole_launch_lends_the_device_and_delete_takes_it_back_after_the_container_has_exited(
    runtime: Runtime, bundle: Callable[..., Path]
) -> None:
    was = of_device()
    look = bundle("sh", "-c", "test -e /sys/class/net/lan0 && ! test -e /sys/class/net/eth0", change=without_cgroup)
    asked = [f"host-device:device={DEVICE},name=lan0,address=10.9.1.2/24"]
    container = runtime.create("clnet1", str(look), io=silent(), networks=asked)
    container.start()
    assert container.wait(10) == 0
    assert DEVICE not in host_links() and PEER in host_links(), "the device went with its namespace"
    container.delete()
    assert of_device() == was


def test_a_launch_that_fails_later_takes_the_device_back(
    runtime: Runtime, bundle: Callable[..., Path], tmp_path: Path
) -> None:
    def change(config: dict[str, Any]) -> None:
        without_cgroup(config)
        config["mounts"].append({"destination": "/x", "type": "clnetfs", "source": "x"})

    was = of_device()
    with pytest.raises(CorelaunchError, match="unknown filesystem type"):
        runtime.create(
            "clnet1", str(bundle("true", change=change)), io=silent(), networks=[f"host-device:device={DEVICE}"]
        )
    assert (of_device(), runtime.root.ids()) == (was, [])


def test_a_runtime_that_is_killed_after_its_networks_is_cleaned_up_by_delete_force(
    bundle: Callable[..., Path], tmp_path: Path
) -> None:
    was, sleeper = of_device(), bundle("sleep", "100", change=without_cgroup)
    code = f"""
import os, signal
from corelaunch import runtime
from corelaunch.bootstrap.init_process import InitProcess
InitProcess.send_plan = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
networks = ["host-device:device={DEVICE}"]
runtime.Runtime({str(tmp_path / "state")!r}).create("clnet1", {str(sleeper)!r}, networks=networks)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    Runtime(str(tmp_path / "state")).load("clnet1").delete(force=True)
    assert of_device() == was


# From here on linux.netDevices.


def test_a_net_device_moves_with_its_addresses_under_its_new_name_and_is_up(
    runtime: Runtime, bundle: Callable[..., Path], output: Any
) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    io = ProcessIO(stdin=null, stdout=output.fd, stderr=output.fd)
    mac = host_links()[DEVICE].mac
    look = "cd /sys/class/net; echo *; cat lan0/mtu lan0/address lan0/operstate; ip -o addr show lan0"
    bundle_path = bundle("sh", "-c", look, change=with_devices({DEVICE: {"name": "lan0"}}))
    assert runtime.run("clnet1", str(bundle_path), io=io, networks=["veth"]) == 0
    shown = output.text()
    assert shown.split()[:6] == ["eth0", "lan0", "lo", "1400", mac, "up"]
    assert all(address in shown for address in ADDRESSES)


def test_a_name_with_a_template_is_the_first_that_is_free(
    runtime: Runtime, bundle: Callable[..., Path], output: Any
) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    io = ProcessIO(stdin=null, stdout=output.fd, stderr=output.fd)
    devices = {DEVICE: {"name": "eth%d"}, PEER: {"name": "eth%d"}}
    look = "cd /sys/class/net; echo *; cat eth*/operstate"
    path = bundle("sh", "-c", look, change=with_devices(devices))
    assert runtime.run("clnet1", str(path), io=io, networks=["veth"]) == 0
    assert output.text().split() == ["eth0", "eth1", "eth2", "lo", "up", "up", "up"]


def test_a_net_device_stays_in_the_namespace_and_is_not_taken_back(
    runtime: Runtime, bundle: Callable[..., Path], container: Container
) -> None:
    def joined(config: dict[str, Any]) -> None:
        with_devices({DEVICE: {}, PEER: {}})(config)
        (network,) = [one for one in config["linux"]["namespaces"] if one["type"] == "network"]
        network["path"] = f"/proc/{container.process.pid}/ns/net"

    runtime.run("clnet1", str(bundle("true", change=joined)), io=silent())
    assert set(container.links()) == {"lo", DEVICE, PEER}
    assert set(host_links()) == {"lo"}


def test_a_net_device_that_cannot_be_moved_is_an_error_and_everything_is_as_it_was(
    runtime: Runtime, bundle: Callable[..., Path]
) -> None:
    was = of_device()

    def create(devices: dict[str, Any], networks: list[str]) -> None:
        runtime.create("clnet1", str(bundle("true", change=with_devices(devices))), io=silent(), networks=networks)

    with pytest.raises(KernelError, match=r"cannot move device: clnetnone: no such interface") as caught:
        create({"clnetnone": {}}, [])
    assert (caught.value.step, caught.value.plugin) == ("networks", "network_strategy:host-device:0")
    with pytest.raises(ConfigError, match=r"networks\[0\] has the same interface name 'eth0'"):
        create({DEVICE: {"name": "eth0"}}, ["veth"])
    subprocess.run(["ip", "link", "add", "clnetbr0", "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "set", PEER, "master", "clnetbr0"], check=True)
    with pytest.raises(KernelError, match=f"cannot move device: {PEER}: it is a port of clnetbr0"):
        create({PEER: {}}, [])
    assert (of_device(), runtime.root.ids()) == (was, [])


def test_a_name_that_is_taken_in_a_joined_namespace_is_refused(
    runtime: Runtime, bundle: Callable[..., Path], container: Container
) -> None:
    was = of_device()
    with container.netlink() as netlink:
        netlink.make_veth("lan0", attribute(IFLA_IFNAME, "lan1"))

    def joined(config: dict[str, Any]) -> None:
        with_devices({DEVICE: {"name": "lan0"}})(config)
        (network,) = [one for one in config["linux"]["namespaces"] if one["type"] == "network"]
        network["path"] = f"/proc/{container.process.pid}/ns/net"

    with pytest.raises(AlreadyExists, match="a link of that name exists in the container: lan0"):
        runtime.create("clnet1", str(bundle("true", change=joined)), io=silent())
    assert (of_device(), set(container.links())) == (was, {"lo", "lan0", "lan1"})


def test_without_the_strategy_the_error_says_what_to_install_and_features_says_no(
    bundle: Callable[..., Path], tmp_path: Path
) -> None:
    nothing = Registry([])
    with pytest.raises(PluginError, match="no network strategy called 'host-device' is installed") as caught:
        from corelaunch.preparation import prepare

        prepare(nothing, "clnet1", str(bundle("true", change=with_devices({DEVICE: {}}))), state_directory="/x")
    assert "pip install corelaunch-netstrategies" in str(caught.value)
    assert features(nothing)["linux"]["netDevices"] == {"enabled": False}
    assert features(Registry())["linux"]["netDevices"] == {"enabled": True}
