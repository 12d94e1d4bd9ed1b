"""veth on a real kernel: traffic passes, and whatever fails or is killed in between, nothing of it stays."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from corelaunch_netstrategies.netlink_socket import NetlinkSocket
from corelaunch_netstrategies.veth import Veth
from network_faults import AtRequest, die_at_request

from corelaunch.api import KernelError, NetworkPlacement, NetworkRequest
from corelaunch.testing.network_host import Container, EffectRecorder, LaterProcess, host_links, private_network
from corelaunch.testing.network_probe import ping

pytestmark = pytest.mark.needs_root

OPTIONS = {
    "address": "10.9.0.2/24,fd00:9::2/64",
    "host-address": "10.9.0.1/24,fd00:9::1/64",
    "gateway": "10.9.0.1",
    "route": "10.77.0.0/16 via 10.9.0.7",
}
#: Requests to the kernel: name taken?, make, look, set up, 2 addresses; then look, up, 2 addresses, route, gateway.
REQUESTS = 6 + 6


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def container() -> Iterator[Container]:
    with Container() as container:
        yield container


def place(container_id: str = "clnet") -> NetworkPlacement:
    return Veth().place(NetworkRequest(container_id, 0, "veth", OPTIONS))


def launch(container: Container, recorder: EffectRecorder, container_id: str = "clnet") -> NetworkPlacement:
    placement = place(container_id)
    Veth().create(placement, container.process, recorder)
    Veth().initialize(placement, container.netlink_fd, recorder)
    return placement


@pytest.mark.parametrize("address", ["10.9.0.2", "fd00:9::2"])
def test_the_host_reaches_the_container_at_once(container: Container, address: str) -> None:
    launch(container, EffectRecorder())
    assert ping(address)


@pytest.mark.parametrize("address", ["10.9.0.1", "fd00:9::1"])
def test_the_container_reaches_the_host_at_once(container: Container, address: str) -> None:
    launch(container, EffectRecorder())
    with private_network(container.namespace):
        assert ping(address)


def test_nothing_answers_after_destroy(container: Container) -> None:
    recorder = EffectRecorder()
    Veth().destroy(launch(container, recorder), recorder.effects)
    with pytest.raises(OSError, match="Network is unreachable"):
        ping("10.9.0.2")


def test_a_launch_makes_as_many_requests_as_these_tests_take_it_to(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = AtRequest(-1, lambda: None, before=True)
    monkeypatch.setattr(NetlinkSocket, "exchange", lambda *arguments: counter(*arguments))
    launch(container, EffectRecorder())
    assert -1 - counter.left == REQUESTS


@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_a_refusal_by_the_kernel_at_any_request_is_undone(
    container: Container, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse() -> None:
        raise KernelError("no memory for a message", errno=12)

    recorder, later = EffectRecorder(), LaterProcess(Veth())
    at_request = AtRequest(number, refuse, before=True)
    with monkeypatch.context() as patch:
        patch.setattr(NetlinkSocket, "exchange", lambda *arguments: at_request(*arguments))
        with pytest.raises(KernelError, match="no memory for a message"):
            launch(container, recorder)
    assert later.destroy(place(), recorder.effects) == ""
    assert (set(host_links()), set(container.links())) == ({"lo"}, {"lo"})


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_kill_9_around_any_request_leaves_nothing_after_destroy(
    container: Container, number: int, before: bool
) -> None:
    effects = die_at_request(lambda journal: launch(container, journal), number, before=before)
    Veth().destroy(place(), effects)
    assert (set(host_links()), set(container.links())) == ({"lo"}, {"lo"})


def test_the_kill_between_link_and_confirmation_does_leave_a_link_for_destroy_to_find(container: Container) -> None:
    # The request after the announcement makes the link (the one before asks for its name).
    effects = die_at_request(lambda journal: launch(container, journal), 2, before=False)
    assert [effect.done for effect in effects] == [False]
    assert place().host_name in host_links()


def test_two_hundred_links_leave_no_descriptor_no_link_and_no_number_reused(container: Container) -> None:
    indexes, descriptors = [], []
    for _ in range(200):
        recorder = EffectRecorder()
        placement = launch(container, recorder)
        indexes.append(host_links()[placement.host_name].index)
        Veth().destroy(placement, recorder.effects)
        descriptors.append(len(os.listdir("/proc/self/fd")))
    assert (set(host_links()), set(container.links())) == ({"lo"}, {"lo"})
    assert descriptors[-1] == descriptors[1]
    # Destroy tells its own link from a later one by this.
    assert len(set(indexes)) == 200


def test_destroy_while_the_namespace_is_dying_is_done(container: Container) -> None:
    for number in range(10):
        with Container() as dying:
            recorder = EffectRecorder()
            placement = launch(dying, recorder, f"clnet-{number}")
            dying.die()
            Veth().destroy(placement, recorder.effects)
    assert set(host_links()) == {"lo"}
