"""``run`` and ``exec`` with a terminal: in the foreground on a caller's terminal, and over a console socket."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli, corelaunch_path
from terminal_window import Window

MARK = f"cl-ct-{os.getpid()}"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def terminal(config: dict[str, Any]) -> None:
    """A change of a config."""
    config["process"]["terminal"] = True


@pytest.fixture
def windows() -> Iterator[list[Window]]:
    opened: list[Window] = []
    yield opened
    for window in opened:
        window.close()


def test_run_gives_the_container_a_terminal_of_its_own(either: Cli, bundles: Bundles, windows: list[Window]) -> None:
    window = Window(either.words("run", "--bundle", bundles("sh", change=terminal), either.new_id()), 33, 99)
    windows.append(window)
    window.expect("# ")
    window.type("sleep 0.5; tty; stty size\n")
    window.expect(r"/dev/(pts/0|console)\r+\n33 99\r+\n")
    window.type("exit 7\n")
    assert window.end() == 7
    assert termios.tcgetattr(window.slave) == window.before


def test_a_resize_of_the_window_reaches_the_container(either: Cli, bundles: Bundles, windows: list[Window]) -> None:
    script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"
    window = Window(either.words("run", "--bundle", bundles("sh", "-c", script, change=terminal), either.new_id()))
    windows.append(window)
    window.expect("ready")
    window.resize(50, 132)
    window.process.send_signal(signal.SIGWINCH)
    window.expect("50 132")
    assert window.end() == 0


def test_keys_that_mean_signals_reach_the_container_and_not_the_runtime(
    either: Cli, bundles: Bundles, windows: list[Window]
) -> None:
    script = "trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    window = Window(either.words("run", "--bundle", bundles("sh", "-c", script, change=terminal), either.new_id()))
    windows.append(window)
    window.expect("ready")
    window.type("\x03")
    window.expect("interrupted")
    assert window.end() == 5
    assert termios.tcgetattr(window.slave) == window.before


def test_the_terminal_is_restored_when_a_signal_ends_the_container(
    either: Cli, bundles: Bundles, windows: list[Window]
) -> None:
    script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    window = Window(either.words("run", "--bundle", bundles("sh", "-c", script, change=terminal), either.new_id()))
    windows.append(window)
    window.expect("ready")
    window.process.terminate()
    assert window.end() == 3
    assert termios.tcgetattr(window.slave) == window.before


def test_much_output_is_complete(either: Cli, bundles: Bundles, windows: list[Window]) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo line-$i; i=$((i+1)); done; echo end"
    window = Window(either.words("run", "--bundle", bundles("sh", "-c", script, change=terminal), either.new_id()))
    windows.append(window)
    window.expect("line-0\r\n")
    for number in range(500, 3000, 500):
        window.expect(f"line-{number}\r\n")
    window.expect("end\r\n")
    assert window.end() == 0


def test_exec_with_a_terminal(either: Cli, bundles: Bundles, windows: list[Window]) -> None:
    one = either.new_id()
    either.ok("run", "--detach", "--bundle", bundles("sleep", "1000"), one)
    window = Window(either.words("exec", "--tty", one, "sh"), 40, 100)
    windows.append(window)
    window.expect("# ")
    window.type("sleep 0.5; tty; stty size; exit 4\n")  # runc sets the size some time after the start
    window.expect(r"/dev/pts/\d+\r+\n40 100\r+\n")
    assert window.end() == 4
    assert termios.tcgetattr(window.slave) == window.before


class ConsoleSocket:
    """The receiving end of ``--console-socket``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(path)
        self.socket.listen()
        self.socket.settimeout(15)

    def receive(self) -> tuple[int, bytes]:
        """The pty master, and the bytes that came with it."""
        connection, _ = self.socket.accept()
        with connection:
            data, fds, _, _ = socket.recv_fds(connection, 4096, 4)
        assert len(fds) == 1
        return fds[0], data

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleSocket]:
    made = ConsoleSocket(str(tmp_path / "console"))
    yield made
    made.close()


def read_until(master: int, pattern: bytes) -> bytes:
    data = b""
    while not re.search(pattern, data):
        assert select.select([master], [], [], 15)[0], data
        data += os.read(master, 4096)
    return data


def test_create_hands_the_master_over_the_console_socket(either: Cli, bundles: Bundles, console: ConsoleSocket) -> None:
    one = either.new_id()
    bundle = bundles("sh", "-c", "tty; exec sleep 1000", change=terminal)
    with subprocess.Popen(either.words("create", "--bundle", bundle, "--console-socket", console.path, one)) as create:
        master, name = console.receive()
        assert create.wait(timeout=15) == 0
    assert name
    either.ok("start", one)
    read_until(master, rb"/dev/(pts/0|console)")
    os.close(master)


def test_exec_hands_the_master_over_the_console_socket(either: Cli, bundles: Bundles, console: ConsoleSocket) -> None:
    one = either.new_id()
    either.ok("run", "--detach", "--bundle", bundles("sleep", "1000"), one)
    words = either.words("exec", "--tty", "--detach", "--console-socket", console.path, one, "tty")
    with subprocess.Popen(words) as process:
        master, _ = console.receive()
        assert process.wait(timeout=15) == 0
    read_until(master, rb"/dev/pts/\d+")
    os.close(master)


def test_a_terminal_without_anybody_to_hold_it_is_refused(either: Cli, bundles: Bundles) -> None:
    bundle = bundles("sh", change=terminal)
    for words in (["create"], ["run", "--detach"]):
        outcome = either(*words, "--bundle", bundle, either.new_id())
        assert outcome.code == 1
        assert "cannot allocate tty if runc will detach without setting console socket" in outcome.err
    assert either.ok("list", "-q") == ""


def test_a_console_socket_without_a_terminal_is_refused(either: Cli, bundles: Bundles, console: ConsoleSocket) -> None:
    bundle = bundles("sh")
    for words in (["create"], ["run", "--detach"], ["run"]):
        outcome = either(*words, "--bundle", bundle, "--console-socket", console.path, either.new_id())
        assert outcome.code == 1
        assert "cannot use console socket if runc will not detach or allocate tty" in outcome.err
    assert either.ok("list", "-q") == ""


@pytest.fixture
def corelaunch(tmp_path: Path) -> Iterator[Cli]:
    made = Cli(corelaunch_path(), tmp_path / "root", MARK)
    yield made
    made.delete_all()


def test_a_terminal_works_in_a_pipe_too_with_plain_newlines_and_end_of_file(corelaunch: Cli, bundles: Bundles) -> None:
    """Beyond runc, which wants a terminal of the caller: scripts may run what ``spec`` wrote."""
    bundle = bundles("sh", "-c", "stty -echo; echo ready; cat; echo end", change=terminal)
    with subprocess.Popen(
        corelaunch.words("run", "--bundle", bundle, corelaunch.new_id()),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        out, _ = process.communicate(b"one\ntwo\n", timeout=15)
    assert out == b"one\ntwo\nend\n"
    assert process.returncode == 0


def test_the_terminal_has_its_size_from_the_first_moment_on(
    corelaunch: Cli, bundles: Bundles, windows: list[Window]
) -> None:
    """Beyond runc, whose container may see 0 0 first."""
    words = corelaunch.words("run", "--bundle", bundles("stty", "size", change=terminal), corelaunch.new_id())
    window = Window(words, 31, 97)
    windows.append(window)
    window.expect("31 97\r\n")
    assert window.end() == 0
