"""A launch with a network: the container has its interface, talks through it, and leaves nothing on the host."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.errors import ConfigError, CorelaunchError, PluginError
from corelaunch.runtime import Runtime
from corelaunch.testing.network_host import host_links, private_network

pytestmark = pytest.mark.needs_root

Bundle = Callable[..., Path]
VETH = "veth:address=10.9.0.2/24,gateway=10.9.0.1,host-address=10.9.0.1/24"


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        yield


def without_cgroup(config: dict[str, Any]) -> None:
    config["linux"].pop("resources", None)


def silent() -> ProcessIO:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return ProcessIO(stdin=null, stdout=null, stderr=null)


def test_a_container_talks_to_the_host_through_its_veth(runtime: Runtime, bundle: Bundle) -> None:
    talk = bundle("sh", "-c", "cat /sys/class/net/eth0/mtu | nc -w 5 10.9.0.1 7777", change=without_cgroup)
    container = runtime.create("clnet1", str(talk), io=silent(), networks=[f"{VETH},mtu=1400"])
    with socket.create_server(("10.9.0.1", 7777)) as server:
        server.settimeout(10)
        container.start()
        connection, peer = server.accept()
        with connection:
            assert (connection.recv(100), peer[0]) == (b"1400\n", "10.9.0.2")
    assert container.wait(10) == 0
    container.delete()
    assert set(host_links()) == {"lo"}


def test_networks_may_be_asked_for_as_text_or_mapping_in_their_order(runtime: Runtime, bundle: Bundle) -> None:
    asked = ["veth", {"type": "veth", "options": {"name": "web0", "address": ["10.9.1.2/24", "fd00:9::2/64"]}}]
    look = bundle("sh", "-c", "test -e /sys/class/net/eth0 -a -e /sys/class/net/web0", change=without_cgroup)
    container = runtime.create("clnet1", str(look), io=silent(), networks=asked)
    aliases = [link.alias for link in host_links().values() if link.alias]
    container.start()
    assert container.wait(10) == 0
    container.delete()
    assert sorted(aliases) == ["corelaunch:clnet1:0", "corelaunch:clnet1:1"]
    assert set(host_links()) == {"lo"}


def test_a_later_runtime_deletes_the_link_from_the_journal(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    runtime.create("clnet1", str(bundle("sleep", "100", change=without_cgroup)), io=silent(), networks=[VETH]).start()
    assert len(host_links()) == 2
    Runtime(str(tmp_path / "state")).load("clnet1").delete(force=True)
    assert set(host_links()) == {"lo"}


def test_a_launch_that_fails_after_its_networks_takes_them_back(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\nip -o link > {tmp_path}/links\nexit 1\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)

    def failing_hook(config: dict[str, Any]) -> None:
        without_cgroup(config)
        config["hooks"] = {"createRuntime": [{"path": str(hook), "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}]}

    with pytest.raises(CorelaunchError):
        runtime.create("clnet1", str(bundle("true", change=failing_hook)), io=silent(), networks=[VETH])
    assert "corelaunch:clnet1:0" in (tmp_path / "links").read_text(), "the hook came before the network"
    assert (set(host_links()), runtime.root.ids()) == ({"lo"}, [])


def test_a_refused_route_is_the_launchs_error_and_leaves_nothing(runtime: Runtime, bundle: Bundle) -> None:
    asked = ["veth:address=10.9.0.2/24,gateway=10.8.0.1"]
    with pytest.raises(CorelaunchError, match=r"0.0.0.0/0 via 10.8.0.1 on eth0: network is unreachable") as caught:
        runtime.create("clnet1", str(bundle("true", change=without_cgroup)), io=silent(), networks=asked)
    assert (caught.value.step, caught.value.plugin) == ("networks", "network_strategy:veth:0")
    assert (set(host_links()), runtime.root.ids()) == ({"lo"}, [])


@pytest.mark.parametrize(
    ("networks", "error", "text"),
    [
        (["nonesuch"], PluginError, "'nonesuch' is installed: installed: bridge, cni, .*loopback, .*veth"),
        (["veth:adress=10.0.0.2/24"], ConfigError, "networks\\[0\\].adress: unknown option .did you mean 'address'"),
        (["veth:name=web0", "veth:name=web0"], ConfigError, "same interface name 'web0'"),
        (["veth:name=eth1", "veth"], ConfigError, "same interface name 'eth1'"),
    ],
)
def test_a_wrong_network_is_refused_before_anything_is_made(
    runtime: Runtime, bundle: Bundle, networks: list[str], error: type[CorelaunchError], text: str
) -> None:
    with pytest.raises(error, match=text):
        runtime.create("clnet1", str(bundle("true", change=without_cgroup)), io=silent(), networks=networks)
    assert (set(host_links()), runtime.root.ids()) == ({"lo"}, [])


def test_a_network_without_a_network_namespace_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    def share(config: dict[str, Any]) -> None:
        without_cgroup(config)
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "network"]

    with pytest.raises(ConfigError, match="needs a network namespace"):
        runtime.create("clnet1", str(bundle("true", change=share)), io=silent(), networks=["veth"])
    assert set(host_links()) == {"lo"}
