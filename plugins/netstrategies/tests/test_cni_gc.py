"""GC of CNI 1.1 removes what no container has, once somebody asks. Debian's plugins speak 1.0, so these are ours."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corelaunch_netstrategies.cni import Cni

from corelaunch.api import ConfigError, NetworkPlacement, NetworkRequest, PluginError, Unsupported
from corelaunch.testing.network_host import Container, EffectRecorder, private_network

sys.path.insert(0, os.path.dirname(__file__))
from cni_host import DEBIAN, ptp, write_list, write_plugin

pytestmark = pytest.mark.needs_root

VERSION = """[ "$CNI_COMMAND" = VERSION ] && { cat >/dev/null
echo '{"supportedVersions":["1.0.0","1.1.0"]}'; exit 0; }
"""
#: Has a file for each attachment.
KEEPER = """
import json, os, sys
asked, command, had = json.load(sys.stdin), os.environ["CNI_COMMAND"], HAD
with open(had + "/../commands", "a") as commands:
    commands.write(command + "\\n")
own = had + "/" + os.environ.get("CNI_CONTAINERID", "") + "," + os.environ.get("CNI_IFNAME", "")
if command == "ADD":
    open(own, "w").close()
    print("{}")
elif command == "DEL" and os.path.exists(own):
    os.unlink(own)
elif command == "GC":
    valid = {one["containerID"] + "," + one["ifname"] for one in asked["cni.dev/valid-attachments"]}
    assert asked["cni.dev/attachments"] == asked["cni.dev/valid-attachments"] and "CNI_CONTAINERID" not in os.environ
    for name in set(os.listdir(had)) - valid:
        os.unlink(had + "/" + name)
elif command == "STATUS" and os.path.exists(had + "/../unavailable"):
    print(json.dumps({"code": 50, "msg": "no connection"}))
    sys.exit(1)
"""


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def container() -> Iterator[Container]:
    with Container() as container:
        yield container


@pytest.fixture
def keeper(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "attachments").mkdir()
    program = tmp_path / "keeper.py"
    program.write_text(KEEPER.replace("HAD", repr(str(tmp_path / "attachments"))))
    write_plugin(tmp_path / "bin", "keeper", f"exec {sys.executable} -I {program}", version=VERSION)
    return {"type": "keeper"}


def request(directory: Path, conf: Path, index: int = 0) -> NetworkRequest:
    return NetworkRequest("clnet", index, "cni", {"conf": str(conf), "path": f"{directory}/bin,{DEBIAN}"})


def add(directory: Path, conf: Path, container: Container, index: int = 0) -> tuple[NetworkPlacement, EffectRecorder]:
    placement, recorder = Cni().place(request(directory, conf, index)), EffectRecorder()
    Cni().create(placement, container.process, recorder)
    return placement, recorder


def kept(directory: Path) -> list[str]:
    return sorted(name.partition(",")[2] for name in os.listdir(directory / "attachments"))


def test_gc_leaves_what_containers_have_and_removes_the_rest(
    tmp_path: Path, container: Container, keeper: dict[str, Any]
) -> None:
    conf = write_list(tmp_path, keeper, keeper, cniVersion="1.1.0")
    made = [add(tmp_path, conf, container, index) for index in range(3)]
    living = [(placement, recorder.effects) for placement, recorder in made[:2]]
    # Cut short: it may be there, and its DEL is still to come.
    living[1] = (living[1][0], [effect.replace(done=False) for effect in living[1][1][-1:]])
    Cni().collect(request(tmp_path, conf), lambda: living)
    assert kept(tmp_path) == ["eth0", "eth1"]
    other = write_list(tmp_path, keeper, cniVersion="1.1.0", name="another")
    Cni().collect(request(tmp_path, other), lambda: living)
    assert kept(tmp_path) == []


def test_an_add_waits_for_a_gc_which_reads_the_journals_when_no_other_can_begin(
    tmp_path: Path, container: Container, keeper: dict[str, Any]
) -> None:
    conf = write_list(tmp_path, keeper, cniVersion="1.1.0")
    order: list[str] = []
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    def launch() -> None:
        with private_network(home):
            add(tmp_path, conf, container)
        order.append("added")

    adder = threading.Thread(target=launch)

    def living() -> list[Any]:
        adder.start()
        time.sleep(0.7)
        order.append("read")
        return []

    Cni().collect(request(tmp_path, conf), living)
    adder.join()
    os.close(home)
    assert (order, kept(tmp_path)) == (["read", "added"], ["eth0"])


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"disableGC": True}, "CNI network is not collected: .*/clnet.conflist: it says disableGC"),
        ({"cniVersion": "1.0.0"}, r"GC came with 1.1.0, which is not spoken by the file \(cniVersion, cniVersions\)"),
    ],
)
def test_a_network_that_speaks_no_gc_or_wants_none_is_left_alone(
    tmp_path: Path, container: Container, keeper: dict[str, Any], members: dict[str, Any], says: str
) -> None:
    conf = write_list(tmp_path, keeper, **{"cniVersion": "1.1.0", **members})
    add(tmp_path, conf, container)
    with pytest.raises(Unsupported, match=says):
        Cni().collect(request(tmp_path, conf), list)
    assert kept(tmp_path) == ["eth0"]


def test_a_plugin_that_speaks_no_gc_is_named(tmp_path: Path, keeper: dict[str, Any]) -> None:
    conf = write_list(tmp_path, ptp(tmp_path), keeper, cniVersions=["1.0.0", "1.1.0"])
    with pytest.raises(Unsupported, match=r"GC came with 1.1.0, which is not spoken by ptp"):
        Cni().collect(request(tmp_path, conf), list)
    conf = write_list(tmp_path, ptp(tmp_path), keeper, cniVersion="1.1.0")
    with pytest.raises(ConfigError, match=r"not all plugins speak 1.1.0: ptp speaks"):
        Cni().collect(request(tmp_path, conf), list)


def test_all_plugins_are_asked_for_gc_whatever_the_others_answer(
    tmp_path: Path, container: Container, keeper: dict[str, Any]
) -> None:
    fails = """cat >/dev/null; [ "$CNI_COMMAND" = GC ] || exit 0; echo '{"code": 9, "msg": "not now"}'; exit 1"""
    write_plugin(tmp_path / "bin", "failing", fails, version=VERSION)
    conf = write_list(tmp_path, keeper, cniVersion="1.1.0")
    add(tmp_path, conf, container)
    conf = write_list(tmp_path, {"type": "failing"}, keeper, {"type": "failing"}, cniVersion="1.1.0")
    twice = "CNI plugin failing failed: GC: not now .code 9.; CNI plugin failing failed: GC: not now"
    with pytest.raises(PluginError, match=twice):
        Cni().collect(request(tmp_path, conf), list)
    assert kept(tmp_path) == []


def test_a_plugin_whose_status_is_bad_fails_the_launch_before_anything_is_made(
    tmp_path: Path, container: Container, keeper: dict[str, Any]
) -> None:
    (tmp_path / "unavailable").touch()
    with pytest.raises(PluginError, match=r"keeper failed: STATUS: no connection \(code 50\)"):
        add(tmp_path, write_list(tmp_path, keeper, cniVersion="1.1.0"), container)
    assert (tmp_path / "commands").read_text() == "STATUS\n"
    add(tmp_path, write_list(tmp_path, keeper, cniVersion="1.0.0"), container)
    assert (tmp_path / "commands").read_text() == "STATUS\nADD\n"
