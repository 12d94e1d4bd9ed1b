"""NOTIFY_SOCKET: a container says that it is ready, and the service manager hears it from us and nothing else."""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import RUNC, Bundles, Cli, corelaunch_path, wait_until

from corelaunch import notify
from corelaunch.errors import KernelError
from corelaunch.notify import NotifySocket

MARK = f"cl-n-{os.getpid()}"
#: Sends each argument as one datagram to $NOTIFY_SOCKET, as a service does.
SENDER = r"""
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
int main(int argc, char **argv)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    strncpy(to.sun_path, getenv("NOTIFY_SOCKET"), sizeof to.sun_path - 1);
    for (int i = 1; i < argc; i++)
        if (sendto(fd, argv[i], strlen(argv[i]), MSG_NOSIGNAL, (void *)&to, sizeof to) < 0)
            return 9;
    return 0;
}
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    made = Bundles(tmp_path_factory.mktemp("bundles"), MARK)
    made.rootfs.chmod(0o755)
    source = made.directory / "sender.c"
    source.write_text(SENDER)
    subprocess.run(["musl-gcc", "-static", "-o", str(made.rootfs / "bin/notify"), str(source)], check=True)
    return made


class Manager:
    """A service manager: its socket, and what was sent to it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(10)
        self.environment = {**os.environ, "NOTIFY_SOCKET": address}
        self.barriers: list[int] = []

    def take(self) -> str:
        """One message; the pipe of a barrier is kept."""
        data, rights, _, _ = self.socket.recvmsg(4096, 1024)
        for _, _, block in rights:
            self.barriers += array.array("i", block).tolist()
        return data.decode()

    def quiet(self) -> bool:
        return not select.select([self.socket], [], [], 0.2)[0]

    def let_go(self) -> None:
        """Close the pipe of the barrier: all was taken in."""
        assert len(self.barriers) == 1
        os.close(self.barriers.pop())


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "manager") if request.param == "path" else f"@{MARK}-{request.node.name[:40]}")
    with made.socket:
        yield made
    for fd in made.barriers:
        os.close(fd)


@contextlib.contextmanager
def background(words: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_the_process_finds_a_socket_that_every_user_may_write_to(cli: Cli, bundles: Bundles, manager: Manager) -> None:
    def user(config: dict[str, Any]) -> None:
        config["process"]["user"] = {"uid": 1000, "gid": 1000}
        config["process"]["capabilities"] = {}

    script = 'echo $NOTIFY_SOCKET; ls -ld /run/notify; notify STATUS=x; touch /run/notify/x; echo "$?"'
    bundle = bundles("sh", "-c", script, change=user)
    outcome = cli("run", "--bundle", bundle, cli.new_id(), env=manager.environment)
    lines = outcome.out.splitlines()
    assert outcome.code == 0, outcome
    assert lines[0] == "/run/notify/notify.sock"
    assert lines[1].startswith("drwxr-xr-x")
    assert lines[-1] != "0"
    assert manager.quiet()


@pytest.mark.parametrize("runtime", ["corelaunch", "runc"])
def test_start_waits_until_the_container_is_ready_and_tells_the_service_manager(
    cli: Cli, bundles: Bundles, manager: Manager, runtime: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if runtime == "runc":
        if not os.path.exists(RUNC) or manager.address.startswith("@"):
            pytest.skip("this host lacks a runc that knows abstract names")
        cli = Cli(RUNC, tmp_path / "runc", MARK + "-r")
        request.addfinalizer(cli.delete_all)
    one = cli.new_id()
    script = "notify STATUS=starting; while ! test -e /tmp/go; do sleep 0.1; done; notify READY=1; sleep 100"

    def tmpfs(config: dict[str, Any]) -> None:
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})

    cli.ok("create", "--bundle", bundles("sh", "-c", script, change=tmpfs), one, env=manager.environment)
    assert manager.quiet()
    with background(cli.words("start", one), manager.environment) as start:
        assert manager.quiet()
        assert start.poll() is None
        pid = cli.state(one)["pid"]
        Path(f"/proc/{pid}/root/tmp/go").touch()
        assert manager.take() == "READY=1\n"
        assert manager.take() == f"MAINPID={pid}\n"
        if runtime == "corelaunch":  # runc has it since 1.2
            assert manager.take() == "BARRIER=1"
            time.sleep(0.2)
            assert start.poll() is None
            manager.let_go()
        assert start.wait(10) == 0
        assert start.stdout is not None
        assert start.stdout.read() == ""
    assert manager.quiet()


def test_start_ends_with_a_container_that_never_gets_ready(cli: Cli, bundles: Bundles, manager: Manager) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sh", "-c", "sleep 0.3"), one, env=manager.environment)
    cli.ok("start", one, env=manager.environment)
    assert manager.quiet()


def test_what_a_process_says_right_before_its_end_counts(cli: Cli, bundles: Bundles, manager: Manager) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("notify", "READY=1"), one, env=manager.environment)
    with background(cli.words("start", one), manager.environment) as start:
        assert manager.take() == "READY=1\n"
        assert manager.take().startswith("MAINPID=")
        assert manager.take() == "BARRIER=1"
        manager.let_go()
        assert start.wait(10) == 0


def test_run_detached_waits_too_and_names_the_init(cli: Cli, bundles: Bundles, manager: Manager) -> None:
    one = cli.new_id()
    words = cli.words("run", "--detach", "--bundle", bundles("sh", "-c", "notify READY=1; sleep 100"), one)
    with background(words, manager.environment) as run:
        assert manager.take() == "READY=1\n"
        assert manager.take() == f"MAINPID={cli.state(one)['pid']}\n"
        assert manager.take() == "BARRIER=1"
        manager.let_go()
        assert run.wait(10) == 0
    assert cli.state(one)["status"] == "running"


@pytest.mark.parametrize("terminal", [False, True])
def test_run_in_the_foreground_is_the_main_process_itself(
    cli: Cli, bundles: Bundles, manager: Manager, terminal: bool
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["terminal"] = terminal

    script = "echo one; notify READY=1; trap 'exit 7' TERM; echo two; while :; do sleep 0.1; done"
    words = cli.words("run", "--bundle", bundles("sh", "-c", script, change=change), cli.new_id())
    with background(words, manager.environment) as run:
        assert manager.take() == "READY=1\n"
        assert manager.take() == f"MAINPID={run.pid}\n"
        assert manager.take() == "BARRIER=1"
        assert run.stdout is not None
        assert [run.stdout.readline(), run.stdout.readline()] == ["one\n", "two\n"]
        run.send_signal(signal.SIGTERM)  # it does not wait for the barrier
        assert run.wait(10) == 7
    assert manager.quiet()


def test_a_hostile_container_can_say_that_it_is_ready_and_nothing_else(
    cli: Cli, bundles: Bundles, manager: Manager
) -> None:
    flood = "x" * 9000
    lies = f"notify 'MAINPID=1' 'READY=12' 'XREADY=1' 'READY=' 'STOPPING=1' 'FDSTORE=1' '{flood}\nREADY=1'"
    truth = "notify 'MAINPID=1\nREADY=1\nERRNO=5\nEXTEND_TIMEOUT_USEC=9'; sleep 0.2; notify READY=1; sleep 100"
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sh", "-c", f"{lies}; {truth}"), one, env=manager.environment)
    with background(cli.words("start", one), manager.environment) as start:
        pid = cli.state(one)["pid"]
        assert [manager.take(), manager.take(), manager.take()] == ["READY=1\n", f"MAINPID={pid}\n", "BARRIER=1"]
        manager.let_go()
        assert start.wait(10) == 0
    assert manager.quiet()


def test_descriptors_that_a_container_sends_along_are_not_taken(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    notify.make_directory(str(tmp_path))
    taker = NotifySocket(manager.address, lambda *_: None)
    taker.bind(str(tmp_path))
    before = os.listdir("/proc/self/fd")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, open("/dev/null") as null:
        sender.connect(str(tmp_path / "notify/notify.sock"))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null.fileno()] * 50))]
        sender.sendmsg([b"FDSTORE=1"], rights)
    assert taker.take(1) is False
    assert os.listdir("/proc/self/fd") == before
    taker.close()


def test_who_floods_the_socket_of_a_container_that_has_ended_keeps_nobody_waiting(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    notify.make_directory(str(tmp_path))
    taker = NotifySocket(manager.address, lambda *_: None)
    taker.bind(str(tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(tmp_path / "notify/notify.sock"))
        sender.send(b"STATUS=x")
    # As much comes as is taken: the socket is never empty.
    monkeypatch.setattr(taker, "take", lambda _: False)
    ended = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(ended.pid)
    select.select([pidfd], [], [])
    waiting = threading.Thread(target=taker.forward, args=(1, pidfd), daemon=True)
    waiting.start()
    waiting.join(10)
    returned = not waiting.is_alive()
    ended.wait()
    assert returned
    taker.close()
    os.close(pidfd)
    assert manager.quiet()


@pytest.mark.parametrize("trap", ["link to a file", "link to a directory", "directory", "file"])
def test_what_a_privileged_container_puts_in_the_sockets_place_is_not_followed(
    tmp_path: Path, manager: Manager, trap: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("")
    victim.chmod(0o600)
    notify.make_directory(str(tmp_path))
    place = tmp_path / "notify/notify.sock"
    if trap == "link to a file":
        place.symlink_to(victim)
    elif trap == "link to a directory":
        place.symlink_to(tmp_path)
    elif trap == "directory":
        (place / "deep" / "deeper").mkdir(parents=True)
        (place / "deep" / "link").symlink_to(tmp_path)
        (place / "file").write_text("")
    else:
        place.write_text("")
    taker = NotifySocket(manager.address, lambda *_: None)
    if trap == "directory":
        with pytest.raises(KernelError, match="cannot make the notify socket"):
            taker.bind(str(tmp_path))
    else:
        taker.bind(str(tmp_path))
        assert stat.S_ISSOCK(place.lstat().st_mode)
    taker.close()
    notify.remove_directory(str(tmp_path))
    assert not (tmp_path / "notify").exists()
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600


def test_no_depth_of_what_was_left_in_the_directory_is_too_deep(tmp_path: Path) -> None:
    notify.make_directory(str(tmp_path))
    at = os.open(tmp_path / "notify", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=at)
        os.mkdir("e", dir_fd=at)
        os.symlink("/", "link", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    before = os.listdir("/proc/self/fd")
    notify.remove_directory(str(tmp_path))
    assert not (tmp_path / "notify").exists()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_link_in_place_of_the_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    (tmp_path / "notify").symlink_to("other")
    with pytest.raises(OSError):
        notify.remove_directory(str(tmp_path))
    assert (tmp_path / "other/file").exists()


def test_delete_removes_what_a_privileged_container_left_in_the_directory(
    cli: Cli, bundles: Bundles, manager: Manager
) -> None:
    def all_capabilities(config: dict[str, Any]) -> None:
        for kind in ("bounding", "effective", "permitted"):
            config["process"]["capabilities"][kind] = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]

    script = "mount -o remount,bind,rw /run/notify; mkdir -p /run/notify/a/b; touch /run/notify/a/c; sleep 100"
    one = cli.new_id()
    bundle = bundles("sh", "-c", script, change=all_capabilities)
    cli.ok("create", "--bundle", bundle, one, env=manager.environment)
    cli.ok("start", one)
    wait_until(lambda: (cli.root / one / "notify/a/c").exists(), 10, "the file")
    cli.ok("delete", "--force", one)
    assert not (cli.root / one).exists()


def test_a_user_namespace_of_the_container_is_no_obstacle(cli: Cli, bundles: Bundles, manager: Manager) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"]["uidMappings"] = config["linux"]["gidMappings"] = [
            {"containerID": 0, "hostID": 100000, "size": 65536}
        ]

    words = cli.words("run", "-d", "--bundle", bundles("notify", "READY=1", change=change), cli.new_id())
    with background(words, manager.environment) as run:
        assert manager.take() == "READY=1\n"
        manager.take()
        manager.take()
        manager.let_go()
        assert run.wait(10) == 0


def test_a_long_state_root_is_no_obstacle(bundles: Bundles, manager: Manager, tmp_path: Path) -> None:
    cli = Cli(corelaunch_path(), tmp_path / ("r" * 100), MARK)
    try:
        words = cli.words("run", "-d", "--bundle", bundles("notify", "READY=1"), MARK + "-" + "x" * 100)
        with background(words, manager.environment):
            assert manager.take() == "READY=1\n"
    finally:
        cli.delete_all()


def test_a_second_start_takes_the_place_of_one_that_was_killed(cli: Cli, bundles: Bundles, manager: Manager) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("notify", "READY=1"), one, env=manager.environment)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(cli.root / one / "notify/notify.sock"))
    with background(cli.words("start", one), manager.environment):
        assert manager.take() == "READY=1\n"


def test_without_a_service_manager_the_container_runs_and_start_does_not_wait(
    cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    one = cli.new_id()
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "nobody")}
    log = tmp_path / "log"
    cli.ok("create", "--bundle", bundles("sleep", "100"), one, env=environment)
    cli.ok("start", one, env=environment, options=("--log", str(log)))
    assert "nobody is told when the container is ready" in log.read_text()
    assert cli.state(one)["status"] == "running"


def test_a_container_that_was_created_without_a_socket_gets_none_at_start(
    cli: Cli, bundles: Bundles, manager: Manager
) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "100"), one)
    cli.ok("start", one, env=manager.environment)
    assert not (cli.root / one / "notify").exists()


@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize("address", ["relative", "@", "/", "vsock:2:1234"])
def test_an_address_that_is_none_is_one_line(cli: Cli, bundles: Bundles, verb: str, address: str) -> None:
    environment = {**os.environ, "NOTIFY_SOCKET": address}
    outcome = cli(verb, "--bundle", bundles("true"), cli.new_id(), env=environment)
    assert outcome.code == 1
    assert f"invalid NOTIFY_SOCKET: '{address}'" in outcome.err
    assert outcome.err.count("\n") == 1
    assert not cli.root.exists() or os.listdir(cli.root) == []


def test_exec_gets_no_socket(cli: Cli, bundles: Bundles, manager: Manager) -> None:
    one = cli.new_id()
    cli.ok("run", "-d", "--bundle", bundles("sleep", "100"), one)
    out = cli.ok("exec", one, "env", env=manager.environment)
    assert "NOTIFY_SOCKET" not in out


# -- orphans ---------------------------------------------------------------------------------------------------


def host_pids(config: dict[str, Any]) -> None:
    config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "pid"]


def children_of(pid: int) -> dict[int, str]:
    """State by pid of a process's children."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError, ValueError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid:
                found[int(entry.name)] = state
    return found


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("option", [(), ("--no-subreaper",)])
def test_orphans_of_the_container_come_to_a_run_in_the_foreground_and_are_reaped(
    cli: Cli, bundles: Bundles, option: tuple[str, ...], terminal: bool
) -> None:
    def change(config: dict[str, Any]) -> None:
        host_pids(config)
        config["process"]["terminal"] = terminal

    script = "for i in 1 2 3; do (sleep 0.5 & ) ; done; (sleep 50 & ); sleep 60"
    words = cli.words("run", *option, "--bundle", bundles("sh", "-c", script, change=change), cli.new_id())
    with background(words, dict(os.environ)) as run:
        # The init; with a subreaper also the sleep that goes on. Those that ended are no zombies.
        expected = 1 if option else 2
        time.sleep(1.5)
        wait_until(lambda: len(children_of(run.pid)) == expected, 10, "the orphans to be reaped")
        assert "Z" not in children_of(run.pid).values()
        run.terminate()
        assert run.wait(20) == 143


def test_the_api_never_makes_its_process_a_subreaper(bundles: Bundles, tmp_path: Path) -> None:
    program = f"""
import ctypes, sys
from corelaunch.runtime import Runtime
assert Runtime({str(tmp_path / "api")!r}).run({MARK + "-api"!r}, sys.argv[1]) == 0
answer = ctypes.c_int(7)
assert ctypes.CDLL(None).prctl(37, ctypes.byref(answer), 0, 0, 0) == 0
assert answer.value == 0
"""
    # From elsewhere: the current directory comes first in the path of -c, and a fresh checkout has no built modules.
    command = [sys.executable, "-c", program, bundles("true", change=host_pids)]
    done = subprocess.run(command, check=False, cwd=tmp_path)
    assert done.returncode == 0


