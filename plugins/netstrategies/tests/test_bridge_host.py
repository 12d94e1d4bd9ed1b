"""What bridge does beyond the contract: the lock, foreign bridges as they are, names and refusals in plain words."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest
from corelaunch_netstrategies import shared_bridge
from corelaunch_netstrategies.bridge import Bridge
from corelaunch_netstrategies.rtnetlink import Netlink

from corelaunch.api import AlreadyExists, DeadlineExceeded, KernelError, NetworkPlacement, NetworkRequest
from corelaunch.testing.network_host import Container, EffectRecorder, host_links, private_network
from corelaunch.testing.network_rtnetlink import IFLA_ADDRESS, IFLA_IFNAME, Rtnetlink, attribute

pytestmark = pytest.mark.needs_root


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def container() -> Iterator[Container]:
    with Container() as container:
        yield container


def place(**options: str) -> NetworkPlacement:
    named = {option.replace("_", "-"): value for option, value in options.items()}
    return Bridge().place(NetworkRequest("clnet", 0, "bridge", {"bridge": "clnetbr0", **named}))


def create(placement: NetworkPlacement, container: Container) -> EffectRecorder:
    recorder = EffectRecorder()
    Bridge().create(placement, container.process, recorder)
    return recorder


def test_the_bridge_is_up_with_its_addresses_and_the_port_has_its_alias_and_mtu(container: Container) -> None:
    placement = place(bridge_address="10.9.0.1/24,fd00:9::1/64", mtu="1400")
    create(placement, container)
    with Rtnetlink() as netlink:
        links = netlink.links()
        bridge, port = links["clnetbr0"], links[placement.host_name]
        addresses = {address.cidr for address in netlink.addresses(bridge.index) if address.usable}
    assert (bridge.up, port.up, port.master, port.alias) == (True, True, bridge.index, "corelaunch:clnet:0")
    assert (port.mtu, bridge.mtu) == (1400, 1400)
    assert addresses == {"10.9.0.1/24", "fd00:9::1/64"}


def test_the_mark_of_our_bridges_is_of_the_name_and_the_namespace(container: Container) -> None:
    with Netlink(time.monotonic() + 10) as netlink:
        ours = shared_bridge.our_mac(netlink, "clnetbr0", nat=False)
        assert ours == shared_bridge.our_mac(netlink, "clnetbr0", nat=False)
        assert ours != shared_bridge.our_mac(netlink, "clnetbr1", nat=False)
        assert ours != shared_bridge.our_mac(netlink, "clnetbr0", nat=True)
        with private_network(), Netlink(time.monotonic() + 10) as other:
            assert shared_bridge.our_mac(other, "clnetbr0", nat=False) != ours
    create(place(), container)
    # A bridge takes the lowest address of its ports unless it was given one.
    assert host_links()["clnetbr0"].mac == ours
    assert int(ours[:2], 16) & 3 == 2, "neither locally administered nor unicast"


def test_a_bridge_that_was_given_another_address_is_the_administrators(container: Container) -> None:
    placement = place()
    recorder = create(placement, container)
    with Rtnetlink() as netlink:
        netlink.set_link(host_links()["clnetbr0"].index, attributes=attribute(IFLA_ADDRESS, b"\x02admin"))
    Bridge().destroy(placement, recorder.effects)
    assert set(host_links()) == {"lo", "clnetbr0"}


def test_a_port_of_the_administrators_keeps_the_bridge(container: Container) -> None:
    placement = place()
    recorder = create(placement, container)
    with Rtnetlink() as netlink:
        netlink.make_veth("clnetadm", attribute(IFLA_IFNAME, "clnetadm2"))
        master = host_links()["clnetbr0"].index
        netlink.set_link(host_links()["clnetadm"].index, attributes=attribute(10, master))
    Bridge().destroy(placement, recorder.effects)
    assert set(host_links()) == {"lo", "clnetbr0", "clnetadm", "clnetadm2"}


def test_a_foreign_bridge_that_is_down_is_joined_with_a_warning(container: Container) -> None:
    with Rtnetlink() as netlink:
        netlink.make_bridge("clnetbr0")
    recorder = create(place(), container)
    assert not host_links()["clnetbr0"].up
    (message,) = recorder.messages
    assert message == ("warning", "bridge clnetbr0 is down, and not ours: nothing passes until somebody brings it up")


def test_what_is_no_bridge_is_named_by_its_kind(container: Container) -> None:
    with Rtnetlink() as netlink:
        netlink.make_veth("clnetbr0", attribute(IFLA_IFNAME, "clnetpeer"))
    with pytest.raises(AlreadyExists, match=r"not a bridge: clnetbr0: it is a veth .choose another name with bridge="):
        create(place(), container)


def test_a_missing_address_says_whose_the_bridge_is(container: Container) -> None:
    create(place(bridge_address="10.9.0.1/24"), container)
    with pytest.raises(AlreadyExists, match=r"10.8.0.1/24: the bridge was made by an earlier container and does not"):
        create(place(bridge_address="10.8.0.1/24", host_name="clnetx"), container)
    with Rtnetlink() as netlink:
        netlink.make_bridge("clnetbr1")
    with pytest.raises(AlreadyExists, match=r"10.8.0.1/24: the bridge is not ours and does not have it"):
        create(place(bridge="clnetbr1", bridge_address="10.8.0.1/24", host_name="clnetx"), container)


def test_the_lock_is_waited_for_until_the_deadline_and_says_who_to_look_for() -> None:
    with shared_bridge.Lock(time.monotonic() + 10):
        with pytest.raises(DeadlineExceeded, match=r"another runtime holds it .fuser /proc/sys/net/ipv4/route/flush"):
            shared_bridge.Lock(time.monotonic() + 0.02).__enter__()
    with shared_bridge.Lock(time.monotonic() + 0.02):
        pass


def test_the_lock_is_had_as_soon_as_it_is_let_go() -> None:
    with shared_bridge.Lock(time.monotonic() + 10) as held:
        timer = threading.Timer(0.1, held.__exit__)
        timer.start()
        with shared_bridge.Lock(time.monotonic() + 10):
            pass
        timer.join()


def test_other_network_namespaces_have_other_locks_and_no_descriptor_stays() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with shared_bridge.Lock(time.monotonic() + 10), private_network(), shared_bridge.Lock(time.monotonic() + 0.02):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_ordinary_user_cannot_take_the_lock() -> None:
    pid = os.fork()
    if pid == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            shared_bridge.Lock(time.monotonic() + 0.02).__enter__()
        except KernelError as error:
            os._exit(0 if "permission denied" in str(error) else 2)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_lock_goes_with_a_killed_holder() -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        shared_bridge.Lock(time.monotonic() + 10).__enter__()
        os.write(write, b"x")
        time.sleep(100)
        os._exit(1)
    os.read(read, 1)
    os.close(read)
    os.close(write)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    with shared_bridge.Lock(time.monotonic() + 1):
        pass


def test_an_interrupt_while_it_waits_for_the_lock_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with shared_bridge.Lock(time.monotonic() + 10):
        before = len(os.listdir("/proc/self/fd"))
        monkeypatch.setattr("time.sleep", interrupt)
        waiting = shared_bridge.Lock(time.monotonic() + 10)
        with pytest.raises(KeyboardInterrupt):
            waiting.__enter__()
        assert len(os.listdir("/proc/self/fd")) == before
