"""DNS files and parameters of networks in real containers: there, read-only, inside the rootfs whatever its links."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.errors import ConfigError
from corelaunch.runtime import Runtime
from corelaunch.testing import bundles
from corelaunch.testing.network_host import private_network

pytestmark = pytest.mark.needs_root

Bundle = Callable[..., Path]
DNS = "dns=10.9.0.53,dns=fd00:9::53,search=example.org,dns-option=ndots:2"


@pytest.fixture(autouse=True)
def private_host() -> Iterator[None]:
    with private_network():
        yield


def without_cgroup(config: dict[str, Any]) -> None:
    config["linux"].pop("resources", None)


def in_user_namespace(config: dict[str, Any]) -> None:
    without_cgroup(config)
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def run(runtime: Runtime, bundle: Path, output: Any, *networks: str) -> str:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    io = ProcessIO(stdin=null, stdout=output.fd, stderr=output.fd)
    runtime.run("clnet1", str(bundle), io=io, networks=networks)
    return str(output.text())


@pytest.mark.parametrize("change", [without_cgroup, in_user_namespace])
def test_the_files_are_there_and_cannot_be_written(
    runtime: Runtime, bundle: Bundle, reachable: None, output: Any, change: Callable[[dict[str, Any]], None]
) -> None:
    def named(config: dict[str, Any]) -> None:
        change(config)
        config["hostname"] = "web"

    look = bundle("sh", "-c", "cat /etc/resolv.conf /etc/hosts; echo x > /etc/hosts || echo no", change=named)
    text = run(runtime, look, output, f"veth:address=10.9.0.2/24,{DNS},add-host=db:10.9.0.9")
    resolv, hosts = "nameserver 10.9.0.53\nnameserver fd00:9::53\nsearch example.org\noptions ndots:2\n", "127.0.0.1 "
    assert text.startswith(resolv + hosts)
    assert "\n10.9.0.2 web\n10.9.0.9 db\n" in text
    assert text.endswith("no\n")
    assert runtime.root.ids() == []


@pytest.mark.parametrize(
    ("link", "beyond"),
    [
        ("/etc/precious", "precious"),
        ("../../../../../../etc/precious", "precious"),
        ("../run/systemd/resolve/stub-resolv.conf", ""),
    ],
    ids=["absolute", "upwards", "dangling"],
)
def test_a_link_of_the_image_does_not_lead_out_of_it(
    runtime: Runtime, tmp_path: Path, output: Any, link: str, beyond: str
) -> None:
    rootfs = tmp_path / "own"
    rootfs.mkdir()
    made = bundles.make_rootfs(rootfs)
    (made / "etc/resolv.conf").unlink(missing_ok=True)
    (made / "etc/resolv.conf").symlink_to(link)
    if beyond:
        (made / "etc" / beyond).write_text("image's own\n")
    config = bundles.config("cat", "/etc/resolv.conf")
    without_cgroup(config)
    config["root"]["readonly"] = False
    before = sorted(os.listdir("/etc"))
    text = run(runtime, bundles.make_bundle(tmp_path / "bundle", made, config), output, f"veth:{DNS}")
    assert text.startswith("nameserver 10.9.0.53\n")
    assert sorted(os.listdir("/etc")) == before
    assert (made / "etc/resolv.conf").is_symlink()
    if beyond:
        assert (made / "etc" / beyond).read_text() == "image's own\n"
    shutil.rmtree(rootfs)


def test_without_options_the_images_files_stay(runtime: Runtime, bundle: Bundle, output: Any) -> None:
    look = bundle("sh", "-c", "grep -c /etc/ /proc/self/mountinfo", change=without_cgroup)
    assert run(runtime, look, output, "veth:address=10.9.0.2/24") == "0\n"


def test_exec_and_the_running_container_see_the_same_files_until_delete(
    runtime: Runtime, bundle: Bundle, output: Any
) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    forever = bundle("sleep", "100", change=without_cgroup)
    container = runtime.create("clnet1", str(forever), io=ProcessIO(null, null, null), networks=[f"veth:{DNS}"])
    container.start()
    process = {"cwd": "/", "args": ["cat", "/etc/resolv.conf"], "env": ["PATH=/bin"]}
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    assert container.exec(process, io=ProcessIO(null, output.fd, null)).wait() == 0
    assert output.text().startswith("nameserver 10.9.0.53\n")
    directory = Path(runtime.root.directory("clnet1"))
    assert (directory / "resolv.conf").exists()
    container.delete(force=True)
    assert not directory.exists()


@pytest.mark.parametrize("value", ["0", "2"])
def test_accept_ra_is_set_for_the_interface_alone(runtime: Runtime, bundle: Bundle, output: Any, value: str) -> None:
    asked = "cd /proc/sys/net/ipv6/conf; cat web0/accept_ra eth1/accept_ra"
    look = bundle("sh", "-c", asked, change=without_cgroup)
    text = run(runtime, look, output, f"veth:name=web0,accept-ra={value}", "veth")
    assert text == f"{value}\n1\n"


def test_a_mount_on_the_same_file_is_refused_before_anything_is_made(runtime: Runtime, bundle: Bundle) -> None:
    def mount(config: dict[str, Any]) -> None:
        without_cgroup(config)
        config["mounts"].append({"destination": "/etc/hosts", "source": "/dev/null", "options": ["bind"]})

    with pytest.raises(ConfigError, match=r"mounts\[\d+\]\.destination: a network brings its own /etc/hosts"):
        runtime.create("clnet1", str(bundle("true", change=mount)), networks=["veth:add-host=db:10.9.0.9"])
    assert runtime.root.ids() == []
