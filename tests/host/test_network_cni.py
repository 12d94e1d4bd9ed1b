"""CNI networks of real containers: they reach each other, have their name servers, and leave no lease behind."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli

from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.errors import CorelaunchError
from corelaunch.runtime import Runtime
from corelaunch.testing.cgroup_subject import wait_until
from corelaunch.testing.host import host_lacks
from corelaunch.testing.network_host import host_links, private_network

pytestmark = pytest.mark.needs_root

MARK = f"clcni-{os.getpid()}"
DEBIAN = "/usr/lib/cni"
Bundle = Callable[..., Path]
#: A line of `check`.
CANNOT = "{}   eth1        veth   not checked: veth cannot check"


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    for plugin in ("bridge", "ptp", "host-local"):
        if not os.path.exists(f"{DEBIAN}/{plugin}"):
            host_lacks(f"the CNI plugin {plugin} (apt install containernetworking-plugins)")
    with private_network():
        yield


def without_cgroup(config: dict[str, Any]) -> None:
    config["linux"].pop("resources", None)


def silent() -> ProcessIO:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return ProcessIO(stdin=null, stdout=null, stderr=null)


def network(directory: Path, kind: str, *more: dict[str, Any], **members: Any) -> str:
    ipam = {"type": "host-local", "dataDir": str(directory / "ipam"), "ranges": [[{"subnet": "10.123.0.0/24"}]]}
    plugin = {"type": kind, "ipam": ipam, **members}
    path = directory / "clcni.conflist"
    path.write_text(json.dumps({"cniVersion": "1.0.0", "name": "clcni", "plugins": [plugin, *more]}))
    path.chmod(0o600)
    return f"cni:conf={path},path={directory}/bin,path={DEBIAN}"


def script(directory: Path, name: str, text: str) -> None:
    (directory / "bin").mkdir(exist_ok=True, mode=0o755)
    version = """[ "$CNI_COMMAND" = VERSION ] && { echo '{"supportedVersions":["1.0.0"]}'; exit 0; }\n"""
    path = directory / "bin" / name
    path.write_text(f"#!/bin/sh\n{version}{text}\n")
    path.chmod(0o755)


def leases(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "ipam").glob("*/10.*"))


def remain(expected: set[str]) -> bool:
    """Whether these are all of the host's links, soon: the kernel takes those of a dead namespace in its own time."""
    return wait_until(lambda: set(host_links()) == expected, seconds=10)


def test_two_containers_on_a_cni_bridge_talk_and_have_its_name_server(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, output: Any
) -> None:
    asked = network(tmp_path, "bridge", bridge="clcnibr0", isGateway=True, dns={"nameservers": ["10.123.0.53"]})
    listen = bundle("sh", "-c", "nc -l -p 7777 -e cat", change=without_cgroup)
    server = runtime.create("clcni1", str(listen), io=silent(), networks=[asked])
    server.start()
    assert leases(tmp_path) == ["10.123.0.2"]
    talk = "until echo hello | nc -w 5 10.123.0.2 7777; do sleep 0.1; done; cat /etc/resolv.conf"
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    io = ProcessIO(stdin=null, stdout=output.fd, stderr=output.fd)
    where = bundle("sh", "-c", f"{talk}", change=without_cgroup)
    assert runtime.run("clcni2", str(where), io=io, networks=[asked]) == 0
    assert output.text().endswith("hello\nnameserver 10.123.0.53\n")
    assert leases(tmp_path) == ["10.123.0.2"]
    server.delete(force=True)
    assert leases(tmp_path) == []
    assert remain({"lo", "clcnibr0"})


def test_a_later_runtime_deletes_it_from_the_journal_though_the_network_has_changed(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    asked = network(tmp_path, "ptp")
    forever = str(bundle("sleep", "100", change=without_cgroup))
    runtime.create("clcni1", forever, io=silent(), networks=[asked]).start()
    (tmp_path / "clcni.conflist").write_text("{}")
    Runtime(str(tmp_path / "state")).load("clcni1").delete(force=True)
    assert leases(tmp_path) == []
    assert remain({"lo"})


def test_a_plugin_that_fails_in_the_chain_is_the_launchs_error_and_leaves_nothing(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    script(tmp_path, "failing", """[ "$CNI_COMMAND" = DEL ] || { echo '{"code":7,"msg":"not today"}'; exit 1; }""")
    asked = network(tmp_path, "ptp", {"type": "failing"})
    with pytest.raises(CorelaunchError, match=r"CNI plugin failing failed: ADD: not today \(code 7\)") as caught:
        runtime.create("clcni1", str(bundle("true", change=without_cgroup)), io=silent(), networks=[asked])
    assert (caught.value.step, caught.value.plugin) == ("networks", "network_strategy:cni:0")
    assert (leases(tmp_path), runtime.root.ids()) == ([], [])
    assert remain({"lo"})


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_kill_9_in_the_middle_of_a_plugin_leaves_nothing_after_delete_force(
    cli: Cli, bundles: Bundles, tmp_path: Path, when: str
) -> None:
    # The plugin kills the runtime, and then goes on with its work as long as it is let.
    kill = "asked=$(cat); kill -9 $PPID; sleep 0.5;"
    texts = {
        "before": f"{kill} echo \"$asked\" | {DEBIAN}/ptp",
        "between": f"{kill} echo {{}}",
        "after": f"{DEBIAN}/ptp; {kill}",
    }
    delete = "exit 0" if when == "between" else f"exec {DEBIAN}/ptp"
    script(tmp_path, "killer", f"""[ "$CNI_COMMAND" = ADD ] || {delete}; {texts[when]}""")
    asked = network(tmp_path, "killer") if when != "between" else network(tmp_path, "ptp", {"type": "killer"})
    one = cli.new_id()
    where = str(bundles("sleep", "100"))
    killed = cli("create", "--bundle", where, "--network", asked, one)
    assert killed.code == -9, killed
    assert cli("delete", "--force", one).code == 0
    time.sleep(0.7)
    assert leases(tmp_path) == []
    assert remain({"lo"})
    assert not (cli.root / one).exists()


def test_check_says_of_each_network_whether_it_is_as_it_was_made(
    cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    one, where = cli.new_id(), str(bundles("sleep", "100"))
    asked = network(tmp_path, "ptp")
    cli.ok("create", "--bundle", where, "--network", asked, "--network", "veth", one)
    assert cli.ok("check", one).split("\n")[1:] == [f"{one}   eth0        cni    ok", CANNOT.format(one), ""]
    pid = json.loads(cli.ok("state", one))["pid"]
    with open(f"/proc/{pid}/ns/net", "rb") as inside, private_network(inside.fileno()):
        assert os.system("ip address flush dev eth0") == 0
    found = cli("check", "--json")
    assert (found.code, found.err) == (1, "")
    first, second = json.loads(found.out)
    assert (first["id"], first["interface"], first["type"], first["result"]) == (one, "eth0", "cni", "failed")
    assert first["reason"].startswith("CNI plugin ptp failed: CHECK: ")
    assert second["result"] == "not checked"
    cli.ok("delete", "--force", one)
    assert (cli.ok("check"), cli("check", one).code, leases(tmp_path)) == ("", 1, [])


def test_gc_of_a_network_tells_its_plugins_what_every_container_has(
    cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    script(tmp_path, "listener", f"""case $CNI_COMMAND in
VERSION) cat >/dev/null; echo '{{"supportedVersions":["1.1.0"]}}';;
ADD) cat >/dev/null; echo "$CNI_CONTAINERID" >>{tmp_path}/ids; echo '{{}}';;
GC) cat >{told};;
*) cat >/dev/null;; esac""")
    text = (tmp_path / "bin/listener").read_text()
    (tmp_path / "bin/listener").write_text(text.replace('["1.0.0"]', '["1.1.0"]'))
    conf = tmp_path / "clcni.conflist"
    conf.write_text(json.dumps({"cniVersion": "1.1.0", "name": "clcni", "plugins": [{"type": "listener"}]}))
    conf.chmod(0o600)
    asked = f"cni:conf={conf},path={tmp_path}/bin"
    ids = [cli.new_id(), cli.new_id()]
    for one in ids:
        cli.ok("create", "--bundle", str(bundles("sleep", "100")), "--network", f"{asked},name=lo", one)
    assert cli.ok("gc", "--network", asked).split()[-2:] == [asked, "collected"]
    valid = json.loads(told.read_text())["cni.dev/valid-attachments"]
    assert sorted(one["containerID"] for one in valid) == sorted((tmp_path / "ids").read_text().split())
    assert {one["ifname"] for one in valid} == {"lo"}
    refused = cli("gc", "--network", "veth", "--network", "none-such", "--json")
    assert (refused.code, refused.err) == (1, "")
    said = [one["outcome"] for one in json.loads(refused.out)]
    assert said[0] == "cannot collect a network's garbage: veth: veth does not claim 'gc'"
    assert "none-such" in said[1]
    # What a container has that cannot be read is not known, so nothing is garbage.
    told.unlink()
    state = next((cli.root / ids[0]).glob("journal*"))
    kept = state.read_bytes()
    state.write_bytes(b"nonsense\n" + kept)
    failed = cli("gc", "--network", asked)
    assert (failed.code, told.exists()) == (1, False), failed
    state.write_bytes(kept)
    for one in ids:
        cli.ok("delete", "--force", one)
