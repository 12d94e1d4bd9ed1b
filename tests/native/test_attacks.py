"""Images and neighbours that mean harm: links in every place, and links that come and go while we look."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from native_launch import ChildFailed
from native_plans import Operation, bind, device_directory, finish, mount, node, proc_and_sys, root

DEVICE_NAMES = ("pts", "shm", "mqueue", "console", "null", "fd", "ptmx")
KINDS = ("absolute link", "relative link", "file", "fifo", "missing")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that no container may touch: it must be the same at the end."""
    directory = tmp_path / "host"
    directory.mkdir()
    for name in DEVICE_NAMES:
        (directory / name).write_text("host")
    (directory / "pts").unlink()
    (directory / "pts").mkdir()

    def picture() -> list[tuple[str, int, int]]:
        return [(str(path), path.lstat().st_mode, path.lstat().st_mtime_ns) for path in sorted(directory.rglob("*"))]

    before = picture()
    yield directory
    assert picture() == before
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def put(path: Path, kind: str, host: Path) -> None:
    if kind == "absolute link":
        path.symlink_to(host / path.name)
    elif kind == "relative link":
        path.symlink_to("../" * 20 + str(host / path.name)[1:])
    elif kind == "file":
        path.write_text("")
    elif kind == "fifo":
        os.mkfifo(path)


@pytest.mark.parametrize("kind", ["absolute link", "relative link", "link to a link", "link in a parent"])
@pytest.mark.parametrize("target", ["proc", "sys"])
def test_proc_and_sys_are_not_mounted_through_a_link(run, rootfs, host, target, kind):
    """CVE-2019-19921, CVE-2023-27561, CVE-2025-54867."""
    (rootfs / target).rmdir()
    destination = f"/{target}"
    if kind == "link to a link":
        (rootfs / "elsewhere").symlink_to("/tmp")
        (rootfs / target).symlink_to("elsewhere")
    elif kind == "link in a parent":
        (rootfs / "tmp" / target).mkdir()
        (rootfs / "parent").symlink_to("tmp")
        destination = f"/parent/{target}"
    else:
        put(rootfs / target, kind, host)
    fstype = {"proc": "proc", "sys": "sysfs"}[target]
    operations = [
        *root(str(rootfs)),
        mount(fstype, destination, flags=["PLAIN_TARGET", "ALLOW_PROC"]),
        Operation("PIVOT"),
    ]
    with pytest.raises(ChildFailed, match="must be an ordinary directory"):
        run([*operations, *finish(["true"])])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DEVICE_NAMES)
def test_nothing_that_an_image_has_below_dev_leads_a_tmpfs_dev_to_the_host(run, rootfs, host, name, kind):
    """CVE-2026-41579, CVE-2026-47766: the tmpfs is filled detached, nothing of the image lies on the way."""
    put(rootfs / "dev" / name, kind, host)
    operations = [
        *root(str(rootfs)),
        *proc_and_sys(),
        *device_directory(),
        mount("mqueue", "/dev/mqueue"),
        Operation("PIVOT"),
    ]
    done = run([*operations, *finish(["stat", "-c", "%t:%T", "/dev/null"])])
    assert done.stdout == "1:3\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DEVICE_NAMES)
def test_without_a_tmpfs_dev_what_is_made_stays_in_the_root(run, rootfs, host, name, kind):
    put(rootfs / "dev" / name, kind, host)
    operations = [
        *root(str(rootfs)),
        *proc_and_sys(),
        node("/dev/null", 1, 3, held=False),
        Operation("SYMLINK", "/proc/self/fd", "/dev/fd"),
        Operation("SYMLINK", "pts/ptmx", "/dev/ptmx"),
        *([mount("devpts", "/dev/pts", ["newinstance"])] if kind not in ("file", "fifo") or name != "pts" else []),
        Operation("PIVOT"),
        *finish(["true"]),
    ]
    if name == "null" and kind != "missing":
        with pytest.raises(ChildFailed, match="another file is in the place of the device: /dev/null"):
            run(operations)
    else:
        assert run(operations).status == 0


@pytest.mark.parametrize("kind", ["absolute link", "relative link"])
def test_a_dev_that_is_a_link_stays_in_the_root(run, rootfs, host, kind):
    (rootfs / "dev").rmdir()
    put(rootfs / "dev", kind, host.parent)
    (rootfs / str(host.parent)[1:]).mkdir(parents=True)
    (host.parent / "dev").mkdir()
    operations = [
        *root(str(rootfs)),
        node("/dev/null", 1, 3, held=False),
        Operation("SYMLINK", "x", "/dev/fd"),
        Operation("PIVOT"),
    ]
    assert run([*operations, *finish(["true"])]).status == 0
    assert list((host.parent / "dev").iterdir()) == []


@pytest.mark.parametrize("target", ["/../../../../../../tmp/x", "/a/../../../../tmp/x", "/tmp/../../x"])
def test_dots_do_not_lead_out_of_the_root(run, rootfs, host, target):
    (rootfs / "a").mkdir()
    operations = [*root(str(rootfs)), mount("tmpfs", target), Operation("PIVOT")]
    assert run([*operations, *finish(["true"])]).status == 0


@pytest.mark.parametrize("code", ["NODE", "FILE", "DIRECTORY", "SYMLINK"])
@pytest.mark.parametrize("path", ["/..", "/a/..", "/."])
def test_a_path_without_a_name_makes_nothing(run, rootfs, code, path):
    texts = ("x", path) if code == "SYMLINK" else (path,)
    numbers = (0o20666, 1 << 32 | 3, 0) if code == "NODE" else (0o755,)
    operations = [
        *root(str(rootfs)),
        Operation(code, *texts, numbers=() if code == "SYMLINK" else numbers),
        Operation("PIVOT"),
    ]
    with pytest.raises(ChildFailed, match=f"{code}: cannot make the parent directory"):
        run([*operations, *finish(["true"])])


EXCHANGE = """
import ctypes, sys
libc = ctypes.CDLL(None)
one, other = (path.encode() for path in sys.argv[1:])
print("ready", flush=True)
while True:
    libc.renameat2(-100, one, -100, other, 2)
"""


@pytest.fixture
def exchange() -> Iterator[object]:
    """Starts neighbours that swap two names as fast as they can."""
    running: list[subprocess.Popen[str]] = []

    def start(one: Path, other: Path) -> None:
        process = subprocess.Popen([sys.executable, "-c", EXCHANGE, one, other], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    yield start
    for process in running:
        process.kill()
        process.communicate()


ROUNDS = 60


def test_a_target_that_becomes_a_link_while_it_is_mounted_never_leads_to_the_host(
    run, rootfs, host, exchange, tmp_path
):
    """CVE-2021-30465 and CVE-2024-45310: a neighbour swaps a directory of a volume with a link to the host."""
    volume = tmp_path / "volume"
    (volume / "dir").mkdir(parents=True)
    (volume / "link").symlink_to("../" * 20 + str(host)[1:])
    exchange(volume / "dir", volume / "link")
    operations = [
        *root(str(rootfs)),
        *proc_and_sys(),
        bind(str(volume), "/vol"),
        mount("tmpfs", "/vol/dir/made/deep"),
        node("/vol/dir/null", 1, 3, held=False),
        Operation("FILE", "/vol/dir/file", numbers=(0o600,)),
        Operation("SYMLINK", "x", "/vol/dir/symlink"),
        bind("/etc/hostname", "/vol/dir/bound"),
        Operation("PIVOT"),
        *finish(["true"]),
    ]
    outcomes = []
    for _ in range(ROUNDS):
        try:
            outcomes.append(run(operations).status)
        except ChildFailed as failure:
            outcomes.append(failure.errno)
    # It is the neighbour's doing if it fails, but a fair part gets through and none waits for ever.
    assert outcomes.count(0) > 0, outcomes
    assert 11 not in outcomes, "EAGAIN of openat2 must be tried again"


def test_proc_that_becomes_a_link_is_mounted_on_a_directory_or_not_at_all(run, rootfs, host, exchange):
    (rootfs / "evil").symlink_to("/tmp")
    exchange(rootfs / "proc", rootfs / "evil")
    operations = [
        *root(str(rootfs)),
        *proc_and_sys(),
        Operation("PIVOT"),
        *finish(["sh", "-c", "ls -d /tmp/self; true"]),
    ]
    for _ in range(ROUNDS):
        try:
            assert run(operations).stdout == ""
        except ChildFailed as failure:
            assert failure.operation == "MOUNT"


def test_a_masked_path_is_masked_whatever_happens_to_the_null_device(run, rootfs, host, exchange, tmp_path):
    """CVE-2025-31133: another container shares /dev and swaps its null for a link to what is to be masked."""
    dev = tmp_path / "dev"
    dev.mkdir()
    os.mknod(dev / "null", 0o20666, os.makedev(1, 3))
    (dev / "evil").symlink_to("/secret")
    (rootfs / "secret").write_text("secret\n")
    exchange(dev / "null", dev / "evil")
    operations = [*root(str(rootfs)), *proc_and_sys(), bind(str(dev), "/dev"), Operation("PIVOT")]
    operations += [Operation("MASK_PATH", "/secret"), *finish(["cat", "/secret"])]
    masked = 0
    for _ in range(ROUNDS):
        try:
            assert run(operations).stdout == ""
            masked += 1
        except ChildFailed as failure:
            assert failure.operation == "MASK_PATH"
    assert masked > 0
