"""The foreground terminal: proxy, raw mode, window size, and signals that are passed on."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corelaunch.cli.foreground import SignalForwarding, forwardable
from corelaunch.terminal import Proxy, RawTerminal, copy_size, plain_newlines

from .fake_runtime import FakeProcess

TREE = Path(__file__).parents[3]


class Session:
    """A shell command on a pty of its own, as an init leaves it: the command leads the session of the terminal."""

    def __init__(self, command: str) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execv("/bin/sh", ["sh", "-c", command])
        self.pidfd = os.pidfd_open(self.pid)

    def status(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def proxied(session: Session, given: bytes, *, close_input: bool = True) -> bytes:
    """What the proxy writes to its stdout when it is given these bytes on its stdin."""
    stdin, feed = os.pipe()
    output, stdout = os.pipe()
    os.write(feed, given)
    if close_input:
        os.close(feed)
    child = os.fork()
    if child == 0:
        os.close(output)
        try:
            Proxy(session.master, session.pidfd, stdin, stdout).run()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(stdout)
    result = b""
    while data := os.read(output, 65536):
        result += data
    assert os.waitpid(child, 0)[1] == 0
    for fd in (stdin, output, *([] if close_input else [feed])):
        os.close(fd)
    return result


def test_all_output_arrives_although_the_process_has_already_ended() -> None:
    session = Session("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done; exit 3")
    plain_newlines(session.master)
    assert proxied(session, b"") == b"".join(b"%d\n" % i for i in range(20000))
    assert session.status() == 3


def test_input_reaches_the_terminal_and_its_end_is_an_end_of_file() -> None:
    session = Session("stty -echo; echo ready; cat; echo done")
    time.sleep(0.3)
    out = proxied(session, b"one\ntwo\n")
    assert b"one\r\ntwo\r\n" in out
    assert out.endswith(b"done\r\n")
    assert session.status() == 0


def test_a_megabyte_goes_through_both_ways_without_a_deadlock() -> None:
    session = Session("stty raw -echo; echo ready; head -c 1000000")
    os.read(session.master, 100)
    data = bytes(range(256)) * 3907
    out = subprocess.run(
        [sys.executable, "-c", PROXY_PROGRAM, str(session.master), str(session.pidfd)],
        input=data,
        capture_output=True,
        pass_fds=(session.master, session.pidfd),
        timeout=30,
        check=True,
        env={"PYTHONPATH": str(TREE)},
    ).stdout
    assert out == data[:1000000]
    assert session.status() == 0


PROXY_PROGRAM = "import sys; from corelaunch.terminal import Proxy; Proxy(int(sys.argv[1]), int(sys.argv[2])).run()"


def test_the_loop_ends_with_the_process_although_a_grandchild_keeps_the_terminal_open() -> None:
    session = Session("trap '' HUP; sleep 30 & echo started $!; exit 0")
    out = proxied(session, b"", close_input=False)
    assert out.startswith(b"started ")
    os.kill(int(out.split()[1]), signal.SIGKILL)  # it is still there: it was not waited for
    assert session.status() == 0


def test_a_reader_that_goes_away_does_not_stop_the_process() -> None:
    session = Session("i=0; while [ $i -lt 9999 ]; do echo 01234567890123456789; i=$((i+1)); done; exit 4")
    stdin, feed = os.pipe()
    output, stdout = os.pipe()
    os.close(output)
    Proxy(session.master, session.pidfd, stdin, stdout).run()
    for fd in (stdin, feed, stdout):
        os.close(fd)
    assert session.status() == 4


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Master and slave of a pty."""
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_raw_mode_is_undone_also_after_an_exception(terminal: tuple[int, int]) -> None:
    _, slave = terminal
    before = termios.tcgetattr(slave)
    with pytest.raises(ZeroDivisionError), RawTerminal(slave):
        flags = termios.tcgetattr(slave)
        assert not flags[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
        assert not flags[1] & termios.OPOST
        assert not flags[0] & (termios.ICRNL | termios.IXON)
        raise ZeroDivisionError
    assert termios.tcgetattr(slave) == before


def test_raw_mode_of_what_is_no_terminal_changes_nothing(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file, RawTerminal(file.fileno()):
        pass


def size(fd: int) -> tuple[int, int]:
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))
    return rows, columns


def test_the_window_size_is_copied_and_an_unset_one_is_not(terminal: tuple[int, int]) -> None:
    _, slave = terminal
    other_master, other_slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    copy_size(slave, other_master)
    assert size(other_slave) == (33, 77)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, b"\0" * 8)
    copy_size(slave, other_master)
    assert size(other_slave) == (33, 77)
    os.close(other_master)
    os.close(other_slave)


def test_sigwinch_resizes_the_container_and_is_not_passed_on(terminal: tuple[int, int]) -> None:
    _, slave = terminal
    process = FakeProcess()
    process.master_fd, inner = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 90, 0, 0))
    forwarding = SignalForwarding()
    with forwarding:
        forwarding.begin(process, slave)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGWINCH)
    assert size(inner) == (20, 90)
    assert process.signals == []
    os.close(process.master_fd)
    os.close(inner)


def test_every_forwardable_signal_is_passed_on_and_handlers_come_back() -> None:
    process = FakeProcess()
    before = {number: signal.getsignal(number) for number in forwardable()}
    forwarding = SignalForwarding()
    with forwarding:
        forwarding.begin(process)  # type: ignore[arg-type]
        for number in forwardable():
            os.kill(os.getpid(), number)
    assert sorted(process.signals) == sorted(forwardable())
    assert {number: signal.getsignal(number) for number in forwardable()} == before


def test_faults_stops_and_children_are_not_passed_on() -> None:
    kept = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGSEGV, signal.SIGURG}
    assert kept.isdisjoint(forwardable())
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGRTMAX} <= set(
        forwardable()
    )


def test_a_signal_for_a_process_that_has_just_ended_is_no_error() -> None:
    class Ended(FakeProcess):
        def signal(self, number: int) -> None:
            raise ProcessLookupError

    forwarding = SignalForwarding()
    with forwarding:
        forwarding.begin(Ended())  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGTERM)


def test_signals_that_come_before_the_process_wait_for_it() -> None:
    process = FakeProcess()
    forwarding = SignalForwarding()
    with forwarding:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert process.signals == []
        forwarding.begin(process)  # type: ignore[arg-type]
        assert process.signals == [signal.SIGTERM, signal.SIGINT]


def test_the_proxy_waits_without_spinning(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[object] = []
    poll = select.poll

    def counted() -> select.poll:
        rounds.append(None)
        return poll()

    monkeypatch.setattr(select, "poll", counted)
    session = Session("sleep 1")
    stdin, feed = os.pipe()
    Proxy(session.master, session.pidfd, stdin, 1).run()
    assert len(rounds) < 20
    os.close(stdin)
    os.close(feed)
    assert session.status() == 0
