"""The residue oracle is itself tested: for each kind of resource, one that is left behind must be named.

Needs root. Every object carries a mark of this process, and is removed by the test that made it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import residue

MARK = f"cl-f-oracle-{os.getpid()}"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def scope(tmp_path: Path) -> residue.Scope:
    return residue.Scope(
        marks=(MARK,), link_prefixes=(f"xf{os.getpid() % 100000}",), trees=(str(tmp_path),), shared=("/tmp", "/run")
    )


@pytest.fixture
def before(scope: residue.Scope) -> residue.Snapshot:
    return residue.snapshot(scope)


def left(scope: residue.Scope, before: residue.Snapshot) -> residue.Residue:
    return residue.diff(before, residue.snapshot(scope))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process with the mark in its command line, as a container's init has its id."""
    process = subprocess.Popen(["sh", "-c", "echo; read line", MARK], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_nothing_left_is_an_empty_residue(scope, before):
    assert not left(scope, before)
    assert str(left(scope, before)) == "nothing"


def test_a_process_left_behind_is_found_by_its_command_line(scope, before, sleeper):
    found = left(scope, before)
    assert found.kinds() == ("process",)
    assert found.left[0].startswith(f"process: {sleeper.pid} sh started ")


def test_a_process_that_forgot_its_name_is_found_as_a_descendant(scope, tmp_path):
    ours = residue.Scope(marks=(MARK,), ancestor=os.getpid())
    empty = residue.snapshot(ours)
    process = subprocess.Popen(["sleep", "30"])
    try:
        assert residue.diff(empty, residue.snapshot(ours)).kinds() == ("process",)
    finally:
        process.kill()
        process.wait()


def test_an_orphan_of_a_dead_child_is_found_by_a_subreaper():
    """The grandchild's parent is dead; only the subreaper flag keeps it in the family."""
    program = (
        f"import os, sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import residue, subprocess, time\n"
        "residue.become_subreaper()\n"
        f"scope = residue.Scope(marks=({MARK!r},), ancestor=os.getpid())\n"
        "before = residue.snapshot(scope)\n"
        "subprocess.run(['sh', '-c', 'sleep 30 & :'])\n"
        "found = residue.settle(scope, before, 0.1)\n"
        "print(found.kinds())\n"
        "for line in found.left: os.kill(int(line.split()[1]), 9)\n"
        "print(residue.settle(scope, before, 2.0).kinds())\n"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True).stdout
    assert out.splitlines() == ["('process',)", "()"]


def test_a_process_of_somebody_else_is_not_counted(scope, before):
    process = subprocess.Popen(["sleep", "30"])
    try:
        assert not left(scope, before)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("mountpoint", residue.cgroup_mounts())
def test_a_cgroup_left_behind_is_found_in_each_hierarchy(scope, before, mountpoint):
    path = f"{mountpoint}/{MARK}"
    os.makedirs(f"{path}/inner")
    try:
        assert left(scope, before).left == (f"cgroup: {path}", f"cgroup: {path}/inner")
    finally:
        os.rmdir(f"{path}/inner")
        os.rmdir(path)
    assert not left(scope, before)


def test_a_mount_left_behind_is_found(scope, before, tmp_path):
    target = tmp_path / MARK
    target.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", MARK, str(target)], check=True)
    try:
        assert set(left(scope, before).kinds()) == {"mount", "file"}
    finally:
        subprocess.run(["umount", str(target)], check=True)


def test_a_mount_without_a_mark_is_found_in_a_private_mount_namespace(tmp_path):
    program = (
        f"import os, sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import residue, subprocess\n"
        f"scope = residue.Scope(marks=({MARK!r},), private_mounts=True)\n"
        "before = residue.snapshot(scope)\n"
        f"subprocess.run(['mount', '-t', 'tmpfs', 'x', {str(tmp_path)!r}], check=True)\n"
        "print(residue.diff(before, residue.snapshot(scope)).kinds())\n"
    )
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout == "('mount',)\n"


def test_a_link_left_behind_is_found(scope, before):
    name = f"{scope.link_prefixes[0]}v0"
    subprocess.run(
        ["ip", "link", "add", name, "type", "veth", "peer", "name", f"{scope.link_prefixes[0]}v1"], check=True
    )
    try:
        found = left(scope, before)
        assert found.kinds() == ("link",)
        assert len(found.left) == 2
    finally:
        subprocess.run(["ip", "link", "del", name], check=True)


def test_a_link_left_behind_is_found_by_its_alias(scope, before):
    name = f"xalias{os.getpid() % 100000}"
    subprocess.run(["ip", "link", "add", name, "type", "veth"], check=True)
    try:
        assert not left(scope, before)
        subprocess.run(["ip", "link", "set", name, "alias", f"corelaunch:{MARK}:0"], check=True)
        assert left(scope, before).kinds() == ("link",)
    finally:
        subprocess.run(["ip", "link", "del", name], check=True)


def test_a_named_network_namespace_left_behind_is_found(scope, before):
    subprocess.run(["ip", "netns", "add", MARK], check=True)
    try:
        assert "netns" in left(scope, before).kinds()
    finally:
        subprocess.run(["ip", "netns", "del", MARK], check=True)


def test_a_network_namespace_kept_by_a_process_is_found(scope, before):
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; read line", MARK], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        assert left(scope, before).kinds() == ("process", "netns")
    finally:
        process.kill()
        process.communicate()


def test_a_state_directory_left_behind_is_found(scope, before, tmp_path):
    (tmp_path / "id").mkdir()
    assert left(scope, before).left == (f"file: {tmp_path}/id (d)",)


def test_a_fifo_left_behind_is_found_as_a_fifo(scope, before, tmp_path):
    os.mkfifo(tmp_path / "exec.fifo")
    assert left(scope, before).left == (f"file: {tmp_path}/exec.fifo (p)",)


def test_a_file_that_was_removed_is_reported_as_lost(scope, tmp_path):
    (tmp_path / "keep").touch()
    before = residue.snapshot(scope)
    (tmp_path / "keep").unlink()
    assert left(scope, before).lost == (f"file: {tmp_path}/keep (-)",)


@pytest.mark.parametrize("directory", ["/tmp", "/run"])
def test_a_temporary_file_in_a_shared_directory_is_found(scope, before, directory):
    path = f"{directory}/{MARK}.tmp"
    Path(path).touch()
    try:
        assert left(scope, before).left == (f"shared: {path}",)
    finally:
        os.unlink(path)


def test_settle_waits_for_what_goes_away_by_itself(scope, before, tmp_path):
    (tmp_path / "late").touch()
    remover = subprocess.Popen(["sh", "-c", f"sleep 0.2; rm {tmp_path}/late"])
    try:
        assert not residue.settle(scope, before, 10.0)
    finally:
        remover.wait()


def test_settle_gives_up_after_its_deadline(scope, before, tmp_path):
    (tmp_path / "for-ever").touch()
    assert residue.settle(scope, before, 0.2)


def test_a_named_keyring_left_behind_is_found(scope, before):
    import ctypes

    ADD_KEY, KEYCTL, REVOKE, PROCESS_KEYRING = 248, 250, 3, -2
    libc = ctypes.CDLL(None, use_errno=True)
    key = libc.syscall(ADD_KEY, b"keyring", f"_ses.{MARK}".encode(), None, 0, PROCESS_KEYRING)
    if key < 0:
        pytest.skip(f"this kernel refuses add_key: {os.strerror(ctypes.get_errno())}")
    try:
        assert left(scope, before).kinds() == ("key",)
    finally:
        libc.syscall(KEYCTL, REVOKE, key)
