"""cni with Debian's plugins: traffic, chains, and whatever fails or is killed in between, every plugin has its DEL."""

from __future__ import annotations

import json
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
from corelaunch_netstrategies.cni import Cni

from corelaunch.api import (
    AlreadyExists,
    ConfigError,
    Effect,
    KernelError,
    NetworkPlacement,
    NetworkRequest,
    PluginError,
)
from corelaunch.testing.network_host import (
    Container,
    EffectRecorder,
    LaterProcess,
    host_links,
    private_network,
    run_and_die,
)
from corelaunch.testing.network_probe import ping
from corelaunch.testing.network_rtnetlink import IFLA_IFNAME, Rtnetlink, attribute

sys.path.insert(0, os.path.dirname(__file__))
from cni_host import DEBIAN, host_local, leases, need_plugins, ptp, write_list, write_plugin

pytestmark = pytest.mark.needs_root


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def container() -> Iterator[Container]:
    with Container() as container:
        yield container


def place(conf: Path, container_id: str = "clnet", **options: str) -> NetworkPlacement:
    return Cni().place(NetworkRequest(container_id, 0, "cni", {"conf": str(conf), **options}))


def give(placement: NetworkPlacement, container: Container) -> EffectRecorder:
    recorder = EffectRecorder()
    Cni().create(placement, container.process, recorder)
    Cni().initialize(placement, container.netlink_fd, recorder)
    return recorder


def bridge(directory: Path, *subnets: str, **more: Any) -> dict[str, Any]:
    need_plugins("bridge", "host-local")
    ipam = host_local(directory, "10.123.0.0/24")
    ipam["ranges"] += [[{"subnet": subnet}] for subnet in subnets]
    return {"type": "bridge", "bridge": "clnetbr0", "isGateway": True, "ipam": ipam, **more}


def rules() -> str:
    return subprocess.run(["iptables-save"], check=True, capture_output=True, text=True).stdout


def test_two_containers_on_a_bridge_reach_each_other_and_the_host_in_both_families(
    tmp_path: Path, container: Container
) -> None:
    conf = write_list(tmp_path, bridge(tmp_path, "fd00:7b::/64"))
    with Container() as second:
        placements = [place(conf, name) for name in ("clnet-a", "clnet-b")]
        recorders = [give(p, c) for p, c in zip(placements, (container, second), strict=True)]
        assert leases(tmp_path) == ["10.123.0.2", "10.123.0.3"]
        for one, other in ((container, 3), (second, 2)):
            with private_network(one.namespace):
                assert [ping(a) for a in (f"10.123.0.{other}", f"fd00:7b::{other}", "10.123.0.1")] == [True] * 3
        for placement, recorder in zip(placements, recorders, strict=True):
            Cni().destroy(placement, recorder.effects)
    assert leases(tmp_path) == []
    # The plugin never removes its bridge.
    assert set(host_links()) == {"lo", "clnetbr0"}


def test_what_the_options_ask_comes_to_the_plugins_that_say_they_take_it(tmp_path: Path, container: Container) -> None:
    need_plugins("bridge", "static", "tuning")
    chain = (
        {"type": "bridge", "bridge": "clnetbr0", "ipam": {"type": "static"}, "capabilities": {"ips": True}},
        {"type": "tuning", "mtu": 1400, "capabilities": {"mac": True}},
    )
    placement = place(write_list(tmp_path, *chain), name="web0", address="10.9.0.2/24", mac="02:00:00:00:12:34")
    recorder = give(placement, container)
    assert placement.addresses == ["10.9.0.2/24"]
    link = container.links()["web0"]
    assert (link.mac, link.mtu, link.up) == ("02:00:00:00:12:34", 1400, True)
    with container.netlink() as netlink:
        assert [address.cidr for address in netlink.addresses(link.index)] == ["10.9.0.2/24"]
    Cni().destroy(placement, recorder.effects)
    assert (set(host_links()), set(container.links())) == ({"lo", "clnetbr0"}, {"lo"})


def test_a_published_port_leads_to_the_container_until_it_is_deleted(tmp_path: Path, container: Container) -> None:
    need_plugins("portmap", "firewall")
    before = rules()
    chain = ({"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}, {"type": "firewall"})
    placement = place(write_list(tmp_path, ptp(tmp_path), *chain), publish="8080:80")
    with Rtnetlink() as netlink:
        netlink.set_link(host_links()["lo"].index, up=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    recorder = give(placement, container)
    with private_network(container.namespace):
        server = socket.create_server(("0.0.0.0", 80))
    server.settimeout(10)
    with server, socket.create_connection(("10.123.0.1", 8080), timeout=10) as client, server.accept()[0] as accepted:
        client.sendall(b"hello")
        assert accepted.recv(5) == b"hello"
    identity = recorder.effects[0].args["identity"]
    assert identity in rules()
    assert "10.123.0.2/32" in rules()
    Cni().destroy(placement, recorder.effects)
    after = rules()
    assert identity not in after
    assert "10.123.0.2" not in after
    assert "10.123.0.2" not in before


def test_the_loopback_plugin_may_be_a_network_of_its_own(tmp_path: Path, container: Container) -> None:
    need_plugins("loopback")
    placement = place(write_list(tmp_path, {"type": "loopback"}), name="lo")
    recorder = give(placement, container)
    assert container.links()["lo"].up
    Cni().destroy(placement, recorder.effects)


def test_a_network_that_makes_no_interface_is_an_error(tmp_path: Path, container: Container) -> None:
    need_plugins("loopback")
    with pytest.raises(PluginError, match=r"CNI network gave no interface: .*: the plugins of 'clnet' have made no"):
        give(place(write_list(tmp_path, {"type": "loopback"})), container)


def test_an_interface_that_the_container_has_already_is_left_alone(tmp_path: Path, container: Container) -> None:
    with container.netlink() as netlink:
        netlink.make_veth("eth0", attribute(IFLA_IFNAME, "clnetpeer"))
    before, recorder = container.links(), EffectRecorder()
    placement = place(write_list(tmp_path, ptp(tmp_path)))
    with pytest.raises(AlreadyExists, match="a link of that name exists in the container: eth0"):
        Cni().create(placement, container.process, recorder)
    Cni().destroy(placement, recorder.effects)
    assert (recorder.effects, container.links()) == ([], before)


def test_a_plugin_that_fails_in_the_middle_leaves_nothing_of_the_ones_before(
    tmp_path: Path, container: Container
) -> None:
    record = tmp_path / "calls"
    failing = 'cat >/dev/null; echo "$CNI_COMMAND" >>' + str(record) + "\n"
    failing += '[ "$CNI_COMMAND" = DEL ] || { echo \'{"code":7,"msg":"no","details":"more"}\'; exit 1; }'
    write_plugin(tmp_path / "bin", "failing", failing)
    write_plugin(tmp_path / "bin", "never", "echo never >>" + str(record))
    conf = write_list(tmp_path, ptp(tmp_path), {"type": "failing"}, {"type": "never"})
    placement, recorder = place(conf, path=f"{tmp_path}/bin,{DEBIAN}"), EffectRecorder()
    later = LaterProcess(Cni())
    with pytest.raises(PluginError, match=r"CNI plugin failing failed: ADD: no: more \(code 7\)"):
        Cni().create(placement, container.process, recorder)
    assert len(leases(tmp_path)) == 1
    assert later.destroy(placement, recorder.effects) == ""
    assert record.read_text().split() == ["ADD", "DEL"]
    assert (leases(tmp_path), set(host_links()), set(container.links())) == ([], {"lo"}, {"lo"})


def test_every_plugin_has_its_del_though_one_fails(tmp_path: Path, container: Container) -> None:
    failing = 'cat >/dev/null; [ "$CNI_COMMAND" = DEL ] && { echo gone wrong >&2; exit 3; }; echo "{}"'
    write_plugin(tmp_path / "bin", "failing", failing)
    conf = write_list(tmp_path, ptp(tmp_path), {"type": "failing"})
    placement = place(conf, path=f"{tmp_path}/bin,{DEBIAN}")
    recorder = give(placement, container)
    with pytest.raises(PluginError, match="CNI plugin failing failed: DEL: exit status 3, and said: gone wrong"):
        Cni().destroy(placement, recorder.effects)
    assert (leases(tmp_path), set(host_links()), set(container.links())) == ([], {"lo"}, {"lo"})


def test_a_container_that_is_gone_has_its_del_without_a_namespace(tmp_path: Path, container: Container) -> None:
    record = tmp_path / "calls"
    seen = 'cat >/dev/null; echo "$CNI_COMMAND=$CNI_NETNS" >>' + str(record) + '; [ "$CNI_COMMAND" = DEL ] || echo "{}"'
    write_plugin(tmp_path / "bin", "seen", seen)
    placement = place(write_list(tmp_path, ptp(tmp_path), {"type": "seen"}), path=f"{tmp_path}/bin,{DEBIAN}")
    recorder = give(placement, container)
    container.die()
    Cni().destroy(placement, recorder.effects)
    add, delete = record.read_text().splitlines()
    assert (add.startswith(f"ADD=/proc/{os.getpid()}/fd/"), delete) == (True, "DEL=")
    assert leases(tmp_path) == []


def test_results_of_another_boot_are_deleted_without_pids_and_namespaces(tmp_path: Path, container: Container) -> None:
    placement = place(write_list(tmp_path, ptp(tmp_path)))
    recorder = give(placement, container)
    (effect,) = recorder.effects
    bystander = subprocess.Popen(["sleep", "100"], process_group=0)
    try:
        args = {**effect.args, "boot_id": "another", "pid": bystander.pid, "start_time": 0}
        Cni().destroy(placement, [effect.replace(args=args)])
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    assert leases(tmp_path) == []
    assert "eth0" in container.links()


def die(work: Callable[[EffectRecorder], object], number: int, *, confirmed: bool) -> list[Effect]:
    """Work in a child that is killed at its N-th announcement or confirmation; what its journal then holds."""
    seen = 0

    def strike(effect: Effect) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def begin(recorder: EffectRecorder) -> None:
        setattr(recorder, "_at_done" if confirmed else "_at_intend", _before(getattr(recorder, at), strike))
        work(recorder)

    at = "_at_done" if confirmed else "_at_intend"
    return [effect for effect in run_and_die(begin, "of no effect") if effect.done or effect.absent]


def _before(tell: Callable[[Effect], None], strike: Callable[[Effect], None]) -> Callable[[Effect], None]:
    def both(effect: Effect) -> None:
        tell(effect)
        strike(effect)

    return both


@pytest.mark.parametrize("confirmed", [False, True], ids=["announced", "confirmed"])
@pytest.mark.parametrize("number", [1, 2])
def test_kill_9_around_any_announcement_leaves_nothing_after_destroy(
    tmp_path: Path, container: Container, number: int, confirmed: bool
) -> None:
    need_plugins("tuning")
    placement = place(write_list(tmp_path, ptp(tmp_path), {"type": "tuning", "mtu": 1400}))
    effects = die(lambda journal: Cni().create(placement, container.process, journal), number, confirmed=confirmed)
    assert len(effects) == number
    Cni().destroy(placement, effects)
    assert (leases(tmp_path), set(host_links()), set(container.links())) == ([], {"lo"}, {"lo"})


def test_kill_9_while_a_plugin_works_ends_the_plugin_before_its_del(tmp_path: Path, container: Container) -> None:
    # It lets its runtime be killed, and would then make what nobody deletes.
    slow = f'asked=$(cat); [ "$CNI_COMMAND" = ADD ] && {{ kill -9 $PPID; sleep 1; }}; echo "$asked" | {DEBIAN}/ptp'
    write_plugin(tmp_path / "bin", "slow", slow)
    conf = write_list(tmp_path, {**ptp(tmp_path), "type": "slow"})
    placement = place(conf, path=f"{tmp_path}/bin,{DEBIAN}")
    effects = run_and_die(lambda journal: Cni().create(placement, container.process, journal), "")
    assert [effect.done for effect in effects] == [False]
    Cni().destroy(placement, effects)
    time.sleep(1.2)
    assert (leases(tmp_path), set(host_links()), set(container.links())) == ([], {"lo"}, {"lo"})


def test_kill_9_before_the_announcement_lets_the_plugin_do_nothing(tmp_path: Path, container: Container) -> None:
    placement = place(write_list(tmp_path, ptp(tmp_path)))

    def work(journal: EffectRecorder) -> None:
        journal._at_intend = lambda effect: os.kill(os.getpid(), signal.SIGKILL)
        Cni().create(placement, container.process, journal)

    assert run_and_die(work, "") == []
    time.sleep(0.2)
    assert (leases(tmp_path), set(host_links()), set(container.links())) == ([], {"lo"}, {"lo"})


def test_a_foreign_attachment_of_the_same_network_stays(tmp_path: Path, container: Container) -> None:
    conf = write_list(tmp_path, ptp(tmp_path))
    with Container() as second:
        foreign = give(place(conf), second)
        placement = place(conf)
        Cni().destroy(placement, give(placement, container).effects)
        assert "eth0" in second.links()
        assert len(leases(tmp_path)) == 1
        Cni().destroy(place(conf), foreign.effects)


def test_what_the_network_was_counts_at_destroy_and_not_what_it_is(tmp_path: Path, container: Container) -> None:
    conf = write_list(tmp_path, ptp(tmp_path))
    placement = place(conf)
    recorder = give(placement, container)
    conf.write_text("gone")
    saved = NetworkPlacement(**json.loads(json.dumps(placement.as_dict())))
    Cni().destroy(saved, recorder.effects)
    assert (leases(tmp_path), set(host_links())) == ([], {"lo"})


def test_destroy_from_another_network_namespace_is_refused(tmp_path: Path, container: Container) -> None:
    placement = place(write_list(tmp_path, ptp(tmp_path)))
    recorder = give(placement, container)
    neighbour = subprocess.Popen(["sleep", "100"])  # keeps this namespace alive, visibly
    try:
        with private_network(), pytest.raises(KernelError, match="network namespace"):
            Cni().destroy(placement, recorder.effects)
    finally:
        neighbour.kill()
        neighbour.wait()
    assert len(leases(tmp_path)) == 1
    Cni().destroy(placement, recorder.effects)


def test_a_plugin_that_speaks_no_version_of_the_network_is_found_before_anything_is_made(
    tmp_path: Path, container: Container
) -> None:
    write_plugin(tmp_path / "bin", "old", "exit 1")
    conf = write_list(tmp_path, ptp(tmp_path), {"type": "old"}, cniVersion="0.3.1")
    recorder = EffectRecorder()
    with pytest.raises(ConfigError, match=r"not all plugins speak 0.3.1: ptp speaks .*; old speaks 0.4.0, 1.0.0"):
        Cni().create(place(conf, path=f"{tmp_path}/bin,{DEBIAN}"), container.process, recorder)
    assert (recorder.effects, leases(tmp_path)) == ([], [])


def test_of_several_versions_the_newest_that_all_plugins_speak_is_used(tmp_path: Path, container: Container) -> None:
    conf = write_list(tmp_path, ptp(tmp_path), cniVersions=["0.4.0", "1.0.0", "1.1.0"])
    placement = place(conf)
    recorder = give(placement, container)
    assert [effect.args["version"] for effect in recorder.effects] == ["1.0.0"]
    Cni().destroy(placement, recorder.effects)
