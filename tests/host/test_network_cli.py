"""What is asked of networks as a whole, by the command: who reaches whom, and nothing is left after any end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli

from corelaunch.testing.network_host import host_links, private_network
from corelaunch.testing.network_rtnetlink import Rtnetlink
from corelaunch.testing.network_tables import inet_tables

pytestmark = pytest.mark.needs_root

MARK = f"clnc-{os.getpid()}"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
FIRST = "bridge:bridge=clncli0,subnet=10.9.0.0/24,subnet=fd00:9::/64,nat=true"
OTHER = "bridge:bridge=clncli1,subnet=10.8.0.0/24,subnet=fd00:8::/64,nat=true"


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        with Rtnetlink() as netlink:
            netlink.set_link(host_links()["lo"].index, up=True)
        FORWARDING.write_text("0")
        Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
        yield


def nothing_is_left() -> bool:
    return (set(host_links()), inet_tables(), FORWARDING.read_text()) == ({"lo"}, {}, "0\n")


def may_ping(config: dict[str, Any]) -> None:
    for allowed in config["process"]["capabilities"].values():
        allowed.append("CAP_NET_RAW")


def start(cli: Cli, bundles: Bundles, network: str) -> str:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "100", change=may_ping), "--network", network, one)
    cli.ok("start", one)
    return one


def addresses(cli: Cli, one: str) -> list[str]:
    """Of eth0, IPv4 first."""
    shown = cli.ok("exec", one, "busybox", "ip", "addr", "show", "eth0")
    return [*re.findall(r"inet ([0-9.]+)", shown), *re.findall(r"inet6 (fd[0-9a-f:]+)", shown)]


def reaches(cli: Cli, one: str, address: str) -> bool:
    return cli("exec", one, "busybox", "ping", "-c", "1", "-W", "1", address).code == 0


def test_two_containers_on_one_bridge_reach_each_other_and_the_host_and_no_third_on_another(
    cli: Cli, bundles: Bundles
) -> None:
    one, two = start(cli, bundles, f"{FIRST},publish=18080:80"), start(cli, bundles, FIRST)
    third = start(cli, bundles, OTHER)
    for other, host in zip(addresses(cli, two), ("10.9.0.1", "fd00:9::1"), strict=True):
        assert reaches(cli, one, other) and reaches(cli, one, host)
    for other in addresses(cli, third):
        assert not reaches(cli, one, other)
    for other in addresses(cli, one):
        assert reaches(cli, two, other) and not reaches(cli, third, other)
    assert "corelaunch-port-tcp-18080" in inet_tables() and FORWARDING.read_text() == "1\n"
    for container in (one, third, two):
        cli.ok("delete", "--force", container)
    assert nothing_is_left()


@pytest.mark.parametrize("sixth", range(1, 7))
def test_kill_9_at_any_moment_of_create_leaves_nothing_after_delete_force(
    cli: Cli, bundles: Bundles, sixth: int
) -> None:
    where = bundles("sleep", "100")
    words = ("create", "--bundle", where, "--network", f"{FIRST},publish=18080:80")
    began = time.monotonic()
    cli.ok(*words, whole := cli.new_id())
    takes = time.monotonic() - began
    cli.ok("delete", "--force", whole)
    one = cli.new_id()
    null = subprocess.DEVNULL
    with subprocess.Popen(cli.words(*words, one), stdin=null, stdout=null, stderr=null) as creating:
        time.sleep(takes * sixth / 6)
        creating.kill()
    cli("delete", "--force", one)
    assert nothing_is_left() and not (cli.root / one).exists()


def test_launches_and_deletes_at_once_share_the_bridge_and_leave_nothing(cli: Cli, bundles: Bundles) -> None:
    wheres, null = [bundles("true") for _ in range(4)], subprocess.DEVNULL
    for _ in range(2):
        words = [cli.words("run", "--bundle", where, "--network", FIRST, cli.new_id()) for where in wheres]
        running = [subprocess.Popen(each, stdin=null, stdout=null, stderr=subprocess.PIPE) for each in words]
        ends = [(each.communicate(timeout=60)[1], each.returncode) for each in running]
        assert ends == [(b"", 0)] * 4
    assert nothing_is_left()
