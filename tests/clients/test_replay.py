"""The calls that engines make, word for word, with their descriptors and environments (podman, conmon, shim, buildah,
BuildKit, CRI-O), against the installed command; and against runc, so that the calls themselves are right."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corelaunch.testing import bundles

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = {"corelaunch": CHECKOUT / ".venv/bin/corelaunch", "runc": Path("/usr/sbin/runc")}

#: All that podman's own calls have, and what conmon and containerd's shim have.
PODMAN_ENVIRONMENT = {"XDG_RUNTIME_DIR": ""}
CONMON_ENVIRONMENT = {"XDG_RUNTIME_DIR": "", "_OCI_SYNCPIPE": "3", "_OCI_STARTPIPE": "4", "_OCI_ATTACHPIPE": "5"}
SHIM_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/sbin:/bin", "MAX_SHIM_VERSION": "2", "GOMAXPROCS": "2"}

#: Says what it was given and waits for SIGTERM.
LOOP = "ls /proc/self/fd >/fds; trap 'echo ended; exit 15' TERM; echo ready; while :; do sleep 0.02; done"

pytestmark = [pytest.mark.needs_root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


class Engine:
    """Calls a runtime as an engine does."""

    def __init__(self, program: Path, directory: Path, environment: dict[str, str]) -> None:
        self.program = program
        self.directory = directory
        self.environment = environment
        #: Numbers of the descriptors that the runtime inherits besides the standard streams.
        self.inherited: tuple[int, ...] = ()

    def words(self, words: tuple[str, ...]) -> list[str]:
        """The whole command."""
        numbers = " ".join(map(str, self.inherited))
        launcher = [sys.executable, "-IS", "-c", _WITH_DESCRIPTORS, numbers] if numbers else []
        return [*launcher, str(self.program), *words]

    def call(self, *words: str, feed: str = "", apart: bool = False) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a call; both are one pipe, as a shim has it, unless they are apart."""
        done = subprocess.run(
            self.words(words),
            env=self.environment,
            cwd=self.directory,
            input=feed or None,
            stdin=None if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr or ""

    def ok(self, *words: str, feed: str = "") -> None:
        """A call that must succeed and say nothing."""
        code, output, _ = self.call(*words, feed=feed)
        assert (code, output) == (0, ""), (words, code, output)

    def answer(self, *words: str) -> str:
        """What a call prints on stdout; on stderr it must be silent."""
        code, output, error = self.call(*words, apart=True)
        assert (code, error) == (0, ""), (words, code, output, error)
        return output

    def create(self, *words: str, silent: bool = True) -> Path:
        """A create: the container keeps the standard streams, here a file, so the call's own end is waited for."""
        log = self.directory / f"output-{secrets.token_hex(4)}"
        with open(log, "wb") as output:
            done = subprocess.run(
                self.words(words),
                env=self.environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                    timeout=30,
                check=False,
            )
        assert (done.returncode, log.read_text() if silent else "") == (0, ""), words
        return log


@pytest.fixture(params=sorted(PROGRAMS))
def program(request: pytest.FixtureRequest) -> Path:
    path: Path = PROGRAMS[request.param]
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    return path


@pytest.fixture
def new_id(program: Path) -> Iterator[Callable[..., str]]:
    """Makes ids of 64 digits; what has one, below any root, is deleted in the end."""
    made: list[tuple[str, str]] = []

    def make(root: Path | None = None) -> str:
        made.append((secrets.token_hex(32), str(root or "")))
        return made[-1][0]

    yield make
    for container_id, root in made:
        words = [program, *(["--root", root] if root else []), "delete", "--force", container_id]
        subprocess.run(words, capture_output=True, timeout=30, check=True)
    for parent in Path("/sys/fs/cgroup").glob(f"**/cl-replay-{os.getpid()}"):
        parent.rmdir()  # runc leaves it


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Path]:
    """Makes bundles as engines do: a rootfs of their own at a relative path, and an absolute cgroupsPath."""
    rootfs = bundles.make_rootfs(tmp_path / "image")

    def make(container_id: str, script: str = LOOP, terminal: bool = False) -> Path:
        directory = tmp_path / f"bundle-{container_id[:8]}"
        shutil.copytree(rootfs, directory / "rootfs", copy_function=os.link)
        config = bundles.config("sh", "-c", script, terminal=terminal)
        config["root"] = {"path": "rootfs", "readonly": False}
        config["process"]["env"] = ["PATH=/bin", "TERM=xterm"]
        config["linux"]["cgroupsPath"] = f"/cl-replay-{os.getpid()}/{container_id}"
        config["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "devices": [{"allow": False, "access": "rwm"}]}
        (directory / "config.json").write_text(json.dumps(config))
        return directory

    return make


@pytest.fixture
def process_file(tmp_path: Path) -> Callable[..., Path]:
    """Makes files for ``exec --process``."""

    def make(*args: str, terminal: bool = False, **more: Any) -> Path:
        content = {"args": list(args), "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}, **more}
        path = tmp_path / f"runc-process{secrets.token_hex(4)}"
        path.write_text(json.dumps(content | ({"terminal": True} if terminal else {})))
        return path

    return make


@pytest.fixture
def console(tmp_path: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    """Path of a console socket, and what receives the terminal's descriptor over it."""
    path = str(tmp_path / f"conmon-term.{secrets.token_hex(3)}")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    server.settimeout(20)
    received: list[int] = []

    def receive() -> int:
        with server.accept()[0] as connection:
            _, fds, *_ = socket.recv_fds(connection, 4096, 1)
        received.extend(fds)
        assert len(fds) == 1
        return int(fds[0])

    yield path, receive
    for fd in received:
        os.close(fd)
    server.close()


#: What lets a runtime inherit descriptors of given numbers: a listening socket, then pipes.
_WITH_DESCRIPTORS = """
import os, socket, sys
numbers = [int(word) for word in sys.argv[1].split()]
server = socket.socket(socket.AF_UNIX)
server.bind("")
server.listen()
sources = [os.dup2(fd, 500 + at) for at, fd in enumerate([server.fileno(), *os.pipe()])]
for at, number in enumerate(numbers):
    os.dup2(sources[min(at, 1)], number)
for fd in sources:
    os.close(fd)
os.execv(sys.argv[2], sys.argv[2:])
"""


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)


def read_terminal(fd: int, word: str) -> None:
    """Read from a terminal until a word has come."""
    seen = ""
    end = time.monotonic() + 20
    while word not in seen:
        assert time.monotonic() < end, seen
        seen += os.read(fd, 4096).decode()


def memory_limit(container_id: str) -> str:
    for file in ("memory/{}/memory.limit_in_bytes", "{}/memory.max"):
        path = Path("/sys/fs/cgroup") / file.format(f"cl-replay-{os.getpid()}/{container_id}")
        if path.exists():
            return path.read_text().strip()
    raise AssertionError("no memory cgroup")


def alive(pid: int) -> bool:
    """Whether a process runs: as the subreaper's child it may stay a zombie for a while."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


#: ls opens a directory, by the number 3, to list it.
OWN_DESCRIPTORS = "0\n1\n2\n3\n"


@pytest.mark.parametrize("with_log", [False, True], ids=["unknown name", "supports json"])
def test_conmon_and_podman(
    program: Path,
    with_log: bool,
    tmp_path: Path,
    new_id: Callable[..., str],
    bundle: Callable[..., Path],
    process_file: Callable[..., Path],
) -> None:
    conmon = Engine(program, tmp_path, CONMON_ENVIRONMENT)
    podman = Engine(program, tmp_path, PODMAN_ENVIRONMENT)
    container_id = new_id()
    place = bundle(container_id)
    pid_file = place / "pidfile"
    log = ("--log-format=json", "--log", str(place / "oci-log")) if with_log else ()

    assert " version " in podman.answer("--version").splitlines()[0]
    conmon.inherited = (5, 199)
    output = conmon.create(*log, "create", "--bundle", str(place), "--pid-file", str(pid_file), container_id)
    pid = int(pid_file.read_text())
    podman.ok("start", container_id)
    wait_until(lambda: "ready" in output.read_text(), "the container")
    assert (place / "rootfs/fds").read_text() == OWN_DESCRIPTORS

    podman.ok("pause", container_id)
    assert json.loads(podman.answer("state", container_id))["status"] == "paused"
    podman.ok("resume", container_id)

    exec_pid = place / "exec.pid"
    words = ("--process", str(process_file("sh", "-c", "ls /proc/self/fd >/exec-fds; exec sleep 1000")), "--detach")
    conmon.inherited = (5, 199)
    conmon.create(*log, "exec", "--pid-file", str(exec_pid), *words, container_id)
    wait_until(lambda: Path(f"/proc/{exec_pid.read_text()}/comm").read_text() == "sleep\n", "the exec")
    assert (place / "rootfs/exec-fds").read_text() == OWN_DESCRIPTORS

    resources = tmp_path / "resources.json"
    resources.write_text(json.dumps({"memory": {"limit": 96 << 20}, "pids": {"limit": 100}}))
    podman.ok("update", f"--resources={resources}", container_id)
    assert memory_limit(container_id) == str(96 << 20)

    podman.ok("kill", container_id, "15")
    wait_until(lambda: not alive(pid), "the end")
    assert output.read_text().endswith("ended\n")
    podman.ok("delete", "--force", container_id)
    podman.ok("delete", "--force", container_id)
    assert not with_log or (place / "oci-log").read_text() == ""
    assert not alive(int(exec_pid.read_text()))


def test_conmon_with_a_terminal(
    program: Path,
    tmp_path: Path,
    new_id: Callable[..., str],
    bundle: Callable[..., Path],
    process_file: Callable[..., Path],
    console: tuple[str, Callable[[], int]],
) -> None:
    conmon, container_id = Engine(program, tmp_path, CONMON_ENVIRONMENT), new_id()
    place, (path, receive) = bundle(container_id, LOOP, terminal=True), console
    words = ("--bundle", str(place), "--pid-file", str(place / "pidfile"), "--console-socket", path)
    conmon.ok("create", *words, container_id)
    terminal = receive()
    conmon.ok("start", container_id)
    read_terminal(terminal, "ready")
    words = ("--pid-file", str(place / "exec.pid"), "--process", str(process_file("tty", terminal=True)), "--detach")
    conmon.ok("exec", *words, "--tty", "--console-socket", path, container_id)
    read_terminal(receive(), "/dev/pts/1")
    conmon.ok("kill", container_id, "15")
    read_terminal(terminal, "ended")
    conmon.ok("delete", "--force", container_id)


def test_conmon_preserves_descriptors(
    program: Path, tmp_path: Path, new_id: Callable[..., str], bundle: Callable[..., Path]
) -> None:
    conmon, container_id = Engine(program, tmp_path, CONMON_ENVIRONMENT), new_id()
    place = bundle(container_id)
    conmon.inherited = (3, 4, 199)
    words = ("--bundle", str(place), "--pid-file", str(place / "pidfile"), "--preserve-fds", "2")
    output = conmon.create("create", *words, container_id)
    conmon.ok("start", container_id)
    wait_until(lambda: "ready" in output.read_text(), "the container")
    assert (place / "rootfs/fds").read_text() == "0\n1\n2\n3\n4\n5\n"
    conmon.ok("delete", "--force", container_id)


def test_conmon_hears_of_a_failed_create_on_stderr_and_in_the_log(
    program: Path, tmp_path: Path, new_id: Callable[..., str], bundle: Callable[..., Path]
) -> None:
    conmon, container_id = Engine(program, tmp_path, CONMON_ENVIRONMENT), new_id()
    place = bundle(container_id)
    config = json.loads((place / "config.json").read_text())
    config["process"]["args"] = ["no-such-program"]
    (place / "config.json").write_text(json.dumps(config))
    words = ("create", "--bundle", str(place), "--pid-file", str(place / "pidfile"), container_id)
    code, output, error = conmon.call(*words, apart=True)
    assert (code, output) == (1, "")
    assert "executable file not found in $PATH" in error
    log = place / "oci-log"
    code, _, _ = conmon.call("--log-format=json", "--log", str(log), *words, apart=True)
    assert code == 1
    (line,) = [json.loads(line) for line in log.read_text().splitlines() if '"error"' in line]
    assert line["level"] == "error" and "executable file not found in $PATH" in line["msg"]


def test_containerds_shim(
    program: Path,
    tmp_path: Path,
    new_id: Callable[..., str],
    bundle: Callable[..., Path],
    process_file: Callable[..., Path],
) -> None:
    shim, root = Engine(program, tmp_path, SHIM_ENVIRONMENT), tmp_path / "runc/k8s.io"
    container_id = new_id(root)
    place = bundle(container_id)
    all_calls = ("--root", str(root), "--log", str(place / "log.json"), "--log-format", "json")
    shim.inherited = (3,)
    words = ("--bundle", str(place), "--pid-file", str(place / "init.pid"))
    output = shim.create(*all_calls, "create", *words, container_id)
    pid = int((place / "init.pid").read_text())
    shim.ok(*all_calls, "start", container_id)
    wait_until(lambda: "ready" in output.read_text(), "the container")
    assert (place / "rootfs/fds").read_text() == OWN_DESCRIPTORS

    process = process_file("sh", "-c", "ls /proc/self/fd >/exec-fds; exec sleep 1000")
    words = ("--process", str(process), "--detach", "--pid-file", str(place / "one.pid"))
    shim.create(*all_calls, "exec", *words, container_id)
    exec_pid = int((place / "one.pid").read_text())
    wait_until(lambda: Path(f"/proc/{exec_pid}/comm").read_text() == "sleep\n", "the exec")
    assert (place / "rootfs/exec-fds").read_text() == OWN_DESCRIPTORS

    pids = json.loads(shim.answer(*all_calls, "ps", "--format", "json", container_id))
    assert {pid, exec_pid} <= set(pids)
    shim.ok(*all_calls, "pause", container_id)
    shim.ok(*all_calls, "resume", container_id)
    # containerd 1.6 and docker; containerd 2.
    shim.ok(*all_calls, "update", "--resources", "-", container_id, feed='{"memory":{"limit":100663296}}')
    assert memory_limit(container_id) == "100663296"
    shim.ok(*all_calls, "update", "--resources=-", container_id, feed='{"memory":{"limit":134217728}}')
    assert memory_limit(container_id) == "134217728"

    shim.ok(*all_calls, "kill", container_id, "9")
    wait_until(lambda: not alive(pid), "the end")
    shim.call(*all_calls, "kill", "--all", container_id, "9")
    shim.ok(*all_calls, "delete", container_id)
    code, _, _ = shim.call(*all_calls, "delete", "--force", container_id)
    assert code in (0, 1)
    assert not alive(exec_pid)
    assert not (root / container_id).exists()


def test_containerds_shim_with_a_terminal(
    program: Path,
    tmp_path: Path,
    new_id: Callable[..., str],
    bundle: Callable[..., Path],
    process_file: Callable[..., Path],
    console: tuple[str, Callable[[], int]],
) -> None:
    shim, root = Engine(program, tmp_path, SHIM_ENVIRONMENT), tmp_path / "runc/default"
    container_id, (path, receive) = new_id(root), console
    place = bundle(container_id, terminal=True)
    all_calls = ("--root", str(root), "--log", str(place / "log.json"), "--log-format", "json")
    shim.inherited = (3,)
    words = ("--bundle", str(place), "--pid-file", str(place / "init.pid"), "--console-socket", path)
    shim.ok(*all_calls, "create", *words, container_id)
    terminal = receive()
    shim.ok(*all_calls, "start", container_id)
    read_terminal(terminal, "ready")
    words = ("--process", str(process_file("tty", terminal=True)), "--console-socket", path, "--detach")
    shim.ok(*all_calls, "exec", *words, "--pid-file", str(place / "one.pid"), container_id)
    read_terminal(receive(), "/dev/pts/1")
    shim.ok(*all_calls, "kill", "--all", container_id, "9")
    wait_until(lambda: not alive(int((place / "init.pid").read_text())), "the end")
    shim.ok(*all_calls, "delete", container_id)


def test_the_shims_failed_exec_is_in_its_log(
    program: Path,
    tmp_path: Path,
    new_id: Callable[..., str],
    bundle: Callable[..., Path],
    process_file: Callable[..., Path],
) -> None:
    shim, root = Engine(program, tmp_path, SHIM_ENVIRONMENT), tmp_path / "runc/moby"
    container_id = new_id(root)
    place = bundle(container_id)
    all_calls = ("--root", str(root), "--log", str(place / "log.json"), "--log-format", "json")
    shim.create(*all_calls, "create", "--bundle", str(place), "--pid-file", str(place / "init.pid"), container_id)
    shim.ok(*all_calls, "start", container_id)
    words = ("--process", str(process_file("no-such-program")), "--detach", "--pid-file", str(place / "one.pid"))
    code, _, _ = shim.call(*all_calls, "exec", *words, container_id)
    assert code == 255
    found = [json.loads(line) for line in (place / "log.json").read_text().splitlines()]
    assert any("executable file not found in $PATH" in entry["msg"] for entry in found if entry["level"] == "error")
    shim.ok(*all_calls, "delete", "--force", container_id)


@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["", "debug"])
def test_buildah(
    program: Path, debug: tuple[str, ...], tmp_path: Path, new_id: Callable[..., str], bundle: Callable[..., Path]
) -> None:
    buildah, container_id = Engine(program, tmp_path, {"PATH": "/usr/bin:/bin", "HOME": "/root"}), new_id()
    place = bundle(container_id, "ls /proc/self/fd >/fds; exit 3")
    config = json.loads((place / "config.json").read_text())
    del config["linux"]["cgroupsPath"]
    (place / "config.json").write_text(json.dumps(config))
    words = ("create", "--bundle", str(place), "--pid-file", str(place / "pid"), "--no-pivot", container_id)
    buildah.inherited = tuple(range(8, 14))
    buildah.create(*debug, *words, silent=not debug)
    pid = int((place / "pid").read_text())
    assert json.loads(buildah.answer("state", container_id))["status"] == "created"
    assert json.loads(buildah.answer("state", container_id))["pid"] == pid
    buildah.ok("start", container_id)
    wait_until(lambda: json.loads(buildah.answer("state", container_id))["status"] == "stopped", "the end")
    buildah.ok("delete", container_id)
    assert (place / "rootfs/fds").read_text() == OWN_DESCRIPTORS


def test_without_a_path_a_container_is_below_its_callers_cgroup(
    program: Path, tmp_path: Path, new_id: Callable[..., str], bundle: Callable[..., Path]
) -> None:
    """What limits a build, say, limits what it runs."""
    container_id = new_id()
    place = bundle(container_id)
    config = json.loads((place / "config.json").read_text())
    del config["linux"]["cgroupsPath"]
    (place / "config.json").write_text(json.dumps(config))
    groups = [Path(f"/sys/fs/cgroup/{name}/cl-replay-own-{os.getpid()}") for name in ("pids", "cpu")]
    if not all(group.parent.is_dir() for group in groups):
        pytest.skip("this host lacks the pids and cpu hierarchies of cgroup v1")
    for group in groups:
        group.mkdir()
    try:
        join = 'for group; do echo 0 >"$group/cgroup.procs"; done'
        script = f"{join}; exec {program} create --bundle {place} {container_id}"
        with open(tmp_path / "output", "wb") as output:
            words = ["sh", "-c", script, "sh", *map(str, groups)]
            subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=30, check=True)
        for group in groups:
            assert (group / container_id / "cgroup.procs").read_text() != ""
        Engine(program, tmp_path, {}).ok("delete", "--force", container_id)
        assert [list(group.glob("*/")) for group in groups] == [[], []]
    finally:
        Engine(program, tmp_path, {}).call("delete", "--force", container_id)
        for group in groups:
            group.rmdir()


def test_buildkit(program: Path, tmp_path: Path, new_id: Callable[..., str], bundle: Callable[..., Path]) -> None:
    buildkit, container_id = Engine(program, tmp_path, SHIM_ENVIRONMENT), new_id()
    place = bundle(container_id, "ls /proc/self/fd >/fds; echo built; exit 3")
    buildkit.inherited = tuple(range(10, 22))
    words = ("--log", str(tmp_path / "log"), "--log-format", "json", "run", "--bundle", str(place), container_id)
    assert buildkit.call(*words, apart=True) == (3, "built\n", "")
    assert (place / "rootfs/fds").read_text() == OWN_DESCRIPTORS


def test_crio(
    program: Path,
    tmp_path: Path,
    new_id: Callable[..., str],
    bundle: Callable[..., Path],
    process_file: Callable[..., Path],
) -> None:
    crio, conmon = (Engine(program, tmp_path, environment) for environment in (SHIM_ENVIRONMENT, CONMON_ENVIRONMENT))
    root = tmp_path / "crio-x"
    container_id = new_id(root)
    place = bundle(container_id)
    crio.answer("--version")
    conmon.inherited = (5,)
    words = ("create", "--bundle", str(place), "--pid-file", str(place / "pid"), container_id)
    output = conmon.create(f"--root={root}", *words)
    below = ("--root", str(root))
    crio.ok(*below, "start", container_id)
    wait_until(lambda: "ready" in output.read_text(), "the container")
    process = str(process_file("sh", "-c", "echo streamed; exit 4"))
    assert crio.call(*below, "exec", "--process", process, container_id, apart=True) == (4, "streamed\n", "")
    words = ("--pid-file", str(place / "exec.pid"), "--process", process, "--detach", container_id)
    done = conmon.call(*below, "exec", *words)
    assert done[0] == 0
    crio.ok(*below, "update", "--resources", "-", container_id, feed='{"memory":{"limit":100663296}}')
    assert memory_limit(container_id) == "100663296"
    crio.ok(*below, "pause", container_id)
    assert json.loads(crio.answer(*below, "state", container_id))["status"] == "paused"
    crio.ok(*below, "resume", container_id)
    os.kill(int((place / "pid").read_text()), 9)  # it never asks the runtime to
    wait_until(lambda: json.loads(crio.answer(*below, "state", container_id))["status"] == "stopped", "the end")
    crio.ok(*below, "delete", "--force", container_id)


def test_features_without_any_global_option(program: Path, tmp_path: Path) -> None:
    if program.name == "runc" and b"features" not in subprocess.run([program, "--help"], capture_output=True).stdout:
        pytest.skip("this runc has no features")
    found = json.loads(Engine(program, tmp_path, SHIM_ENVIRONMENT).answer("features"))
    assert found["ociVersionMax"] >= "1.0.2"
    assert "run" not in found and "bind" in found["mountOptions"]
