"""Which CNI network is meant, what is wrong with its file, and what of it the options may ask."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from corelaunch_netstrategies import cni
from corelaunch_netstrategies.cni import Cni

from corelaunch.api import ConfigError, KernelError, NetworkPlacement, NetworkRequest

sys.path.insert(0, os.path.dirname(__file__))
from cni_host import write_list

PLUGIN: dict[str, Any] = {"type": "ptp"}


def place(**options: str) -> NetworkPlacement:
    return Cni().place(NetworkRequest("clnet", 0, "cni", {k.replace("_", "-"): v for k, v in options.items()}))


def test_the_hook_gives_a_strategy_and_the_module_says_which_api_it_is_for() -> None:
    assert isinstance(cni.corelaunch_network_strategy(), Cni)
    assert cni.corelaunch_api == 1


def test_a_network_is_found_by_its_name_among_files_of_all_three_kinds(tmp_path: Path) -> None:
    (tmp_path / "10-other.conf").write_text(json.dumps({"cniVersion": "0.4.0", "name": "other", "type": "bridge"}))
    write_list(tmp_path, PLUGIN)
    (tmp_path / "ignored.txt").write_text("no network")
    placement = place(network="clnet", confdir=str(tmp_path))
    assert placement.options["network"]["file"] == str(tmp_path / "clnet.conflist")
    other = place(network="other", confdir=str(tmp_path)).options["network"]
    assert (other["versions"], [plugin["type"] for plugin in other["plugins"]]) == (["0.4.0"], ["bridge"])


def test_a_network_that_is_not_there_is_an_error_that_lists_those_that_are(tmp_path: Path) -> None:
    write_list(tmp_path, PLUGIN)
    with pytest.raises(ConfigError, match=rf"no CNI network called 'nonesuch': {tmp_path} has clnet"):
        place(network="nonesuch", confdir=str(tmp_path))


def test_no_network_and_two_ways_to_name_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"networks\[0\].network: it must be told which network"):
        place()
    with pytest.raises(ConfigError, match="conf= is given, too"):
        place(network="clnet", conf=str(write_list(tmp_path, PLUGIN)))


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("{", "invalid CNI network"),
        ("[]", "it is not an object"),
        ({"name": "a/b"}, "name: it is not a name"),
        ({"name": ""}, "name: it is not a name"),
        ({"plugins": []}, "plugins: it is not an array"),
        ({"plugins": {}}, "plugins: it is not an array"),
        ({"plugins": ["ptp"]}, r"plugins\[0\].type"),
        ({"plugins": [PLUGIN, {"type": "../ptp"}]}, r"plugins\[1\].type"),
        ({"plugins": [{"type": "ptp", "capabilities": []}]}, r"plugins\[0\].capabilities"),
        ({"plugins": [{"type": "ptp", "dns": {"nameservers": "10.0.0.1"}}]}, r"plugins\[0\].dns.nameservers"),
        ({"plugins": [{"type": "ptp", "dns": {"nameservers": ["x\ny"]}}]}, r"plugins\[0\].dns.nameservers"),
        ({"plugins": [{"type": "ptp", "dns": []}]}, r"plugins\[0\].dns"),
        ({"cniVersion": "0.2.0"}, "cniVersion: it says 0.2.0; we speak 0.3.0"),
        ({"cniVersion": None}, "cniVersion: it says none"),
        ({"x": "y" * 70000}, "more than 64 KiB"),
    ],
)
def test_a_file_that_is_no_network_is_refused_with_the_place_in_it(tmp_path: Path, content: Any, where: str) -> None:
    path = write_list(tmp_path, PLUGIN)
    text = json.dumps({**json.loads(path.read_text()), **content}) if isinstance(content, dict) else content
    path.write_text(text)
    with pytest.raises(ConfigError, match=where) as caught:
        place(conf=str(path))
    assert str(path) in caught.value.line()
    assert "\n" not in caught.value.line()


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="no such file"):
        place(conf=str(tmp_path / "nonesuch"))


@pytest.mark.needs_root
@pytest.mark.parametrize("what", ["file", "directory", "owner"])
def test_a_network_that_others_could_have_written_is_refused(tmp_path: Path, what: str) -> None:
    inner = tmp_path / "net.d"
    inner.mkdir()
    path = write_list(inner, PLUGIN)
    bad = inner if what == "directory" else path
    if what == "owner":
        os.chown(path, 65534, 65534)
    else:
        bad.chmod(0o775)
    with pytest.raises(ConfigError, match=f"not trusted: {bad}: it belongs to, or can be written by, somebody else"):
        place(conf=str(path))


def test_the_newest_version_of_several_counts_first(tmp_path: Path) -> None:
    path = write_list(tmp_path, PLUGIN, cniVersion="0.4.0", cniVersions=["0.4.0", "1.1.0", "9.0.0", "1.0.0"])
    assert place(conf=str(path)).options["network"]["versions"] == ["1.1.0", "1.0.0", "0.4.0"]


def test_an_option_that_no_plugin_takes_is_refused(tmp_path: Path) -> None:
    path = write_list(tmp_path, {"type": "ptp", "capabilities": {"mac": True}}, {"type": "portmap"})
    assert place(conf=str(path), mac="02:00:00:00:00:02").options["runtime"] == {"mac": "02:00:00:00:00:02"}
    for option, value in {"address": "10.0.0.2/24", "publish": "8080:80"}.items():
        with pytest.raises(ConfigError, match=rf"networks\[0\].{option}: no plugin of the CNI network 'clnet'"):
            place(conf=str(path), **{option: value})


def test_port_mappings_and_arguments_are_what_the_specification_says(tmp_path: Path) -> None:
    path = write_list(tmp_path, {"type": "ptp"}, {"type": "portmap", "capabilities": {"portMappings": True}})
    options = place(conf=str(path), publish="8080:80,5353:53/udp", args="A=1,B=x=y").options
    assert options["runtime"]["portMappings"] == [
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 5353, "containerPort": 53, "protocol": "udp"},
    ]
    assert options["args"] == "A=1;B=x=y"


@pytest.mark.parametrize("args", ["A", "=1", "A=1;B=2", "A b=1", "A=\x1b"])
def test_an_argument_that_would_be_two_or_none_is_refused(tmp_path: Path, args: str) -> None:
    with pytest.raises(ConfigError, match="is not KEY=VALUE"):
        place(conf=str(write_list(tmp_path, PLUGIN)), args=args)


def test_dns_of_the_network_is_in_the_placement_unless_the_options_say_otherwise(tmp_path: Path) -> None:
    dns = {"nameservers": ["10.0.0.53", "fd00::53"], "domain": "example.org", "options": ["ndots:2"]}
    path = str(write_list(tmp_path, {"type": "ptp", "dns": dns}))
    placement = place(conf=path)
    assert (placement.nameservers, placement.search) == (["10.0.0.53", "fd00::53"], ["example.org"])
    assert placement.resolver_options == ["ndots:2"]
    assert place(conf=path, dns="10.0.0.54").nameservers == ["10.0.0.54"]
