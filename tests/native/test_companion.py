"""Companion mode: the program runs after the byte, and ends with the container's init; it takes nobody else along."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Companion:
    """A process in companion mode, beside a process that stands for the container's init."""

    def __init__(self, program: Path, arguments: list[str], given: list[int] | None = None) -> None:
        self.init = subprocess.Popen(["sleep", "100"])
        pidfd = os.pidfd_open(self.init.pid)
        gate, self.gate = os.pipe()
        self.error, error = os.pipe()
        self.output, output = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        ours = [null, output, output, gate, error, pidfd, *(given or [])]
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in ours]
        actions = [(os.POSIX_SPAWN_DUP2, fd, i) for i, fd in enumerate(high)]
        words = ["corelaunch-init", "companion", arguments[0], *arguments]
        environment = {"ASAN_OPTIONS": "detect_leaks=0", "PATH": "/bin:/usr/bin"}
        self.pid = os.posix_spawn(program, words, environment, file_actions=actions, setpgroup=0)
        for fd in {*high, null, output, gate, error, pidfd}:
            os.close(fd)

    def end(self) -> int:
        """Its exit status, when the init has ended."""
        self.init.kill()
        self.init.wait()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def read(self, fd: int) -> bytes:
        """The next that comes through a pipe, b"" at its end."""
        return os.read(fd, 65536)

    def close(self) -> None:
        self.init.kill()
        self.init.wait()
        for fd in (self.gate, self.error, self.output):
            try:
                os.close(fd)
            except OSError:
                pass


@pytest.fixture
def start(program: Path) -> Iterator[Callable[..., Companion]]:
    """Starts companions of the build under test; what a failed test leaves is ended."""
    made = []

    def make(arguments: list[str], given: list[int] | None = None) -> Companion:
        made.append(Companion(program, arguments, given))
        return made[-1]

    yield make
    for companion in made:
        companion.close()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("script", ["echo $$; exec sleep 100", "trap '' TERM; echo $$; while :; do sleep 1; done"])
def test_the_program_ends_with_the_init_whether_it_heeds_a_sigterm_or_not(start, script):
    companion = start(["/bin/sh", "-c", script])
    os.write(companion.gate, b"x")
    pid = int(companion.read(companion.output))
    assert is_alive(pid)
    assert companion.end() == -signal.SIGKILL  # its whole group is killed, and it is in there
    assert not is_alive(pid)


def test_the_program_has_the_time_that_it_needs_to_end_in_order(start):
    companion = start(["/bin/sh", "-c", "trap 'echo in order; exit 3' TERM; echo ready; while :; do sleep 0.1; done"])
    os.write(companion.gate, b"x")
    assert companion.read(companion.output) == b"ready\n"
    companion.end()
    assert b"in order" in companion.read(companion.output)


@pytest.mark.parametrize("end", ["wait", "exec sleep 100"])
def test_what_the_program_has_started_ends_with_the_init(start, end):
    companion = start(["/bin/sh", "-c", f"(trap '' TERM; sleep 100; sleep 100) & echo $!; {end}"])
    os.write(companion.gate, b"x")
    pid = int(companion.read(companion.output))
    companion.end()
    until = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_alive(pid)


def test_no_directory_of_the_callers_is_held(start):
    companion = start(["/bin/sh", "-c", "pwd; exec sleep 100"])
    os.write(companion.gate, b"x")
    assert (companion.read(companion.output), os.readlink(f"/proc/{companion.pid}/cwd")) == (b"/\n", "/")


def test_nothing_runs_when_the_parent_ends_before_the_byte(start, tmp_path):
    companion = start(["/bin/touch", f"{tmp_path}/ran"])
    os.close(companion.gate)
    assert os.waitstatus_to_exitcode(os.waitpid(companion.pid, 0)[1]) == 0
    assert not (tmp_path / "ran").exists()


def test_a_program_that_cannot_be_executed_says_why(start):
    companion = start(["/no/such/program"])
    os.write(companion.gate, b"x")
    assert companion.read(companion.error) == struct.pack("=i", 2)
    assert os.waitstatus_to_exitcode(os.waitpid(companion.pid, 0)[1]) == 127


def test_a_program_that_ends_by_itself_gives_its_status_while_the_init_lives(start):
    companion = start(["/bin/sh", "-c", "exit 7"])
    os.write(companion.gate, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(companion.pid, 0)[1]) == 7
    assert companion.init.poll() is None


def test_the_program_dies_with_the_one_that_watches(start):
    companion = start(["/bin/sh", "-c", "echo $$; exec sleep 100"])
    os.write(companion.gate, b"x")
    pid = int(companion.read(companion.output))
    os.kill(companion.pid, signal.SIGKILL)
    os.waitpid(companion.pid, 0)
    end = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_alive(pid)


def test_the_program_alone_holds_what_it_was_given(start):
    read, write = os.pipe()
    companion = start(["/bin/sh", "-c", "ls /proc/self/fd; exec 1>&- 2>&- 6>&-; exec sleep 100"], [write])
    os.close(write)
    os.write(companion.gate, b"x")
    seen = b""
    while data := companion.read(companion.output):  # its end: the one that watches has none of it
        seen += data
    assert {b"0", b"1", b"2", b"6"} <= set(seen.split())
    assert not {b"4", b"5"} & set(seen.split())
    assert os.read(read, 1) == b""
    os.close(read)
    assert companion.end() == -signal.SIGKILL
