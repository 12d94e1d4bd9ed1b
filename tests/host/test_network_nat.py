"""bridge with NAT on a real kernel: ports that lead in, addresses by themselves, and nothing left of it in any case."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from corelaunch_netstrategies.bridge import Bridge
from corelaunch_netstrategies.netlink_socket import NetlinkSocket
from corelaunch_netstrategies.nftables import NfTables, new_table
from network_faults import AtRequest, die_at_request

from corelaunch.api import AlreadyExists, KernelError, NetworkPlacement, NetworkRequest
from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.runtime import Runtime
from corelaunch.testing.network_host import Container, EffectRecorder, LaterProcess, host_links, private_network
from corelaunch.testing.network_probe import ping
from corelaunch.testing.network_promises_nat import HOSTS, OUTSIDES, outside_world, read, seen_by, write
from corelaunch.testing.network_tables import delete_table, inet_tables

pytestmark = pytest.mark.needs_root

BRIDGE = "clnetbr0"
FORWARDING = "/proc/sys/net/ipv4/ip_forward"
FORWARDING_6 = "/proc/sys/net/ipv6/conf/all/forwarding"
OPTIONS = {"bridge": BRIDGE, "subnet": "10.9.0.0/24,fd00:9::/64", "nat": "true"}
PORTS = {"publish": "8080:80,5353:53/udp"}
#: The pair's name taken?, the bridge there?; its table?, the mark there?, mark, table, chains of others; bridge: make,
#: look, 2 addresses, up; the pair: make, look, allocate 2 addresses, up; 2 ports taken?, publish. Then look for the
#: addresses; look, up, 2 addresses, 2 gateways.
REQUESTS = 20 + 7
#: 2 ports: look, remove; the pair: look, remove; the bridge: look, ports?, remove; its table: look, remove; the mark:
#: look, other tables?, remove.
REQUESTS_LEAVING = 14


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        write(FORWARDING, "0")
        write(FORWARDING_6, "1")
        yield


@pytest.fixture
def container() -> Iterator[Container]:
    with Container() as container:
        yield container


def place(name: str = "clnet", **more: str) -> NetworkPlacement:
    return Bridge().place(NetworkRequest(name, 0, "bridge", {**OPTIONS, **more}))


def launch(container: Container, recorder: EffectRecorder, name: str = "clnet", **more: str) -> NetworkPlacement:
    placement = place(name, **more)
    Bridge().create(placement, container.process, recorder)
    Bridge().initialize(placement, container.netlink_fd, recorder)
    return placement


def addresses(container: Container) -> list[str]:
    with container.netlink() as netlink:
        return [seen.cidr for seen in netlink.addresses(netlink.links()["eth0"].index)]


def nothing_left() -> bool:
    """Nothing of ours is left; the way to an outside world that ended just now may still be there."""
    return (set(host_links()) - {"clnetout0"}, inet_tables(), read(FORWARDING)) == ({"lo"}, {}, "0")


def is_clean(container: Container) -> bool:
    links = (set(host_links()), set(container.links()))
    return (links, inet_tables(), read(FORWARDING)) == (({"lo"}, {"lo"}), {}, "0")


def test_it_makes_as_many_requests_as_these_tests_take_it_to(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    counter = AtRequest(-1, lambda: None, before=True)
    recorder = EffectRecorder()
    with monkeypatch.context() as patch:
        patch.setattr(NetlinkSocket, "exchange", lambda *arguments: counter(*arguments))
        placement = launch(container, recorder, **PORTS)
        counts.append(-1 - counter.left)
        Bridge().destroy(placement, recorder.effects)
        counts.append(-1 - counter.left - counts[0])
    assert counts == [REQUESTS, REQUESTS_LEAVING]


@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_a_refusal_by_the_kernel_at_any_request_is_undone(
    container: Container, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse() -> None:
        raise KernelError("no memory for a message", errno=12)

    recorder, later = EffectRecorder(), LaterProcess(Bridge())
    at_request = AtRequest(number, refuse, before=True)
    with monkeypatch.context() as patch:
        patch.setattr(NetlinkSocket, "exchange", lambda *arguments: at_request(*arguments))
        with pytest.raises(KernelError, match="no memory for a message"):
            launch(container, recorder, **PORTS)
    assert later.destroy(place(**PORTS), recorder.effects) == ""
    assert is_clean(container)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_kill_9_around_any_request_leaves_nothing_after_destroy(
    container: Container, number: int, before: bool
) -> None:
    effects = die_at_request(lambda journal: launch(container, journal, **PORTS), number, before=before)
    Bridge().destroy(place(**PORTS), effects)
    assert is_clean(container)


@pytest.mark.parametrize("number", range(1, REQUESTS_LEAVING + 1))
def test_kill_9_after_any_request_of_destroy_leaves_what_the_next_destroy_finds(
    container: Container, number: int
) -> None:
    recorder = EffectRecorder()
    placement = launch(container, recorder, **PORTS)
    die_at_request(lambda _journal: Bridge().destroy(placement, recorder.effects), number, before=False)
    Bridge().destroy(placement, recorder.effects)
    assert is_clean(container)


@pytest.mark.parametrize("number", range(5, 12))
def test_what_a_killed_launch_left_the_next_one_completes(container: Container, number: int) -> None:
    effects = die_at_request(lambda journal: launch(container, journal), number, before=False)
    with outside_world() as outside, Container() as second:
        recorder = EffectRecorder()
        placement = launch(second, recorder, "clnet-b")
        Bridge().destroy(place(), effects)
        assert seen_by(outside, second, OUTSIDES[0]) == HOSTS[0], "the killed launch took the rules of the next one"
        Bridge().destroy(placement, recorder.effects)
    assert nothing_left()


def test_every_container_has_an_address_of_its_own_and_its_old_one_again(container: Container) -> None:
    recorder = EffectRecorder()
    placement = launch(container, recorder)
    first = addresses(container)
    assert sorted(a.partition("/")[2] for a in first) == ["24", "64"]
    with Container() as second, Container() as third:
        launch(second, EffectRecorder(), "clnet-b")
        assert not set(addresses(second)) & {*first, "10.9.0.1/24"}
        with private_network(second.namespace):
            assert all(ping(address.partition("/")[0]) for address in first)
        Bridge().destroy(placement, recorder.effects)
        launch(third, EffectRecorder())
        assert addresses(third) == first


def test_a_full_subnet_is_refused_and_one_address_is_enough(container: Container) -> None:
    subnet = {"subnet": "10.9.1.0/30"}
    launch(container, EffectRecorder(), **subnet)
    assert addresses(container) == ["10.9.1.2/30"]
    with Container() as second:
        recorder = EffectRecorder()
        with pytest.raises(AlreadyExists, match=r"no address is free: 10\.9\.1\.0/30: the containers of bridge"):
            launch(second, recorder, "clnet-b", **subnet)
        Bridge().destroy(place("clnet-b", **subnet), recorder.effects)


def test_the_address_of_the_bridge_is_not_a_containers(container: Container) -> None:
    launch(container, EffectRecorder())
    with Container() as second, pytest.raises(AlreadyExists, match=r"10\.9\.0\.1/24: bridge clnetbr0 itself has it"):
        asked = {"bridge": BRIDGE, "address": "10.9.0.1/24"}
        Bridge().create(
            Bridge().place(NetworkRequest("clnet-b", 0, "bridge", asked)), second.process, EffectRecorder()
        )


def answer_once(container: Container, port: int) -> Callable[[], str]:
    """A server in a container; the function gives the address of whoever connected."""
    with private_network(container.namespace):
        server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    server.settimeout(5)

    def peer() -> str:
        with server:
            connection, address = server.accept()
            connection.close()
            return str(address[0]).removeprefix("::ffff:")

    return peer


def connect(address: str, port: int, namespace: int) -> None:
    with private_network(namespace):
        socket.create_connection((address, port), timeout=5).close()


def test_a_published_port_is_reached_from_outside_from_the_host_and_from_a_neighbour(container: Container) -> None:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        with outside_world() as outside, Container() as second:
            recorder = EffectRecorder()
            placement = launch(container, recorder, **PORTS)
            launch(second, EffectRecorder(), "clnet-b")
            for number, asks in enumerate((outside.namespace, home, second.namespace, container.namespace)):
                for host, there in zip(HOSTS, OUTSIDES, strict=True):
                    peer = answer_once(container, 80)
                    connect(host, 8080, asks)
                    seen = peer()
                    assert (seen == there) == (number == 0), seen
            Bridge().destroy(placement, recorder.effects)
            with pytest.raises(OSError, match="refused"):
                connect(HOSTS[0], 8080, outside.namespace)
    finally:
        os.close(home)


def test_a_published_udp_port_is_reached(container: Container) -> None:
    with outside_world() as outside:
        launch(container, EffectRecorder(), **PORTS)
        with private_network(container.namespace):
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            server.bind(("", 53))
        with private_network(outside.namespace):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with server, client:
            server.settimeout(5)
            client.sendto(b"?", (HOSTS[0], 5353))
            assert server.recvfrom(10)[0] == b"?"


def test_a_port_that_leads_to_another_container_is_refused(container: Container) -> None:
    launch(container, EffectRecorder(), **PORTS)
    before = inet_tables()
    with Container() as second:
        recorder = EffectRecorder()
        with pytest.raises(AlreadyExists, match=r"8080/tcp: it leads to another container"):
            launch(second, recorder, "clnet-b", publish="9090:90,8080:80")
        Bridge().destroy(place("clnet-b", publish="9090:90,8080:80"), recorder.effects)
        launch(second, EffectRecorder(), "clnet-b", publish="8080:80/udp")
    assert set(inet_tables()) == {*before, "corelaunch-port-udp-8080"}


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_a_port_on_which_the_host_listens_is_refused(container: Container, kind: socket.SocketKind) -> None:
    recorder = EffectRecorder()
    with socket.socket(socket.AF_INET6, kind) as listener:
        listener.bind(("::", 8080))
        if kind == socket.SOCK_STREAM:
            listener.listen()
        word = "tcp" if kind == socket.SOCK_STREAM else "udp"
        with pytest.raises(AlreadyExists, match=f"8080/{word}: a process of the host uses it"):
            launch(container, recorder, publish=f"8080:80/{word}")
    Bridge().destroy(place(), recorder.effects)
    assert is_clean(container)


def test_without_ipv6_forwarding_an_ipv6_bridge_gets_no_nat_and_nothing_is_changed(container: Container) -> None:
    write(FORWARDING_6, "0")
    recorder = EffectRecorder()
    with pytest.raises(KernelError, match=r"net\.ipv6\.conf\.all\.forwarding: this host does not forward IPv6"):
        launch(container, recorder)
    Bridge().destroy(place(), recorder.effects)
    assert (is_clean(container), read(FORWARDING_6)) == (True, "0")
    launch(container, EffectRecorder(), subnet="10.9.0.0/24")


def test_rules_that_somebody_flushed_are_made_again_by_the_next_container(container: Container) -> None:
    first = EffectRecorder()
    launch(container, first)
    delete_table(f"corelaunch-nat-{BRIDGE}")
    with outside_world() as outside, Container() as second:
        recorder = EffectRecorder()
        other = launch(second, recorder, "clnet-b")
        assert seen_by(outside, container, OUTSIDES[0]) == HOSTS[0]
        Bridge().destroy(place(), first.effects)
        assert seen_by(outside, second, OUTSIDES[0]) == HOSTS[0]
        Bridge().destroy(other, recorder.effects)
    assert nothing_left()


def test_forwarding_that_somebody_turned_off_since_stays_off_and_on_stays_until_the_last_bridge_goes(
    container: Container,
) -> None:
    with Container() as second:
        recorders = [EffectRecorder(), EffectRecorder()]
        placements = [
            launch(container, recorders[0]),
            launch(second, recorders[1], "clnet-b", bridge="clnetbr1", subnet="10.10.0.0/24"),
        ]
        Bridge().destroy(placements[0], recorders[0].effects)
        assert read(FORWARDING) == "1"
        Bridge().destroy(placements[1], recorders[1].effects)
        assert (read(FORWARDING), inet_tables()) == ("0", {})


def test_a_bridge_that_went_underneath_takes_nothing_along_and_its_rules_go_with_the_container(
    container: Container,
) -> None:
    recorder = EffectRecorder()
    placement = launch(container, recorder, **PORTS)
    subprocess.run(["ip", "link", "del", BRIDGE], check=True)
    Bridge().destroy(placement, recorder.effects)
    assert is_clean(container)


def test_a_firewall_that_drops_what_is_forwarded_is_named_and_not_touched(container: Container) -> None:
    rules = "add table ip filter\nadd chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }\n"
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    recorder = EffectRecorder()
    with outside_world():
        placement = launch(container, recorder)
        warnings = [text for level, text in recorder.messages if level == "warning"]
        why = "drops what it does not accept: let clnetbr0 through there"
        assert warnings == [f"nftables chain ip filter FORWARD {why}"]
        with private_network(container.namespace):
            assert not ping(OUTSIDES[0], seconds=0.3)
        let_through = "".join(f"add rule ip filter FORWARD {way} clnetbr0 accept\n" for way in ("iifname", "oifname"))
        subprocess.run(["nft", "-f", "-"], input=let_through, text=True, check=True)
        with private_network(container.namespace):
            assert ping(OUTSIDES[0])
        Bridge().destroy(placement, recorder.effects)
    assert "FORWARD" in subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout


def without_cgroup(config: dict[str, Any]) -> None:
    config["linux"].pop("resources", None)


def silent() -> ProcessIO:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return ProcessIO(stdin=null, stdout=null, stderr=null)


NETWORK = f"bridge:bridge={BRIDGE},subnet=10.9.0.0/24,nat=true,publish=8080:80"


def test_a_whole_launch_and_its_delete(runtime: Runtime, bundle: Callable[..., Path]) -> None:
    served = bundle("sh", "-c", "nc -l -p 80 < /proc/sys/kernel/hostname", change=without_cgroup)
    with outside_world() as outside:
        runtime.create("clnet1", str(served), io=silent(), networks=[NETWORK]).start()
        with private_network(outside.namespace):
            for _ in range(50):
                try:
                    with socket.create_connection((HOSTS[0], 8080), timeout=5) as client:
                        assert client.recv(100) != b""
                    break
                except ConnectionRefusedError:
                    pass  # nc is not up yet
            else:
                pytest.fail("nobody answered")
        runtime.load("clnet1").delete(force=True)
        assert (set(host_links()), inet_tables()) == ({"lo", "clnetout0"}, {})
    assert read(FORWARDING) == "0"


def test_a_runtime_that_is_killed_after_its_networks_is_cleaned_up_by_delete_force(
    bundle: Callable[..., Path], tmp_path: Path
) -> None:
    sleeper = bundle("sleep", "100", change=without_cgroup)
    code = f"""
import os, signal
from corelaunch import creation, runtime
from corelaunch.bootstrap.init_process import InitProcess
InitProcess.send_plan = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
runtime.Runtime({str(tmp_path / "state")!r}).create("clnet1", {str(sleeper)!r}, networks=[{NETWORK!r}])
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert f"corelaunch-nat-{BRIDGE}" in inet_tables()
    Runtime(str(tmp_path / "state")).load("clnet1").delete(force=True)
    assert (set(host_links()), inet_tables(), read(FORWARDING)) == ({"lo"}, {}, "0")


def test_hundreds_of_ports_are_published_and_withdrawn(container: Container) -> None:
    ports = [f"{outer}:{outer - 8000}" for outer in range(8100, 8350)]
    placement, recorder = place(publish=",".join(ports)), EffectRecorder()
    Bridge().create(placement, container.process, recorder)
    tables = inet_tables()
    assert all(f"corelaunch-port-tcp-{port.partition(':')[0]}" in tables for port in ports)
    Bridge().destroy(placement, recorder.effects)
    assert not inet_tables()


def test_a_list_of_tables_under_which_tables_came_and_went_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ask, asked = NfTables._ask, []

    def interrupted_at_first(tables: NfTables, *arguments: Any) -> list[bytes]:
        asked.append(arguments)
        tables._interrupted = len(asked) == 1  # NLM_F_DUMP_INTR: of what follows a table may be missing
        return ask(tables, *arguments) if len(asked) > 1 else []

    with NfTables(time.monotonic() + 10) as tables:
        tables.commit("cannot make table", [new_table("corelaunch-nat-other", "x")])
        monkeypatch.setattr(NfTables, "_ask", interrupted_at_first)
        assert [table.name for table in tables.tables()] == ["corelaunch-nat-other"]
