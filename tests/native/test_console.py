"""The pseudo terminal: made in the container, verified, handed out, and the payload's controlling one."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from pathlib import Path

import pytest
from native_launch import ChildFailed
from native_plans import Operation, bind, device_directory, finish, mount, proc_and_sys, root


def plan(
    rootfs: Path, arguments: list[str], *, devices: list[Operation] | None = None, size: int = 0, **options: object
):
    return [
        *root(str(rootfs)),
        *proc_and_sys(),
        *(device_directory() if devices is None else devices),
        Operation("PIVOT"),
        Operation("CONSOLE", numbers=(size,), flags=["BIND_CONSOLE"]),
        *finish(arguments, **options),
    ]


def read_all(master: int) -> str:
    data = b""
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:  # EIO: the last process has closed the terminal
            break
        if not block:
            break
        data += block
    return data.decode().replace("\r\n", "\n")


def test_the_payload_runs_on_the_terminal_whose_master_was_sent(launch, rootfs):
    one = launch()
    one.bootstrap()
    script = "busybox tty; stat -L -c %t:%T /dev/console /proc/self/fd/0 | sort -u; "
    script += "ls -l /proc/self/fd/2; cat /proc/self/stat"
    one.give_plan(plan(rootfs, ["sh", "-c", script], size=33 << 16 | 77))
    one.serve()
    master = one.fds["master"]
    rows, columns, _, _ = struct.unpack("4H", fcntl.ioctl(master, termios.TIOCGWINSZ, b"\0" * 8))
    assert one.exec_error() is None
    lines = read_all(master).splitlines()
    assert (rows, columns) == (33, 77)
    assert lines[0] == "/dev/pts/0"
    assert lines[1] == "88:0"  # 136:0 in hexadecimal, twice the same
    assert "/dev/pts/0" in lines[2]
    assert int(lines[3].rsplit(")", 1)[1].split()[4]) == 136 << 8  # tty_nr: the controlling terminal
    assert one.wait() == 0


def test_the_terminal_belongs_to_the_user(launch, rootfs):
    one = launch()
    one.bootstrap()
    one.give_plan(plan(rootfs, ["stat", "-c", "%u:%g %a", "/dev/pts/0"], uid=1000, gid=1000, caps=0))
    one.serve()
    assert one.exec_error() is None
    assert read_all(one.fds["master"]) == "1000:5 620\n"


def test_the_master_is_of_the_containers_devpts_and_not_kept_by_the_init(launch, rootfs):
    one = launch()
    one.bootstrap()
    one.give_plan(plan(rootfs, ["ls", "/proc/self/fd"]))
    one.serve()
    assert os.fstat(one.fds["master"]).st_dev != os.stat("/dev/pts").st_dev
    assert one.exec_error() is None
    assert read_all(one.fds["master"]).split() == ["0", "1", "2", "3"]


def test_the_terminal_of_a_second_process_is_of_the_containers_devpts(launch, rootfs):
    from test_bootstrap import join

    first = launch()
    pid = first.bootstrap()
    first.give_plan(
        [*root(str(rootfs)), *proc_and_sys(), *device_directory(), Operation("PIVOT"), *finish(["sleep", "60"])]
    )
    first.serve()
    second = launch()
    joins = join(pid, "ipc", "uts", "net", "pid", "mnt")
    second.bootstrap(0, joins=joins, flags=["NON_DUMPABLE"])
    for fd, _ in joins:
        os.close(fd)
    second.give_plan([Operation("CONSOLE"), *finish(["busybox", "tty"])])
    second.serve()
    assert second.exec_error() is None
    assert read_all(second.fds["master"]) == "/dev/pts/0\n"


def test_a_terminal_in_a_user_namespace(launch, rootfs):
    from test_bootstrap import MAP, NEWUSER, USUAL, mapped_plan, source_of

    operations = mapped_plan(rootfs, ["sh", "-c", "busybox tty; stat -L -c %t:%T /dev/console; stat -c %u /dev/pts/0"])
    at = next(i for i, operation in enumerate(operations) if operation.name == "PIVOT")
    operations.insert(at + 1, Operation("CONSOLE", numbers=(24 << 16 | 80,), flags=["BIND_CONSOLE"]))
    one = launch()
    one.bootstrap(USUAL | NEWUSER, **MAP)
    one.give_plan(operations)
    one.serve(source=source_of(operations, rootfs))
    assert one.exec_error() is None
    assert read_all(one.fds["master"]).splitlines() == ["/dev/pts/0", "88:0", "0"]


def fake_pts(rootfs: Path, kind: str) -> list[Operation]:
    operations: list[Operation] = []
    (rootfs / "dev" / "pts").mkdir()
    if kind == "plain directory with a node":
        os.mknod(rootfs / "dev" / "pts" / "ptmx", 0o20666, os.makedev(5, 2))
    elif kind == "link to the host's":
        (rootfs / "dev" / "pts").rmdir()
        (rootfs / "dev" / "pts").symlink_to("/hostpts")
        operations = [bind("/dev/pts", "/hostpts")]
    elif kind == "covered ptmx":
        (rootfs / "trap").write_text("")
        operations = [mount("devpts", "/dev/pts", ["newinstance"]), bind(str(rootfs / "trap"), "/dev/pts/ptmx")]
    elif kind == "ptmx of another devpts":
        operations = [mount("devpts", "/dev/pts", ["newinstance"]), mount("devpts", "/other", ["newinstance"])]
        operations += [bind(str(rootfs / "other" / "ptmx"), "/dev/pts/ptmx")]
    return operations


@pytest.mark.parametrize(
    "kind", ["nothing", "plain directory with a node", "link to the host's", "covered ptmx", "ptmx of another devpts"]
)
def test_a_false_devpts_is_refused(run, rootfs, kind):
    with pytest.raises(ChildFailed, match="CONSOLE"):
        run(plan(rootfs, ["true"], devices=fake_pts(rootfs, kind)))


@pytest.mark.parametrize("kind", ["link", "file", "missing"])
def test_the_console_is_bound_inside_the_root_whatever_the_image_has_there(launch, rootfs, tmp_path, kind):
    (tmp_path / "host").write_text("host")
    if kind == "link":
        (rootfs / "dev" / "console").symlink_to(tmp_path / "host")
    elif kind == "file":
        (rootfs / "dev" / "console").write_text("")
    one = launch()
    one.bootstrap()
    devices = [mount("devpts", "/dev/pts", ["newinstance", "ptmxmode=0666"])]
    one.give_plan(plan(rootfs, ["stat", "-L", "-c", "%t:%T", "/dev/console"], devices=devices))
    one.serve()
    assert one.exec_error() is None
    assert read_all(one.fds["master"]) == "88:0\n"
    assert (tmp_path / "host").read_text() == "host"
