"""What is handed over comes whole or not at all, waits for nobody for ever, and ends no process of a library's user."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corelaunch.bootstrap import handover, source_process
from corelaunch.bootstrap.handover import send_console, send_pidfd, write_pid_file
from corelaunch.errors import KernelError


@pytest.fixture(autouse=True)
def no_leaked_fds() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_pid_file_that_cannot_be_put_in_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "pid").mkdir()
    with pytest.raises(KernelError, match="is a directory"):
        write_pid_file(str(tmp_path / "pid"), 7)
    assert os.listdir(tmp_path) == ["pid"]
    write_pid_file(str(tmp_path / "other"), 7)
    assert (tmp_path / "other").read_text() == "7"


@pytest.mark.parametrize("send", [send_console, lambda path, fd: send_pidfd(path, fd, "setns")])
def test_a_socket_whose_listener_accepts_nobody_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, send: object
) -> None:
    monkeypatch.setattr(handover, "SECONDS", 0.05)
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        with pytest.raises(KernelError, match="cannot send the"):
            send(path, 0)  # type: ignore[operator]


#: A library's user with SIGPIPE at its default; the listener goes away between connect and send.
ABANDONED = """
import os, signal, socket, struct, sys
sys.path[:0] = {path!r}
from corelaunch.bootstrap import handover, seccomp_listener
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[2])
listener.listen()
pack = struct.pack
def close_and_pack(*words):
    listener.close()
    return pack(*words)
struct.pack = seccomp_listener.pack = close_and_pack
try:
    if sys.argv[1] == "console":
        handover.send_console(sys.argv[2], 0)
    else:
        seccomp_listener.give(sys.argv[2], "", 1, {{"ociVersion": "1.0.0"}}, 0)
except Exception as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["console", "seccomp listener"])
def test_a_listener_that_goes_away_is_an_error_and_no_sigpipe(tmp_path: Path, what: str) -> None:
    program = ABANDONED.format(path=sys.path)
    words = [sys.executable, "-I", "-c", program, what, str(tmp_path / "socket")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    assert f"cannot send the {what}" in done.stdout
    assert "broken pipe" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_source_process_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_process, "_SECONDS", 5.0)
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            source = source_process.SourceProcess(other.pid)
            os.close(source.open(str(tmp_path), False))
            fd = os.dup(source._pidfd)
            signal.pidfd_send_signal(fd, signal.SIGSTOP)
            source.close()
            with pytest.raises(ProcessLookupError):  # it is reaped
                signal.pidfd_send_signal(fd, 0)
            os.close(fd)
        finally:
            other.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_source_process_that_somebody_else_has_reaped_is_closed_all_the_same() -> None:
    source = source_process.SourceProcess(os.getpid())  # it may not join our own user namespace, and ends
    os.waitid(os.P_PIDFD, source._pidfd, os.WEXITED)
    source.close()
