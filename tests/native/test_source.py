"""The source process: it clones mounts in the namespaces that it is given, until its socket ends."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs_root


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a user and a mount namespace of its own."""
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "echo; exec sleep 1000"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


class Source:
    """A source process; ``ask`` gives (errno, descriptor or -1)."""

    def __init__(self, program: Path, user: str, mount: str) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Away from 3, 4 and 5, where they are to be: one could take another's place there.
        high = [fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD, 64)]
        for path in (user, mount):
            with open(path, "rb") as namespace:
                high.append(fcntl.fcntl(namespace.fileno(), fcntl.F_DUPFD, 64))
        actions = [(os.POSIX_SPAWN_DUP2, fd, 3 + i) for i, fd in enumerate(high)]
        environment = {"ASAN_OPTIONS": "detect_leaks=0"}
        self.pid = os.posix_spawn(program, ["corelaunch-init", "source"], environment, file_actions=actions)
        theirs.close()
        for fd in high:
            os.close(fd)

    def ask(self, path: str, recursive: bool = False) -> tuple[int, int]:
        self.socket.send(bytes([recursive]) + path.encode())
        answer, fds, _, _ = socket.recv_fds(self.socket, 4, 1)
        return struct.unpack("=i", answer)[0], fds[0] if fds else -1

    def end(self) -> int:
        self.socket.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def namespace(pid: int, kind: str) -> str:
    return f"/proc/{pid}/ns/{kind}"


def test_it_clones_what_it_is_asked_for_and_ends_with_its_socket(program, other, tmp_path):
    source = Source(program, namespace(other.pid, "user"), namespace(other.pid, "mnt"))
    (tmp_path / "file").write_text("found")
    for recursive in (False, True):
        number, fd = source.ask(str(tmp_path), recursive)
        assert number == 0
        inside = os.open("file", os.O_RDONLY, dir_fd=fd)
        assert os.read(inside, 10) == b"found"
        os.close(inside)
        os.close(fd)
    assert source.ask(str(tmp_path / "nothing")) == (2, -1)
    assert source.ask(str(tmp_path / "file" / "below")) == (20, -1)
    assert source.ask("/" + "x" * 4000) == (36, -1)
    assert source.end() == 0


def test_a_path_that_is_too_long_for_a_request_ends_nothing(program, other):
    source = Source(program, namespace(other.pid, "user"), namespace(other.pid, "mnt"))
    assert source.ask("/" * 5000) == (36, -1)
    assert source.end() == 0


def test_an_empty_request_ends_it(program, other):
    source = Source(program, namespace(other.pid, "user"), namespace(other.pid, "mnt"))
    source.socket.send(b"\0")
    assert source.socket.recv(4) == b""
    assert source.end() == 0


def test_what_is_no_namespace_is_no_source(program, tmp_path):
    (tmp_path / "file").touch()
    source = Source(program, str(tmp_path / "file"), str(tmp_path / "file"))
    assert source.end() == 3


def test_what_it_mounts_over_in_the_namespace_does_not_concern_it(program, other, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    source = Source(program, namespace(other.pid, "user"), namespace(other.pid, "mnt"))
    os.close(source.ask(str(tmp_path))[1])  # it is there
    enter = ["nsenter", f"--user={namespace(other.pid, 'user')}", f"--mount={namespace(other.pid, 'mnt')}"]
    subprocess.run([*enter, "mount", "--bind", str(tmp_path / "empty"), "/"], check=True)
    number, fd = source.ask(str(tmp_path / "file"))
    assert (number, fd >= 0) == (0, True)
    os.close(fd)
    assert source.end() == 0
