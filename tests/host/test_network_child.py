"""macvlan on a real kernel: who reaches whom in each mode, plain refusals, and nothing left whatever fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from corelaunch_netstrategies.macvlan import Macvlan
from corelaunch_netstrategies.namespace_numbers import number_for, number_of
from corelaunch_netstrategies.netlink_socket import NetlinkSocket
from corelaunch_netstrategies.rtnetlink import Netlink
from network_faults import AtRequest

from corelaunch.api import AlreadyExists, ConfigError, KernelError, NetworkPlacement, NetworkRequest
from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.runtime import Runtime
from corelaunch.testing.network_host import Container, EffectRecorder, host_links, private_network
from corelaunch.testing.network_probe import ping
from corelaunch.testing.network_rtnetlink import IFLA_IFNAME, IFLA_NET_NS_FD, Rtnetlink, attribute

pytestmark = pytest.mark.needs_root

PARENT, OUTSIDE = "clnetpar", "10.9.0.1"
#: Parent?, make, number and look it up; then look, alias, look, up, 2 addresses, gateway.
REQUESTS = 4 + 7


@pytest.fixture(autouse=True)
def outside() -> Iterator[Container]:
    """A machine behind the parent, which is the host's only interface."""
    with private_network(), Container() as outside, Rtnetlink() as netlink, outside.netlink() as inside:
        peer = attribute(IFLA_IFNAME, "clnetout") + attribute(IFLA_NET_NS_FD, outside.namespace)
        netlink.make_veth(PARENT, peer)
        netlink.set_link(netlink.links()[PARENT].index, up=True)
        index = inside.links()["clnetout"].index
        inside.set_link(index, up=True)
        inside.add_address(index, f"{OUTSIDE}/24")
        yield outside


@pytest.fixture
def container() -> Iterator[Container]:
    with Container() as container:
        yield container


def place(name: str = "clnet", **options: str) -> NetworkPlacement:
    named = {option.replace("_", "-"): value for option, value in options.items()}
    return Macvlan().place(NetworkRequest(name, 0, "macvlan", {"parent": PARENT, **named}))


def launch(container: Container, name: str = "clnet", **options: str) -> tuple[NetworkPlacement, EffectRecorder]:
    placement, recorder = place(name, **options), EffectRecorder()
    Macvlan().create(placement, container.process, recorder)
    Macvlan().initialize(placement, container.netlink_fd, recorder)
    return placement, recorder


def without_cgroup(config: dict[str, Any]) -> None:
    config["linux"].pop("resources", None)


def silent() -> ProcessIO:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return ProcessIO(stdin=null, stdout=null, stderr=null)


NETWORK = f"macvlan:parent={PARENT},address=10.9.0.2/24,address=fd00:9::2/64,gateway={OUTSIDE}"


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa"])
def test_siblings_reach_the_outside_and_each_other_only_in_mode_bridge(container: Container, mode: str) -> None:
    with Container() as second:
        launch(container, mode=mode, address="10.9.0.2/24", mac="02:00:00:00:09:02", mtu="1400")
        launch(second, "clnet-b", mode=mode, address="10.9.0.3/24")
        assert container.links()["eth0"].mac == "02:00:00:00:09:02"
        assert container.links()["eth0"].mtu == 1400
        with private_network(second.namespace):
            assert ping(OUTSIDE)
            assert ping("10.9.0.2", seconds=2.0 if mode == "bridge" else 0.3) == (mode == "bridge")


def test_in_mode_passthru_it_is_the_parent_and_there_is_one(container: Container) -> None:
    launch(container, mode="passthru", address="10.9.0.2/24")
    assert container.links()["eth0"].mac == host_links()[PARENT].mac
    with private_network(container.namespace):
        assert ping(OUTSIDE)
    with Container() as second, pytest.raises(KernelError, match=f"{PARENT} may have children of another type or mode"):
        launch(second, "clnet-b")


@pytest.mark.parametrize(
    ("options", "where", "why"),
    [
        ({"parent": "eth%d"}, "parent", "is not an interface name"),
        ({"mode": "source"}, "mode", "'source' is not bridge, private, vepa or passthru"),
        ({"mode": "passthru", "mac": "02:00:00:00:09:02"}, "mac", "has its parent's MAC address"),
        ({"host_name": "web0"}, "host-name", "unknown option"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_its_name(options: dict[str, str], where: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place(**options)
    assert caught.value.where == f"networks[0].{where}"
    assert why in caught.value.why


def test_without_a_parent_the_error_says_which_option_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"networks\[0\]\.parent: it is missing"):
        Macvlan().place(NetworkRequest("clnet", 0, "macvlan"))


def test_a_parent_that_is_not_there_or_too_small_is_refused_and_one_that_is_down_is_told(container: Container) -> None:
    with pytest.raises(KernelError, match=r"cannot create macvlan: parent clnetno: no such interface"):
        launch(container, parent="clnetno")
    with pytest.raises(KernelError, match=r"an MTU of 9000: eth0: its parent clnetpar has 1500"):
        launch(container, mtu="9000")
    subprocess.run(["ip", "link", "set", PARENT, "down"], check=True)
    recorder = EffectRecorder()
    Macvlan().create(place(), container.process, recorder)
    why = f"interface {PARENT} is down: nothing passes until somebody brings it up"
    assert recorder.messages == [("warning", why)]


def test_a_name_that_is_taken_inside_is_refused(container: Container) -> None:
    launch(container)
    with pytest.raises(AlreadyExists, match="a link of that name exists in the container: eth0"):
        launch(container)


@contextmanager
def counted(act: AtRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NetlinkSocket, "exchange", lambda *arguments: act(*arguments))
        yield


def test_counters_are_asked_of_one_link_and_found_even_if_the_number_of_the_namespace_is_anothers(
    container: Container,
) -> None:
    placement, _recorder = launch(container)
    counter = AtRequest(-1, lambda: None, before=True)
    with counted(counter):
        Macvlan().stats(placement)
    assert counter.left == -2, "more than one request"
    with Container() as second, Container() as third:
        with Netlink(time.monotonic() + 10) as netlink:
            number_of(netlink, third.namespace, number_for("clnet-b"))
        other, _recorder = launch(second, "clnet-b")
        before = Macvlan().stats(other)["tx_bytes"]
        second.send_frames("eth0", count=20, size=1000)
        assert Macvlan().stats(other)["tx_bytes"] - before >= 20_000


@pytest.mark.parametrize("number", range(1, REQUESTS + 2))
def test_a_refusal_at_any_request_is_an_error_of_the_launch_and_leaves_nothing(
    runtime: Runtime, bundle: Callable[..., Path], number: int
) -> None:
    def refuse() -> None:
        raise KernelError("no memory for a message", errno=12)

    before, sleeper = set(host_links()), str(bundle("sleep", "100", change=without_cgroup))
    with counted(AtRequest(number, refuse, before=True)):
        if number > REQUESTS:
            runtime.create("clnet1", sleeper, io=silent(), networks=[NETWORK]).delete(force=True)
        else:
            with pytest.raises(KernelError, match="no memory for a message") as caught:
                runtime.create("clnet1", sleeper, io=silent(), networks=[NETWORK])
            assert (caught.value.step, caught.value.plugin) == ("networks", "network_strategy:macvlan:0")
    assert (set(host_links()), runtime.root.ids()) == (before, [])


def test_a_whole_launch_talks_to_the_outside_and_leaves_nothing(
    runtime: Runtime, bundle: Callable[..., Path], outside: Container
) -> None:
    before = set(host_links())
    container = runtime.create(
        "clnet1", str(bundle("sleep", "100", change=without_cgroup)), io=silent(), networks=[NETWORK]
    )
    with private_network(outside.namespace):
        assert ping("10.9.0.2")
    ((name, figures),) = container.stats().networks
    assert (name, figures["rx_packets"] > 0) == ("eth0", True)
    container.delete(force=True)
    assert set(host_links()) == before


def test_a_runtime_that_is_killed_after_its_networks_is_cleaned_up_by_delete_force(
    bundle: Callable[..., Path], tmp_path: Path, outside: Container
) -> None:
    sleeper, before = bundle("sleep", "100", change=without_cgroup), set(host_links())
    code = f"""
import os, signal
from corelaunch import runtime
from corelaunch.bootstrap.init_process import InitProcess
InitProcess.send_plan = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
runtime.Runtime({str(tmp_path / "state")!r}).create("clnet1", {str(sleeper)!r}, networks=[{NETWORK!r}])
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    Runtime(str(tmp_path / "state")).load("clnet1").delete(force=True)
    assert set(host_links()) == before
    end = time.monotonic() + 5  # the kernel takes a namespace apart in its own time
    with private_network(outside.namespace):
        while ping("10.9.0.2", seconds=0.2) and time.monotonic() < end:
            pass
        assert time.monotonic() < end
