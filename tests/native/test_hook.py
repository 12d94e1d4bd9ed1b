"""Gate mode: an OCI hook runs only after the byte, with clean signals, and says why it could not be executed."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
from pathlib import Path

import pytest


class Hook:
    """A process in gate mode; ``gate`` is ours to write, ``error`` to read."""

    def __init__(self, program: Path, arguments: list[str], environment: dict[str, str], cwd: int = -1) -> None:
        state = os.memfd_create("state")
        os.pwrite(state, b'{"id": "x"}', 0)
        gate, self.gate = os.pipe()
        self.error, error = os.pipe()
        self.output, output = os.pipe()
        ours = [state, output, output, gate, error] + ([cwd] if cwd >= 0 else [])
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in ours]
        actions = [(os.POSIX_SPAWN_DUP2, fd, i) for i, fd in enumerate(high)]
        environment = environment | {"ASAN_OPTIONS": "detect_leaks=0"}
        self.pid = os.posix_spawn(program, ["corelaunch-init", "hook", *arguments], environment, file_actions=actions)
        for fd in (*high, state, gate, error, output):
            os.close(fd)

    def end(self) -> tuple[int, bytes, bytes]:
        """(exit status, output, what came over the error pipe)."""
        os.close(self.gate)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        output, error = os.read(self.output, 65536), os.read(self.error, 65536)
        os.close(self.output)
        os.close(self.error)
        return status, output, error


def test_a_hook_runs_after_the_byte_with_its_arguments_state_and_environment(program):
    hook = Hook(
        program,
        ["/bin/sh", "name", "-c", 'cat; echo " $0 $1 $HOOK"; ls /proc/self/fd; exit 5', "a0", "a1"],
        {"HOOK": "yes"},
    )
    os.write(hook.gate, b"x")
    status, output, error = hook.end()
    assert (status, error) == (5, b"")
    assert output.splitlines()[0] == b'{"id": "x"} a0 a1 yes'
    assert output.split()[5:] == [b"0", b"1", b"2", b"3"]  # 3 is the directory that ls reads


def test_a_hook_whose_parent_dies_before_the_byte_does_not_run(program, tmp_path):
    hook = Hook(program, ["/bin/sh", "sh", "-c", f"echo ran; touch {tmp_path}/ran"], {})
    assert hook.end() == (0, b"", b"")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("path", "errno"), [("/no/such/hook", 2), ("/proc/self/limits", 13), ("/", 13)])
def test_a_hook_that_cannot_be_executed_says_why(program, path, errno):
    hook = Hook(program, [path, "hook"], {})
    os.write(hook.gate, b"x")
    assert hook.end() == (127, b"", struct.pack("=i", errno))


def test_a_hook_works_in_the_directory_that_it_is_given(program, tmp_path):
    directory = os.open(tmp_path, os.O_PATH)
    hook = Hook(program, ["/bin/sh", "sh", "-c", "pwd; ls /proc/self/fd"], {}, cwd=directory)
    os.close(directory)
    os.write(hook.gate, b"x")
    _, output, _ = hook.end()
    assert output.split() == [str(tmp_path).encode(), b"0", b"1", b"2", b"3"]


def test_a_hook_does_not_inherit_ignored_or_blocked_signals(program):
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGRTMIN + 3})
    try:
        hook = Hook(program, ["/bin/grep", "grep", "Sig[BI]", "/proc/self/status"], {})
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
    os.write(hook.gate, b"x")
    _, output, _ = hook.end()
    assert {line.split()[1] for line in output.splitlines()} == {b"0" * 16}


@pytest.mark.parametrize("arguments", [[], ["init", "x", "y"], ["hook"], ["hook", "/bin/true"], ["--help"]])
def test_by_hand_it_explains_itself_and_does_nothing(program, arguments):
    import subprocess

    done = subprocess.run([program, *arguments], capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr == b"corelaunch-init is started by corelaunch, not by hand\n"


def test_init_without_a_sync_socket_exits(program):
    import subprocess

    assert subprocess.run([program, "init"], check=False).returncode == 2
