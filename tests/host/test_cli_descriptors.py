"""What the command line takes from its caller and hands back: descriptors, sockets, pidfd and console."""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli

MARK = f"cl-d-{os.getpid()}"
SLEEP = ("sleep", "1000")
#: Prints number and target of each descriptor of the shell itself; what its own globbing opens has no target left.
LIST = 'for f in /proc/$$/fd/*; do t=$(readlink $f) && echo "${f##*/} $t"; done'

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Caller:
    """Calls a runtime with descriptors at chosen numbers, as systemd and conmon do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def file(self, name: str) -> int:
        """A descriptor of a new file, high up."""
        fd = os.open(self.directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        high = os.dup(fd)
        os.close(fd)
        return high

    def __call__(
        self,
        words: list[str],
        fds: Mapping[int, int],
        environment: Mapping[str, str] | None = None,
        *,
        listen: int = 0,
    ) -> tuple[int, str, str]:
        """Run ``words`` with ``fds`` (number there -> number here); ``listen`` sets LISTEN_FDS and LISTEN_PID."""
        high = {number: os.dup2(fd, 500 + number) for number, fd in fds.items()}

        def place() -> None:
            for number in range(3, 40):
                with contextlib.suppress(OSError):
                    os.close(number)
            for number, fd in high.items():
                os.dup2(fd, number)
            if listen:
                os.environ["LISTEN_PID"] = str(os.getpid())

        program = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *words] if listen else words
        more = {"LISTEN_FDS": str(listen)} if listen else {}
        errors = self.directory / "stderr"
        output = self.directory / "stdout"
        with open(errors, "wb") as err, open(output, "wb") as out:
            done = subprocess.run(
                program,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={"PATH": os.environ["PATH"], **(environment or {}), **more},
                preexec_fn=place,
                close_fds=False,
                timeout=30,
                check=False,
            )
        for fd in high.values():
            os.close(fd)
        return done.returncode, output.read_text(), errors.read_text()


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    return Caller(tmp_path)


def listed(text: str) -> dict[int, str]:
    return {int(number): target for number, target in (line.split(" ", 1) for line in text.splitlines())}


def test_preserved_descriptors_reach_the_process_under_their_numbers_and_nothing_above(
    either: Cli, bundles: Bundles, caller: Caller, tmp_path: Path
) -> None:
    fds = {number: caller.file(f"file{number}") for number in (3, 4, 5, 9)}
    words = either.words("run", "--preserve-fds", "2", "--bundle", bundles("sh", "-c", LIST), either.new_id())
    code, out, err = caller(words, fds)
    assert (code, err) == (0, "")
    seen = listed(out)
    assert {n: t for n, t in seen.items() if n > 2 and t.startswith(str(tmp_path))} == {
        3: str(tmp_path / "file3"),
        4: str(tmp_path / "file4"),
    }
    for fd in fds.values():
        os.close(fd)


def test_exec_preserves_descriptors_too(either: Cli, bundles: Bundles, caller: Caller, tmp_path: Path) -> None:
    one = either.new_id()
    either.ok("run", "--detach", "--bundle", bundles(*SLEEP), one)
    fds = {number: caller.file(f"file{number}") for number in (3, 4, 5)}
    code, out, err = caller(either.words("exec", "--preserve-fds", "2", one, "sh", "-c", LIST), fds)
    assert (code, err) == (0, "")
    assert {n: t for n, t in listed(out).items() if "file" in t} == {
        3: str(tmp_path / "file3"),
        4: str(tmp_path / "file4"),
    }
    for fd in fds.values():
        os.close(fd)


def test_preserved_descriptors_survive_create_and_start_with_a_user_namespace_and_a_script(
    cli: Cli, bundles: Bundles, caller: Caller, tmp_path: Path
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"]["uidMappings"] = config["linux"]["gidMappings"] = [
            {"containerID": 0, "hostID": 100000, "size": 65536}
        ]

    one = cli.new_id()
    fd = caller.file("file3")
    bundle = bundles("sh", "-c", "echo written >&3", change=change)
    assert caller(cli.words("create", "--preserve-fds", "1", "--bundle", bundle, one), {3: fd}) == (0, "", "")
    cli.ok("start", one)
    cli.wait_for(one, "stopped")
    assert (tmp_path / "file3").read_text() == "written\n"
    os.close(fd)


def test_a_missing_descriptor_is_named_and_nothing_is_made(cli: Cli, bundles: Bundles, caller: Caller) -> None:
    """runc has the same words, and at times passes what its own language runtime has opened at that number."""
    fd = caller.file("file3")
    words = cli.words("create", "--preserve-fds", "2", "--bundle", bundles(*SLEEP), cli.new_id())
    code, out, err = caller(words, {3: fd})
    assert (code, out) == (1, "")
    assert "unable to stat preserved-fd 1 (of 2)" in err
    assert not cli.root.exists() or os.listdir(cli.root) == []
    os.close(fd)


def test_a_descriptor_of_ours_is_not_taken_for_one_of_the_caller(
    cli: Cli, bundles: Bundles, caller: Caller, tmp_path: Path
) -> None:
    """The log is opened before the option is looked at, and gets the lowest free number: the promised one."""
    words = cli.words(
        "run", "--preserve-fds", "1", "--bundle", bundles("true"), cli.new_id(), options=("--log", str(tmp_path / "l"))
    )
    code, _, err = caller(words, {})
    assert code == 1
    assert "unable to stat preserved-fd 0 (of 1): descriptor 3: it is not open" in err


def test_without_the_option_no_descriptor_reaches_the_process(either: Cli, bundles: Bundles, caller: Caller) -> None:
    fds = {number: caller.file(f"file{number}") for number in (3, 4, 20)}
    code, out, err = caller(either.words("run", "--bundle", bundles("sh", "-c", LIST), either.new_id()), fds)
    assert (code, err) == (0, "")
    assert "file" not in out
    for fd in fds.values():
        os.close(fd)


def test_sockets_to_listen_on_come_first_and_are_announced(
    either: Cli, bundles: Bundles, caller: Caller, tmp_path: Path
) -> None:
    fds = {number: caller.file(f"file{number}") for number in (3, 4, 5, 6)}
    script = f'{LIST}; echo 90 "$LISTEN_FDS"; echo 91 "$LISTEN_PID $$"'
    words = either.words("run", "--preserve-fds", "1", "--bundle", bundles("sh", "-c", script), either.new_id())
    code, out, err = caller(words, fds, listen=2)
    assert (code, err) == (0, "")
    seen = listed(out)
    assert [seen.get(n) for n in (3, 4, 5)] == [str(tmp_path / f"file{n}") for n in (3, 4, 5)]
    assert str(tmp_path / "file6") not in seen.values()
    assert (seen[90], seen[91]) == ("2", "1 1")
    for fd in fds.values():
        os.close(fd)


def test_the_listening_pid_is_the_one_that_the_process_itself_sees(
    cli: Cli, bundles: Bundles, caller: Caller
) -> None:
    def host_pids(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "pid"]
        config["process"]["env"] += ["LISTEN_PID=77", "LISTEN_FDS=88"]

    fd = caller.file("file3")
    bundle = bundles("sh", "-c", 'test "$LISTEN_PID" = $$ && echo same $LISTEN_FDS; env', change=host_pids)
    code, out, err = caller(cli.words("run", "--bundle", bundle, cli.new_id()), {3: fd}, listen=1)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "same 1"
    assert out.count("LISTEN_") == 2
    os.close(fd)


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, "of another process"),
        ({"LISTEN_FDS": "1"}, "of nobody"),
        ({"LISTEN_FDS": "x", "LISTEN_PID": "self"}, "no number"),
    ],
)
def test_sockets_that_are_not_for_us_stay_away(
    cli: Cli, bundles: Bundles, caller: Caller, environment: dict[str, str], what: str
) -> None:
    fd = caller.file("file3")
    words = cli.words("run", "--bundle", bundles("sh", "-c", f"{LIST}; env"), cli.new_id())
    if environment.get("LISTEN_PID") == "self":
        del environment["LISTEN_PID"]
        words = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *words]
    code, out, _ = caller(words, {3: fd}, environment)
    assert code == 0, what
    assert "file3" not in out
    assert "LISTEN_" not in out
    os.close(fd)


def test_a_socket_that_was_promised_and_is_not_open_is_named(cli: Cli, bundles: Bundles, caller: Caller) -> None:
    fd = caller.file("file3")
    code, out, err = caller(cli.words("run", "--bundle", bundles("true"), cli.new_id()), {3: fd}, listen=2)
    assert (code, out) == (1, "")
    assert "unable to pass the sockets of LISTEN_FDS: descriptor 4: it is not open" in err
    os.close(fd)


# -- sockets that get a descriptor from us ---------------------------------------------------------------------


class Receiver:
    """A unix socket that takes one descriptor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(path))
        self.socket.listen()
        self.socket.settimeout(10)

    def take(self) -> tuple[bytes, int]:
        """The message and the descriptor that somebody has sent."""
        connection, _ = self.socket.accept()
        with connection:
            data, rights, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
        fds = array.array("i", rights[0][2])
        assert len(fds) == 1
        return data, fds[0]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Callable[[str], Receiver]]:
    with contextlib.ExitStack() as stack:

        def make(name: str) -> Receiver:
            made = Receiver(tmp_path / name)
            stack.enter_context(made.socket)
            return made

        yield make


def test_the_pidfd_of_the_init_goes_over_the_pidfd_socket(
    cli: Cli, bundles: Bundles, receiver: Callable[[str], Receiver]
) -> None:
    one = cli.new_id()
    taker = receiver("pidfd")
    cli.ok("create", "--pidfd-socket", str(taker.path), "--bundle", bundles(*SLEEP), one)
    message, pidfd = taker.take()
    assert message == b"standard"
    cli.ok("start", one)
    assert not select.select([pidfd], [], [], 0)[0]
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert select.select([pidfd], [], [], 10)[0]
    cli.wait_for(one, "stopped")
    os.close(pidfd)


def test_the_pidfd_of_an_exec_goes_over_the_pidfd_socket(
    cli: Cli, bundles: Bundles, receiver: Callable[[str], Receiver], tmp_path: Path
) -> None:
    one = cli.new_id()
    cli.ok("run", "--detach", "--bundle", bundles(*SLEEP), one)
    taker = receiver("pidfd")
    pid_file = tmp_path / "pid"
    words = ("exec", "--detach", "--pid-file", str(pid_file), "--pidfd-socket", str(taker.path), one, "sleep", "100")
    cli.ok(*words)
    message, pidfd = taker.take()
    assert message == b"setns"
    info = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    assert f"Pid:\t{pid_file.read_text()}\n" in info
    os.close(pidfd)


def test_run_in_the_foreground_sends_the_pidfd_too(
    cli: Cli, bundles: Bundles, receiver: Callable[[str], Receiver]
) -> None:
    taker = receiver("pidfd")
    assert cli("run", "--pidfd-socket", str(taker.path), "--bundle", bundles("true"), cli.new_id()).code == 0
    message, pidfd = taker.take()
    assert message == b"standard"
    os.close(pidfd)


@pytest.mark.parametrize("how", ["options", "file", "conmon"])
def test_the_console_of_a_detached_exec_goes_over_the_console_socket(
    cli: Cli, bundles: Bundles, receiver: Callable[[str], Receiver], tmp_path: Path, how: str
) -> None:
    one = cli.new_id()
    cli.ok("run", "--detach", "--bundle", bundles(*SLEEP), one)
    taker = receiver("console")
    process = tmp_path / "process.json"
    process.write_text('{"args": ["tty"], "cwd": "/", "env": ["PATH=/bin"], "terminal": true}')
    words = ["exec", "--detach", "--console-socket", str(taker.path), "--pid-file", str(tmp_path / "pid")]
    words += ["--tty"] if how != "file" else []
    words += ["--process", str(process)] if how != "options" else []
    cli.ok(*words, one, *(["tty"] if how == "options" else []))
    _, master = taker.take()
    assert select.select([master], [], [], 10)[0]
    assert os.read(master, 100).startswith(b"/dev/pts/")
    os.close(master)


@pytest.mark.parametrize(
    ("verb", "terminal", "words", "phrase"),
    [
        ("create", False, ("--console-socket", "/s"), "cannot use console socket if runc will not detach"),
        ("create", True, (), "cannot allocate tty if runc will detach without setting console socket"),
        ("run", True, ("--console-socket", "/s"), "cannot use console socket if runc will not detach or allocate tty"),
        ("run", True, ("--detach",), "cannot allocate tty if runc will detach without setting console socket"),
        ("run", False, ("--detach", "--console-socket", "/s"), "cannot use console socket if runc will not detach"),
    ],
)
def test_a_console_socket_that_does_not_fit_is_refused_in_runcs_words(
    either: Cli, bundles: Bundles, verb: str, terminal: bool, words: tuple[str, ...], phrase: str
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["terminal"] = terminal

    outcome = either(verb, *words, "--bundle", bundles(*SLEEP, change=change), either.new_id())
    assert outcome.code == 1
    assert phrase in outcome.err


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (("--console-socket", "/s"), "cannot use console socket if runc will not detach or allocate tty"),
        (("--console-socket", "/s", "-t"), "cannot use console socket if runc will not detach or allocate tty"),
        (("--console-socket", "/s", "-d"), "cannot use console socket if runc will not detach or allocate tty"),
        (("-d", "-t"), "cannot allocate tty if runc will detach without setting console socket"),
    ],
)
def test_exec_refuses_a_console_socket_that_does_not_fit_in_runcs_words(
    either: Cli, bundles: Bundles, words: tuple[str, ...], phrase: str
) -> None:
    one = either.new_id()
    either.ok("run", "--detach", "--bundle", bundles(*SLEEP), one)
    outcome = either("exec", *words, one, "true")
    assert outcome.code == 255
    assert phrase in outcome.err
