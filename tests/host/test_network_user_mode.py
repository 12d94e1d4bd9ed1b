"""pasta and slirp4netns for containers of root and of an ordinary user: traffic, ports, name servers, and their end."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli, wait_until
from rootless_host import UserCli, ranges

from corelaunch.testing.host import host_lacks
from corelaunch.testing.network_host import Container, host_links, private_network
from corelaunch.testing.network_rtnetlink import IFLA_IFNAME, IFLA_NET_NS_FD, Rtnetlink, attribute

pytestmark = pytest.mark.needs_root

MARK = f"clum-{os.getpid()}"
STRATEGIES = ["pasta", "slirp4netns"]
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        host_lacks(request.param)
    return str(request.param)


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        with Rtnetlink() as netlink:
            netlink.set_link(host_links()["lo"].index, up=True)
        yield


@pytest.fixture
def world() -> Iterator[Container]:
    """A neighbour of the private host, which has a default route to it in both families."""
    with Container() as neighbour:
        with Rtnetlink() as netlink:
            peer = attribute(IFLA_IFNAME, "clumout") + attribute(IFLA_NET_NS_FD, neighbour.namespace)
            netlink.make_veth("clumhost", peer)
            index = host_links()["clumhost"].index
            for address in ("192.0.2.1/24", "2001:db8::1/64"):
                netlink.add_address(index, address)
            netlink.set_link(index, up=True)
            with neighbour.netlink() as beyond:
                outer = beyond.links()["clumout"].index
                for address in ("192.0.2.2/24", "2001:db8::2/64"):
                    beyond.add_address(outer, address)
                beyond.set_link(outer, up=True)
            netlink.add_route(index, "0.0.0.0/0 via 192.0.2.2")
            netlink.add_route(index, "::/0 via 2001:db8::2")
        # pasta takes no interface whose link-local address is not usable yet.
        wait_until(lambda: "fe80" in _usable_ipv6("clumhost"), 10, "a link-local address")
        yield neighbour


def _usable_ipv6(name: str) -> str:
    """Lines of /proc/net/if_inet6 of an interface that are not tentative (flag 0x40)."""
    lines = Path("/proc/thread-self/net/if_inet6").read_text().splitlines()
    return " ".join(line for line in lines if line.endswith(f" {name}") and not int(line.split()[4], 16) & 0x40)


@contextlib.contextmanager
def server(inside: Container | None, address: str, port: int) -> Iterator[socket.socket]:
    """A TCP server on the private host, or in a container."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with private_network(inside.namespace) if inside else contextlib.nullcontext():
        listener = socket.create_server((address, port), family=family)
    listener.settimeout(15)
    with listener:
        yield listener


def _received(listener: socket.socket) -> bytes:
    """What the first client sends, b"" if none comes."""
    try:
        with listener.accept()[0] as connection:
            return connection.recv(100)
    except TimeoutError:
        return b""


def companions(strategy: str) -> list[int]:
    """Programs of a strategy that run in the caller's network namespace."""
    here = os.stat("/proc/thread-self/ns/net").st_ino
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if strategy.encode() in [os.path.basename(word) for word in words[:3]] and words[0] != b"":
                if os.stat(f"/proc/{pid}/ns/net").st_ino == here:
                    found.append(int(pid))
        except OSError:
            continue
    return found


def own_network(config: dict[str, Any]) -> None:
    if {"type": "network"} not in config["linux"]["namespaces"]:
        config["linux"]["namespaces"].append({"type": "network"})


def both(*changes: Change) -> Change:
    def change(config: dict[str, Any]) -> None:
        for one in changes:
            one(config)

    return change


@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2"])
@pytest.mark.parametrize("maps", ["own id", "range"])
def test_a_container_of_an_ordinary_user_reaches_the_world(
    user_cli: UserCli, user_bundle: Any, user: Any, world: Container, strategy: str, maps: str, address: str
) -> None:
    change = both(own_network, ranges(user)) if maps == "range" else own_network
    talk = f"id -u; cat /etc/resolv.conf; grep -c eth0 /proc/net/dev; echo hello | nc -w 10 {address} 7777"
    where = user_bundle("sh", "-c", talk, change=change)
    with server(world, address, 7777) as listener:
        words = user_cli.words("run", "--bundle", where, "--network", strategy, user_cli.new_id())
        running = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            received = _received(listener)
            output, _ = running.communicate(timeout=20)
        finally:
            running.kill()
            running.wait()
    assert output.decode() == "0\nnameserver 10.0.2.3\n1\n"
    assert (running.returncode, received) == (0, b"hello\n")
    assert companions(strategy) == []


def test_a_published_port_leads_to_a_container_of_an_ordinary_user(
    user_cli: UserCli, user_bundle: Any, user: Any, strategy: str
) -> None:
    where = user_bundle("sh", "-c", "nc -l -p 80 -e cat", change=own_network)
    one = user_cli.new_id()
    user_cli.ok("create", "--bundle", where, "--network", f"{strategy}:publish=18080:80", one)
    user_cli.ok("start", one)
    end, answer = time.monotonic() + 15, b""
    while not answer and time.monotonic() < end:  # the program takes connections before the container listens
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 18080), timeout=5) as client:
            client.sendall(b"hello")
            answer = client.recv(5)
    assert answer == b"hello"
    user_cli.ok("delete", "--force", one)
    assert companions(strategy) == []
    assert [name for name in os.listdir(user.runtime_dir) if name.startswith("corelaunch-")] == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", 18080), timeout=5)


def test_the_loopback_of_the_host_is_out_of_reach_unless_it_is_asked_for(
    cli: Cli, bundles: Bundles, strategy: str
) -> None:
    talk = "echo hello | nc -w 3 10.0.2.2 7777 || echo refused"
    answers = []
    with server(None, "127.0.0.1", 7777) as listener:
        listener.settimeout(8)
        for options in (strategy, f"{strategy}:host-loopback=true"):
            words = cli.words("run", "--bundle", bundles("sh", "-c", talk), "--network", options, cli.new_id())
            with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as running:
                answers.append(_received(listener))
            assert running.returncode == 0
    assert answers == [b"", b"hello\n"]


def test_the_program_ends_with_a_detached_container_that_ends_by_itself(
    cli: Cli, bundles: Bundles, strategy: str
) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sh", "-c", "sleep 0.2"), "--network", strategy, one)
    assert companions(strategy) != []
    cli.ok("start", one)
    wait_until(lambda: companions(strategy) == [], 10, "the program to end")
    cli.ok("delete", one)


def test_the_program_ends_with_a_killed_init_of_an_ordinary_users_container(
    user_cli: UserCli, user_bundle: Any, strategy: str
) -> None:
    one = user_cli.new_id()
    user_cli.ok("create", "--bundle", user_bundle("sleep", "100", change=own_network), "--network", strategy, one)
    assert companions(strategy) != []
    os.kill(user_cli.state(one)["pid"], 9)
    wait_until(lambda: companions(strategy) == [], 10, "the program to end")
    user_cli.ok("delete", one)


def test_kill_9_of_the_runtime_at_any_moment_leaves_nothing_after_delete_force(
    cli: Cli, bundles: Bundles, strategy: str
) -> None:
    where = bundles("sleep", "100")
    for step in range(12):
        one = cli.new_id()
        words = cli.words("create", "--bundle", where, "--network", f"{strategy}:publish=18080:80", one)
        null = subprocess.DEVNULL
        creating = subprocess.Popen(words, stdin=null, stdout=null, stderr=null)
        time.sleep(0.03 * (step + 1))
        creating.kill()
        creating.wait()
        cli("delete", "--force", one)
        assert not (cli.root / one).exists(), f"step {step}"
        wait_until(lambda: companions(strategy) == [], 10, f"step {step}: no program")
    assert [name for name in os.listdir("/run") if name.startswith("corelaunch-slirp")] == []


def test_a_port_that_is_taken_is_one_clear_line_and_leaves_nothing(cli: Cli, bundles: Bundles, strategy: str) -> None:
    with server(None, "0.0.0.0", 18080):
        asked = f"{strategy}:publish=18080:80"
        failed = cli("create", "--bundle", bundles("true"), "--network", asked, cli.new_id())
    assert failed.code == 1
    assert len(failed.err.splitlines()) == 1
    assert "18080" in failed.err
    assert companions(strategy) == []
    assert [name for name in os.listdir("/run") if name.startswith("corelaunch-slirp")] == []
