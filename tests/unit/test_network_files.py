"""What networks bring along inside: the text of the files, and the config that binds them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from corelaunch.api import NetworkPlacement
from corelaunch.errors import ConfigError, KernelError, PluginError
from corelaunch.network_files import config_with, contents
from corelaunch.state.files import write

DNS = NetworkPlacement(
    addresses=["10.0.0.2/24", "fd00::2/64"],
    nameservers=["10.0.0.53"],
    search=["example.org", "local"],
    resolver_options=["ndots:2"],
    hosts=["10.0.0.9 db"],
)


def test_a_network_that_asks_for_nothing_brings_nothing() -> None:
    placements = [NetworkPlacement("clnet0", "eth0", addresses=["10.0.0.2/24"])]
    assert contents(placements, "web") == {}
    config = {"mounts": [{"destination": "/etc/hosts"}], "linux": {"sysctl": {"net.ipv4.ip_forward": "1"}}}
    planned = config_with(config, placements, [], "/run/state")
    assert planned["mounts"] == config["mounts"]
    assert planned["linux"]["sysctl"] == {"net/ipv4/ip_forward": "1"}


def test_the_files_say_what_was_asked() -> None:
    assert contents([DNS], "web") == {
        "resolv.conf": "nameserver 10.0.0.53\nsearch example.org local\noptions ndots:2\n",
        "hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
        "10.0.0.2 web\nfd00::2 web\n10.0.0.9 db\n",
    }


def test_all_networks_of_a_container_share_the_files_and_nothing_is_there_twice() -> None:
    second = NetworkPlacement(nameservers=["10.0.0.53", "10.0.1.53"], search=["local"], hosts=["10.0.1.9 db"])
    files = contents([DNS, second], "")
    assert files["resolv.conf"].startswith("nameserver 10.0.0.53\nnameserver 10.0.1.53\nsearch example.org local\n")
    assert files["hosts"].endswith("\n10.0.0.9 db\n10.0.1.9 db\n")


@pytest.mark.parametrize("hostname", ["", "two words", "line\nnameserver"])
def test_a_hostname_that_hosts_cannot_hold_is_left_out(hostname: str) -> None:
    assert contents([DNS], hostname)["hosts"].count("10.0.0.2") == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"nameservers": ["10.0.0.53\nnameserver 10.0.0.54"]},
        {"search": ["a b"]},
        {"resolver_options": [""]},
        {"hosts": ["10.0.0.9 db\n"], "addresses": []},
        {"hosts": ["10.0.0.9\tdb"]},
    ],
)
def test_a_placement_that_would_be_another_line_is_the_plugins_error(fields: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match=r"networks\[1\]\.(nameservers|search|resolver_options|hosts)"):
        contents([NetworkPlacement(), NetworkPlacement(**fields)], "web")


def test_the_binds_are_read_only_and_come_last() -> None:
    config = {"mounts": [{"destination": "/etc", "type": "tmpfs"}]}
    planned = config_with(config, [DNS], ["resolv.conf"], "/run/state/clnet")
    assert planned["mounts"][0] == config["mounts"][0]
    assert planned["mounts"][1]["source"] == "/run/state/clnet/resolv.conf"
    assert planned["mounts"][1]["destination"] == "/etc/resolv.conf"
    assert set(planned["mounts"][1]["options"]) == {"bind", "ro", "nosuid", "nodev", "noexec"}
    assert config == {"mounts": [{"destination": "/etc", "type": "tmpfs"}]}, "the config itself was changed"


@pytest.mark.parametrize("destination", ["/etc/resolv.conf", "etc/resolv.conf", "/etc/../etc//resolv.conf/"])
def test_a_mount_of_the_config_on_the_same_file_is_refused(destination: str) -> None:
    with pytest.raises(ConfigError, match=r"mounts\[0\]\.destination"):
        config_with({"mounts": [{"destination": destination}]}, [DNS], ["resolv.conf"], "/run/state")


def test_parameters_of_placements_become_those_of_the_config() -> None:
    placement = NetworkPlacement(sysctl={"net/ipv6/conf/eth0.1/accept_ra": "2"})
    assert config_with({}, [placement], [], "")["linux"]["sysctl"] == {"net/ipv6/conf/eth0.1/accept_ra": "2"}


@pytest.mark.parametrize("key", ["net.ipv6.conf.eth0.accept_ra", "net/ipv6/conf/eth0/accept_ra"])
def test_a_parameter_that_the_config_sets_otherwise_is_refused(key: str) -> None:
    placement = NetworkPlacement(sysctl={"net/ipv6/conf/eth0/accept_ra": "2"})
    assert config_with({"linux": {"sysctl": {key: "2"}}}, [placement], [], "")
    with pytest.raises(ConfigError, match=r"linux\.sysctl\.net/ipv6/conf/eth0/accept_ra"):
        config_with({"linux": {"sysctl": {key: "0"}}}, [placement], [], "")


@pytest.mark.parametrize("key", ["kernel/core_pattern", "fs/mqueue/msg_max", "kernel/msgmax"])
def test_a_parameter_outside_the_network_namespace_is_the_plugins_error(key: str) -> None:
    with pytest.raises(PluginError, match=r"networks\[0\]\.sysctl"):
        config_with({}, [NetworkPlacement(sysctl={key: "1"})], [], "")


def test_a_name_that_no_parameter_can_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"networks\[0\]\.sysctl: 'é' cannot be part of a sysctl key"):
        config_with({}, [NetworkPlacement(sysctl={"net/ipv6/conf/é/accept_ra": "1"})], [], "")


def test_the_files_can_be_read_by_everybody_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write(str(tmp_path), {"hosts": "127.0.0.1 localhost\n"}, 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "hosts").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "hosts").read_text() == "127.0.0.1 localhost\n"


def test_what_is_there_already_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "hosts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KernelError, match="hosts"):
        write(str(tmp_path), {"hosts": "127.0.0.1 localhost\n"}, 0o644)
    assert (tmp_path / "elsewhere").read_text() == "precious"
