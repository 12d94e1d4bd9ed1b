"""bridge on a real kernel: containers talk over it, and whatever fails or is killed in between, nothing of it stays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from corelaunch_netstrategies.bridge import Bridge
from corelaunch_netstrategies.netlink_socket import NetlinkSocket
from network_faults import AtRequest, die_at_request

from corelaunch.api import KernelError, NetworkPlacement, NetworkRequest
from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.errors import AlreadyExists, CorelaunchError
from corelaunch.runtime import Runtime
from corelaunch.testing.network_host import Container, EffectRecorder, LaterProcess, host_links, private_network
from corelaunch.testing.network_probe import ping
from corelaunch.testing.network_rtnetlink import Rtnetlink

pytestmark = pytest.mark.needs_root

BRIDGE = "clnetbr0"
OPTIONS = {
    "bridge": BRIDGE,
    "bridge-address": "10.9.0.1/24,fd00:9::1/64",
    "gateway": "10.9.0.1",
    "route": "10.77.0.0/16 via 10.9.0.7",
}
#: Requests to the kernel: name taken?, bridge there?, make, look, 2 addresses, up; make the pair, look, claim 2
#: addresses, up; then look, up, 2 addresses, route, gateway.
REQUESTS = 12 + 6
#: With a bridge that another container uses: its addresses and ports in place of making it.
REQUESTS_JOINING = 9 + 6
#: The pair there?, delete; the bridge there?, has it ports?, delete.
REQUESTS_LEAVING = 5


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def container() -> Iterator[Container]:
    with Container() as container:
        yield container


@pytest.fixture
def neighbour() -> Iterator[Callable[[], None]]:
    """Puts a second container onto the bridge; what it has must still be there when the test ends."""
    with Container() as other:
        launched = []

        def launch_it() -> None:
            recorder = EffectRecorder()
            launched.append((launch(other, recorder, 9), recorder, host_links()))

        yield launch_it
        for placement, recorder, links in launched:
            assert set(host_links()) == set(links)
            with private_network(other.namespace):
                assert ping("10.9.0.1")
            Bridge().destroy(placement, recorder.effects)


def place(number: int = 2) -> NetworkPlacement:
    own = f"10.9.0.{number}/24,fd00:9::{number}/64"
    return Bridge().place(NetworkRequest(f"clnet-{number}", 0, "bridge", {**OPTIONS, "address": own}))


def launch(container: Container, recorder: EffectRecorder, number: int = 2) -> NetworkPlacement:
    placement = place(number)
    Bridge().create(placement, container.process, recorder)
    Bridge().initialize(placement, container.netlink_fd, recorder)
    return placement


def count_requests(container: Container, monkeypatch: pytest.MonkeyPatch) -> int:
    counter = AtRequest(-1, lambda: None, before=True)
    with monkeypatch.context() as patch:
        patch.setattr(NetlinkSocket, "exchange", lambda *arguments: counter(*arguments))
        recorder = EffectRecorder()
        placement = launch(container, recorder)
    Bridge().destroy(placement, recorder.effects)
    return -1 - counter.left


def test_a_launch_makes_as_many_requests_as_these_tests_take_it_to(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert count_requests(container, monkeypatch) == REQUESTS


def test_joining_makes_as_many_requests_as_these_tests_take_it_to(
    container: Container, neighbour: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour()
    assert count_requests(container, monkeypatch) == REQUESTS_JOINING


def refused_at(container: Container, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse() -> None:
        raise KernelError("no memory for a message", errno=12)

    before, recorder, later = set(host_links()), EffectRecorder(), LaterProcess(Bridge())
    at_request = AtRequest(number, refuse, before=True)
    with monkeypatch.context() as patch:
        patch.setattr(NetlinkSocket, "exchange", lambda *arguments: at_request(*arguments))
        with pytest.raises(KernelError, match="no memory for a message"):
            launch(container, recorder)
    assert later.destroy(place(), recorder.effects) == ""
    assert (set(host_links()), set(container.links())) == (before, {"lo"})


@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_a_refusal_by_the_kernel_at_any_request_is_undone(
    container: Container, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refused_at(container, monkeypatch, number)


@pytest.mark.parametrize("number", range(1, REQUESTS_JOINING + 1))
def test_a_refusal_while_joining_is_undone_and_the_neighbour_stays(
    container: Container, neighbour: Callable[[], None], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    neighbour()
    refused_at(container, monkeypatch, number)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_kill_9_around_any_request_leaves_nothing_after_destroy(
    container: Container, number: int, before: bool
) -> None:
    effects = die_at_request(lambda journal: launch(container, journal), number, before=before)
    Bridge().destroy(place(), effects)
    assert (set(host_links()), set(container.links())) == ({"lo"}, {"lo"})


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, REQUESTS_LEAVING + 1))
def test_kill_9_around_any_request_of_destroy_leaves_what_the_next_destroy_finds(
    container: Container, number: int, before: bool
) -> None:
    recorder = EffectRecorder()
    placement = launch(container, recorder)
    die_at_request(lambda _journal: Bridge().destroy(placement, recorder.effects), number, before=before)
    Bridge().destroy(placement, recorder.effects)
    assert (set(host_links()), set(container.links())) == ({"lo"}, {"lo"})


@pytest.mark.parametrize("number", range(3, 8))
def test_what_a_killed_launch_left_of_the_bridge_the_next_one_completes(container: Container, number: int) -> None:
    effects = die_at_request(lambda journal: launch(container, journal), number, before=False)
    with Container() as second:
        recorder = EffectRecorder()
        placement = launch(second, recorder, 3)
        with private_network(second.namespace):
            assert ping("10.9.0.1") and ping("fd00:9::1")
        Bridge().destroy(place(), effects)
        with private_network(second.namespace):
            assert ping("10.9.0.1"), "the killed launch took the bridge from the next one"
        Bridge().destroy(placement, recorder.effects)
    assert set(host_links()) == {"lo"}


# From here on through whole launches.


def without_cgroup(config: dict[str, Any]) -> None:
    config["linux"].pop("resources", None)


def silent() -> ProcessIO:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return ProcessIO(stdin=null, stdout=null, stderr=null)


def network(number: int, bridge: str = BRIDGE, more: str = "") -> str:
    of_bridge = f"bridge-address=10.9.{bridge[-1]}.1/24,bridge-address=fd00:9:{bridge[-1]}::1/64"
    own = f"address=10.9.{bridge[-1]}.{number}/24,address=fd00:9:{bridge[-1]}::{number}/64"
    return f"bridge:bridge={bridge},{of_bridge},{own}{more}"


def test_containers_reach_each_other_and_the_host_and_no_third_on_another_bridge(
    runtime: Runtime, bundle: Callable[..., Path]
) -> None:
    asked = {"clnet1": network(2), "clnet2": network(3), "clnet3": network(2, "clnetbr1", ",gateway=10.9.1.1")}
    made = {}
    for name, wanted in asked.items():
        sleeper = bundle("sleep", "100", change=without_cgroup)
        made[name] = runtime.create(name, str(sleeper), io=silent(), networks=[wanted])
        made[name].start()
    inside = {name: os.open(f"/proc/{container.process.pid}/ns/net", os.O_RDONLY) for name, container in made.items()}
    try:
        for number in (2, 3):
            assert ping(f"10.9.0.{number}") and ping(f"fd00:9::{number}")
        with private_network(inside["clnet1"]):
            assert ping("10.9.0.3") and ping("fd00:9::3") and ping("10.9.0.1") and ping("fd00:9::1")
            with pytest.raises(OSError, match="unreachable"):
                ping("10.9.1.2")
        with private_network(inside["clnet3"]):
            # It has a way to the host, which forwards only if it is told to (net.ipv4.ip_forward).
            assert ping("10.9.1.1")
            assert not ping("10.9.0.2", seconds=0.3)
    finally:
        for fd in inside.values():
            os.close(fd)
    for name in ("clnet1", "clnet3", "clnet2"):
        made[name].delete(force=True)
        assert (BRIDGE in host_links()) == (name != "clnet2")
    assert set(host_links()) == {"lo"}


def test_isolated_containers_reach_the_host_and_not_each_other(container: Container) -> None:
    with Container() as second:
        for one, number in ((container, 2), (second, 3)):
            options = {**OPTIONS, "address": f"10.9.0.{number}/24", "isolated": "true"}
            placement = Bridge().place(NetworkRequest(f"clnet-{number}", 0, "bridge", options))
            Bridge().create(placement, one.process, EffectRecorder())
            Bridge().initialize(placement, one.netlink_fd, EffectRecorder())
        with private_network(container.namespace):
            assert ping("10.9.0.1")
            assert not ping("10.9.0.3", seconds=0.3)


def test_two_interfaces_on_two_bridges_and_a_pair_are_three_ways_out(
    runtime: Runtime, bundle: Callable[..., Path], output: Any
) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    io = ProcessIO(stdin=null, stdout=output.fd, stderr=output.fd)
    look = bundle("sh", "-c", "cd /sys/class/net; echo *; cat */mtu", change=without_cgroup)
    asked = [network(2), network(2, "clnetbr1", ",name=back0,mtu=1400"), "veth:address=10.9.2.2/24,name=side0"]
    assert runtime.run("clnet1", str(look), io=io, networks=asked) == 0
    assert output.text().split() == ["back0", "eth0", "lo", "side0", "1400", "1500", "65536", "1500"]
    assert set(host_links()) == {"lo"}


def test_a_later_runtime_of_another_root_shares_the_bridge_and_the_last_removes_it(
    runtime: Runtime, bundle: Callable[..., Path], tmp_path: Path
) -> None:
    sleeper = str(bundle("sleep", "100", change=without_cgroup))
    other = Runtime(str(tmp_path / "other"))
    runtime.create("clnet1", sleeper, io=silent(), networks=[network(2)])
    other.create("clnet2", sleeper, io=silent(), networks=[network(3)])
    Runtime(str(tmp_path / "state")).load("clnet1").delete(force=True)
    assert BRIDGE in host_links()
    Runtime(str(tmp_path / "other")).load("clnet2").delete(force=True)
    assert set(host_links()) == {"lo"}


def test_a_second_network_that_fails_takes_the_first_and_the_bridge_back(
    runtime: Runtime, bundle: Callable[..., Path]
) -> None:
    with Rtnetlink() as netlink:
        netlink.make_veth("clnetbr1", b"")
    before = host_links()
    with pytest.raises(AlreadyExists, match=r"not a bridge: clnetbr1: it is a veth") as caught:
        asked = [network(2), network(2, "clnetbr1")]
        runtime.create("clnet1", str(bundle("true", change=without_cgroup)), io=silent(), networks=asked)
    assert (caught.value.step, caught.value.plugin) == ("networks", "network_strategy:bridge:1")
    assert (set(host_links()), runtime.root.ids()) == (set(before), [])


def test_the_same_address_on_two_interfaces_of_one_container_is_refused(
    runtime: Runtime, bundle: Callable[..., Path]
) -> None:
    asked = [network(2), network(2, more=",name=eth7")]
    with pytest.raises(CorelaunchError, match=r"networks\[1\]: networks\[0\] has the same address 10\.9\.0\.2"):
        runtime.create("clnet1", str(bundle("true", change=without_cgroup)), io=silent(), networks=asked)
    assert (set(host_links()), runtime.root.ids()) == ({"lo"}, [])


def test_the_same_address_in_two_containers_of_a_bridge_is_refused_with_the_other_ones_name(
    runtime: Runtime, bundle: Callable[..., Path]
) -> None:
    sleeper = str(bundle("sleep", "100", change=without_cgroup))
    runtime.create("clnet1", sleeper, io=silent(), networks=[network(2)])
    before = host_links()
    with pytest.raises(AlreadyExists, match=r"10\.9\.0\.2/24: another container .*corelaunch:clnet1:0"):
        runtime.create("clnet2", sleeper, io=silent(), networks=[network(2)])
    # On another bridge it is another address.
    runtime.create("clnet3", sleeper, io=silent(), networks=["bridge:bridge=clnetbr1,address=10.9.0.2/24"])
    runtime.load("clnet3").delete(force=True)
    assert set(host_links()) == set(before)
    runtime.load("clnet1").delete(force=True)
    runtime.create("clnet2", sleeper, io=silent(), networks=[network(2)]).delete(force=True)
    assert (set(host_links()), runtime.root.ids()) == ({"lo"}, [])
