"""cni asks plugins with CHECK as the specification says, and tells what they are not content with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corelaunch_netstrategies.cni import Cni

from corelaunch.api import Effect, KernelError, NetworkPlacement, NetworkRequest, PluginError, Unsupported
from corelaunch.testing.network_host import Container, EffectRecorder, private_network

sys.path.insert(0, os.path.dirname(__file__))
from cni_host import DEBIAN, need_plugins, ptp, write_list, write_plugin

pytestmark = pytest.mark.needs_root


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def container() -> Iterator[Container]:
    with Container() as container:
        yield container


def give(container: Container, conf: Path, **options: str) -> tuple[NetworkPlacement, list[Effect]]:
    placement = Cni().place(NetworkRequest("clnet", 0, "cni", {"conf": str(conf), **options}))
    recorder = EffectRecorder()
    Cni().create(placement, container.process, recorder)
    Cni().initialize(placement, container.netlink_fd, recorder)
    return placement, recorder.effects


def told(directory: Path) -> list[Any]:
    """What the scripted plugin was told: its environment's words, and its configuration."""
    return [json.loads(line) for line in (directory / "told").read_text().splitlines()]


def write_teller(directory: Path, check: str = "") -> dict[str, Any]:
    """A plugin that passes on what it gets, and writes down what it is told."""
    program = directory / "tell.py"
    program.write_text(
        "import json, os, sys\n"
        "asked = json.load(sys.stdin)\n"
        "words = {name: value for name, value in os.environ.items() if name.startswith('CNI_')}\n"
        f"print(json.dumps([words, asked]), file=open({str(directory / 'told')!r}, 'a'))\n"
        "print(json.dumps(asked.get('prevResult', {})) if words['CNI_COMMAND'] == 'ADD' else '')\n"
    )
    at_check = f'[ "$CNI_COMMAND" = CHECK ] && {{ {check or "exit 0"}; }}; exit 0'
    script = f"{sys.executable} -I {program} || exit 1\n{at_check}"
    write_plugin(directory / "bin", "teller", script)
    return {"type": "teller"}


def test_check_gives_every_plugin_the_result_of_the_whole_add_in_the_order_of_add(
    tmp_path: Path, container: Container
) -> None:
    chain = (ptp(tmp_path), write_teller(tmp_path), {"type": "teller", "second": True})
    placement, effects = give(container, write_list(tmp_path, *chain), path=f"{tmp_path}/bin,{DEBIAN}")
    Cni().check(placement, effects, container.process)
    calls = told(tmp_path)
    assert [words["CNI_COMMAND"] for words, _ in calls] == ["ADD", "ADD", "CHECK", "CHECK"]
    assert ["second" in asked for _, asked in calls] == [False, True, False, True]
    for words, asked in calls[2:]:
        assert words["CNI_CONTAINERID"] == calls[0][0]["CNI_CONTAINERID"]
        (inside,) = [one for one in asked["prevResult"]["interfaces"] if one.get("sandbox")]
        assert inside["sandbox"] == words["CNI_NETNS"]
        result = {**asked["prevResult"], "interfaces": calls[0][1]["prevResult"]["interfaces"]}
        assert result == calls[0][1]["prevResult"]
    Cni().destroy(placement, effects)


def test_an_address_that_the_container_has_lost_is_told_by_the_plugin(tmp_path: Path, container: Container) -> None:
    placement, effects = give(container, write_list(tmp_path, ptp(tmp_path)))
    Cni().check(placement, effects, container.process)
    with container.netlink() as netlink:
        link = netlink.links()["eth0"]
        netlink.set_link(link.index, up=False)
    with private_network(container.namespace):
        assert os.system("ip address flush dev eth0") == 0
    with pytest.raises(PluginError, match="CNI plugin ptp failed: CHECK: "):
        Cni().check(placement, effects, container.process)
    Cni().destroy(placement, effects)


def test_the_first_plugin_that_is_not_content_ends_the_check(tmp_path: Path, container: Container) -> None:
    fails = """echo '{"code": 11, "msg": "gone", "details": "the lease"}'; exit 1"""
    chain = (ptp(tmp_path), write_teller(tmp_path, fails), {"type": "teller", "second": True})
    placement, effects = give(container, write_list(tmp_path, *chain), path=f"{tmp_path}/bin,{DEBIAN}")
    with pytest.raises(PluginError, match=r"teller failed: CHECK: gone: the lease \(code 11\)"):
        Cni().check(placement, effects, container.process)
    assert [words["CNI_COMMAND"] for words, _ in told(tmp_path)] == ["ADD", "ADD", "CHECK"]
    Cni().destroy(placement, effects)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"disableCheck": True}, "clnet: its file says disableCheck"),
        ({"disableCheck": "true"}, "clnet: its file says disableCheck"),
        ({"cniVersion": "0.3.1"}, "clnet: it is used in version 0.3.1, and CHECK came with 0.4.0"),
    ],
)
def test_a_network_that_knows_or_wants_no_check_is_not_asked(
    tmp_path: Path, container: Container, members: dict[str, Any], says: str
) -> None:
    need_plugins("tuning")
    placement, effects = give(container, write_list(tmp_path, ptp(tmp_path), {"type": "tuning"}, **members))
    with pytest.raises(Unsupported, match=says):
        Cni().check(placement, effects, container.process)
    Cni().destroy(placement, effects)


def test_an_add_that_was_cut_short_and_a_container_that_is_gone_are_errors(
    tmp_path: Path, container: Container
) -> None:
    placement, effects = give(container, write_list(tmp_path, ptp(tmp_path)))
    with pytest.raises(PluginError, match="clnet: its ADD was cut short"):
        Cni().check(placement, [effect.replace(done=False) for effect in effects], container.process)
    with Container() as other, pytest.raises(KernelError, match="another network namespace than at create"):
        Cni().check(placement, effects, other.process)
    container.kill()
    with pytest.raises(KernelError, match="namespace"):
        Cni().check(placement, effects, container.process)
    Cni().destroy(placement, effects)
