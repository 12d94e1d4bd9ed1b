"""Namespaces that a container joins by path, has new with offsets, or goes without: on a real kernel."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.container import Container
from corelaunch.errors import ConfigError, CorelaunchError
from corelaunch.kernel import procfs
from corelaunch.runtime import Runtime
from corelaunch.spec.namespaces import CLONE_BITS

pytestmark = pytest.mark.needs_root

Bundle = Callable[..., Path]
Change = Callable[[dict[str, Any]], object]

MAPPINGS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
#: Everything that a container can own but its mounts, which are its root filesystem's.
SHARED = ("network", "ipc", "uts", "pid", "cgroup", "time")


def io_to(fd: int) -> ProcessIO:
    return ProcessIO(stdin=os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), stdout=fd, stderr=fd)


def proc_name(kind: str) -> str:
    return procfs.NAMESPACES[CLONE_BITS[kind]]


def joining(pid: int, *kinds: str, then: Change | None = None) -> Change:
    """A change of the config: these namespaces are those of process ``pid``."""

    def change(config: dict[str, Any]) -> None:
        entries = config["linux"]["namespaces"]
        entries[:] = [entry for entry in entries if entry["type"] not in kinds]
        entries += [{"type": kind, "path": f"/proc/{pid}/ns/{proc_name(kind)}"} for kind in kinds]
        if then is not None:
            then(config)

    return change


def without(*kinds: str, then: Change | None = None) -> Change:
    """A change of the config: these namespaces are not named."""

    def change(config: dict[str, Any]) -> None:
        entries = config["linux"]["namespaces"]
        entries[:] = [entry for entry in entries if entry["type"] not in kinds]
        if then is not None:
            then(config)

    return change


def new_time(offsets: dict[str, Any]) -> Change:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"].append({"type": "time"})
        config["linux"]["timeOffsets"] = offsets

    return change


def mapped(config: dict[str, Any]) -> None:
    """A user namespace, without the limits that its root may not have the right to."""
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = config["linux"]["gidMappings"] = MAPPINGS
    config["linux"].pop("resources", None)


def namespace(pid: int, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{proc_name(kind)}")


@pytest.fixture
def owner(runtime: Runtime, bundle: Bundle) -> Container:
    """A running container that has a namespace of each kind but user, with a name and an offset of its own."""

    def change(config: dict[str, Any]) -> None:
        new_time({"boottime": {"secs": 1000000}})(config)
        config["linux"]["namespaces"].append({"type": "cgroup"})
        config["hostname"] = "owner"

    container = runtime.create("cl-join-owner", str(bundle("sleep", "600", change=change)))
    container.start()
    return container


def test_namespaces_are_joined_by_path_and_the_others_are_new(
    runtime: Runtime, bundle: Bundle, owner: Container
) -> None:
    change = joining(owner.pid, *SHARED, then=lambda config: config.pop("hostname"))
    container = runtime.create("cl-join-1", str(bundle("sleep", "600", change=change)))
    for kind in SHARED:
        assert namespace(container.pid, kind) == namespace(owner.pid, kind), kind
    assert namespace(container.pid, "mount") != namespace(owner.pid, "mount")
    container.start()
    assert container.status == "running"


def test_what_is_set_in_a_joined_uts_namespace_shows_there(runtime: Runtime, bundle: Bundle, owner: Container) -> None:
    def change(config: dict[str, Any]) -> None:
        joining(owner.pid, "uts")(config)
        config["hostname"] = "renamed"

    assert runtime.run("cl-join-1", str(bundle("true", change=change))) == 0
    read, write = os.pipe2(os.O_CLOEXEC)
    process = {"args": ["hostname"], "cwd": "/", "env": ["PATH=/bin"]}
    assert owner.exec(process, io=ProcessIO(stdin=read, stdout=write, stderr=write)).wait(20) == 0
    assert os.read(read, 100) == b"renamed\n"
    os.close(read)
    os.close(write)


def test_exec_enters_the_namespaces_that_were_joined(
    runtime: Runtime, bundle: Bundle, owner: Container, output: Any
) -> None:
    container = runtime.create("cl-join-1", str(bundle("sleep", "600", change=joining(owner.pid, *SHARED))))
    container.start()
    names = [proc_name(kind) for kind in (*SHARED, "mount")]
    process = {
        "args": ["sh", "-c", "; ".join(f"readlink /proc/self/ns/{name}" for name in names)],
        "cwd": "/",
        "env": ["PATH=/bin"],
    }
    assert container.exec(process, io=io_to(output.fd)).wait(20) == 0
    assert output.text().split() == [os.readlink(f"/proc/{container.pid}/ns/{name}") for name in names]


def test_a_joined_user_namespace_needs_no_mappings(
    runtime: Runtime, bundle: Bundle, output: Any, reachable: None
) -> None:
    owner = runtime.create("cl-join-owner", str(bundle("sleep", "600", change=mapped)))

    def change(config: dict[str, Any]) -> None:
        joining(owner.pid, "user", "network", "ipc")(config)
        config["linux"].pop("resources", None)

    script = "id -u; cat /proc/self/uid_map; readlink /proc/self/ns/user; echo x > /dev/null"
    assert runtime.run("cl-join-1", str(bundle("sh", "-c", script, change=change)), io=io_to(output.fd)) == 0
    lines = output.text().splitlines()
    assert lines[0] == "0"
    assert lines[1].split() == ["0", "100000", "65536"]
    assert lines[2:] == [namespace(owner.pid, "user")]


def test_mappings_beside_a_joined_user_namespace_must_be_its_own(
    runtime: Runtime, bundle: Bundle, reachable: None
) -> None:
    owner = runtime.create("cl-join-owner", str(bundle("sleep", "600", change=mapped)))

    def change(config: dict[str, Any], size: int = 65536) -> None:
        joining(owner.pid, "user")(config)
        config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": size}]
        config["linux"]["gidMappings"] = MAPPINGS
        config["linux"].pop("resources", None)

    assert runtime.run("cl-join-1", str(bundle("true", change=change))) == 0
    with pytest.raises(ConfigError, match=r"linux\.uidMappings: not the mappings of the user namespace"):
        runtime.create("cl-join-2", str(bundle("true", change=lambda config: change(config, 1000))))
    assert runtime.root.ids() == ["cl-join-owner"]


def test_a_mount_namespace_that_is_joined_becomes_the_containers(
    runtime: Runtime, bundle: Bundle, output: Any
) -> None:
    """As under runc: its root is pivoted, for everybody in it."""
    other = subprocess.Popen(["unshare", "--mount", "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None and other.stdout.readline()
        before = Path("/proc/self/mountinfo").read_text()
        change = joining(other.pid, "mount")
        script = "readlink /proc/self/ns/mnt; ls /"
        assert runtime.run("cl-join-1", str(bundle("sh", "-c", script, change=change)), io=io_to(output.fd)) == 0
        lines = output.text().split()
        assert lines[0] == namespace(other.pid, "mount")
        assert lines[1:] == sorted(os.listdir(f"/proc/{other.pid}/root/"))
        assert Path("/proc/self/mountinfo").read_text() == before
    finally:
        other.kill()
        other.wait()
        assert other.stdout is not None
        other.stdout.close()


def test_the_hosts_own_mount_namespace_cannot_be_joined(runtime: Runtime, bundle: Bundle) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    with pytest.raises(ConfigError, match=r"linux\.namespaces\[.\]\.path.*is the host's own mount namespace"):
        runtime.create("cl-join-1", str(bundle("true", change=joining(os.getpid(), "mount"))))
    assert Path("/proc/self/mountinfo").read_text() == before


def test_a_joined_network_namespace_keeps_its_loopback_as_it_is(
    runtime: Runtime, bundle: Bundle, owner: Container, output: Any
) -> None:
    def change(config: dict[str, Any]) -> None:
        joining(owner.pid, "network")(config)
        config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
        config["process"]["capabilities"] = {key: ["CAP_NET_ADMIN"] for key in ("bounding", "effective", "permitted")}

    script = "ip link set lo down; cat /proc/sys/net/ipv4/ip_forward"
    assert runtime.run("cl-join-1", str(bundle("sh", "-c", script, change=change)), io=io_to(output.fd)) == 0
    assert output.text() == "1\n"
    process = {"args": ["ip", "-o", "link", "show", "lo"], "cwd": "/", "env": ["PATH=/bin"]}
    read, write = os.pipe2(os.O_CLOEXEC)
    assert owner.exec(process, io=ProcessIO(stdin=read, stdout=write, stderr=write)).wait(20) == 0
    assert b"UP" not in os.read(read, 1000)
    os.close(read)
    os.close(write)
    joined = bundle("true", change=joining(owner.pid, "network"))
    with pytest.raises(ConfigError, match="own"):
        runtime.create("cl-join-2", str(joined), networks=["veth"])


def test_sysctls_do_not_reach_the_hosts_network_by_its_path(runtime: Runtime, bundle: Bundle) -> None:
    def change(config: dict[str, Any]) -> None:
        joining(os.getpid(), "network")(config)
        config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}

    before = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    with pytest.raises(ConfigError, match=r"namespaces\[.\]\.path.*linux\.sysctl would change the host"):
        runtime.create("cl-join-1", str(bundle("true", change=change)))
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == before


@pytest.mark.parametrize("end", ["kill", "run", "delete"])
def test_a_joined_pid_namespace_leaves_no_process_behind(
    runtime: Runtime, bundle: Bundle, owner: Container, end: str
) -> None:
    """It does not end with the container's init, so everybody in the cgroup is killed."""
    before = set(procfs.pids())
    path = str(bundle("sh", "-c", "sleep 4321 & sleep 4321 & wait", change=joining(owner.pid, "pid")))
    if end == "run":
        path = str(bundle("sh", "-c", "sleep 4321 & exit 0", change=joining(owner.pid, "pid")))
        runtime.run("cl-join-1", path)
    else:
        container = runtime.create("cl-join-1", path)
        assert not container.has_private_pid_namespace
        container.start()
        if end == "kill":
            container.signal(signal.SIGKILL)
            container.wait(20)
        else:
            container.delete(force=True)
    left = [pid for pid in set(procfs.pids()) - before if b"4321" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert not left
    assert owner.status == "running"


def test_a_pid_namespace_whose_init_has_ended_is_named_in_the_error(runtime: Runtime, bundle: Bundle) -> None:
    owner = runtime.create("cl-join-owner", str(bundle("sleep", "600")))
    fd = os.open(f"/proc/{owner.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    owner.delete(force=True)

    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"][0] = {"type": "pid", "path": f"/proc/{os.getpid()}/fd/{fd}"}

    with pytest.raises(CorelaunchError, match="a pid namespace whose init has ended"):
        runtime.create("cl-join-1", str(bundle("true", change=change)))
    os.close(fd)
    assert runtime.root.ids() == []


def test_a_pid_namespace_is_joined_by_the_container_and_its_own_proc_shows_it(
    runtime: Runtime, bundle: Bundle, owner: Container, output: Any
) -> None:
    script = "tr '\\0' ' ' </proc/1/cmdline; echo; [ $$ != 1 ]"
    change = joining(owner.pid, "pid")
    assert runtime.run("cl-join-1", str(bundle("sh", "-c", script, change=change)), io=io_to(output.fd)) == 0
    assert output.text() == "sleep 600 \n"


def test_a_new_time_namespace_has_its_offsets_for_create_and_exec(
    runtime: Runtime, bundle: Bundle, output: Any
) -> None:
    offsets = {"boottime": {"secs": 1000000, "nanosecs": 7}, "monotonic": {"secs": 86400}}
    container = runtime.create("cl-join-1", str(bundle("sleep", "600", change=new_time(offsets))))
    container.start()
    lines = Path(f"/proc/{container.pid}/timens_offsets").read_text().splitlines()
    assert [line.split() for line in lines] == [["monotonic", "86400", "0"], ["boottime", "1000000", "7"]]
    process = {"args": ["cat", "/proc/uptime", "/proc/self/timens_offsets"], "cwd": "/", "env": ["PATH=/bin"]}
    assert container.exec(process, io=io_to(output.fd)).wait(20) == 0
    uptime, *exec_lines = output.text().splitlines()
    assert float(uptime.split()[0]) > 1000000
    assert [line.split() for line in exec_lines] == [line.split() for line in lines]


def test_without_a_mount_namespace_the_root_is_changed_and_nothing_is_mounted(
    runtime: Runtime, bundle: Bundle, output: Any, rootfs: Path
) -> None:
    def change(config: dict[str, Any]) -> None:
        without("mount")(config)
        del config["mounts"], config["linux"]["maskedPaths"], config["linux"]["readonlyPaths"]

    before = Path("/proc/self/mountinfo").read_text()
    script = "ls /; [ -c /dev/null ] && echo null; pwd"
    assert runtime.run("cl-join-1", str(bundle("sh", "-c", script, change=change)), io=io_to(output.fd)) == 0
    assert output.text().split() == [*sorted(os.listdir(rootfs)), "null", "/"]
    assert Path("/proc/self/mountinfo").read_text() == before


def test_exec_finds_the_root_of_a_container_without_a_mount_namespace(
    runtime: Runtime, bundle: Bundle, output: Any, rootfs: Path
) -> None:
    def change(config: dict[str, Any]) -> None:
        without("mount")(config)
        del config["mounts"], config["linux"]["maskedPaths"], config["linux"]["readonlyPaths"]

    container = runtime.create("cl-join-1", str(bundle("sleep", "600", change=change)))
    container.start()
    process = {"args": ["ls", "/"], "cwd": "/", "env": ["PATH=/bin"]}
    assert container.exec(process, io=io_to(output.fd)).wait(20) == 0
    assert output.text().split() == sorted(os.listdir(rootfs))
