"""Every kind of guest is what its name says; output, exit code and files come through; nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from vm_host import CHECKOUT, IN_GUEST, VM, vm

pytestmark = IN_GUEST

CONTROLLERS = {"cpu,cpuacct", "cpuset", "memory", "pids", "devices", "freezer", "blkio", "hugetlb", "net_cls,net_prio"}

#: (options, PID 1, kind of /sys/fs/cgroup, is there a v2 beside v1); marked real: not in CI's bounded form
GUESTS = [
    pytest.param("", "systemd", "cgroup2fs", "", id="v2"),
    pytest.param("--no-systemd", "guest-run", "cgroup2fs", "", id="v2-no-systemd"),
    *(
        pytest.param(*words, id=words[0].replace("--", "").replace(" ", "-"), marks=pytest.mark.real)
        for words in (
            ("--cgroup hybrid", "systemd", "tmpfs", "unified"),
            ("--cgroup v1", "systemd", "tmpfs", ""),
            ("--cgroup hybrid --no-systemd", "guest-run", "tmpfs", "unified"),
            ("--cgroup v1 --no-systemd", "guest-run", "tmpfs", ""),
        )
    ),
]
LOOK = r"""
cat /proc/1/comm
stat -f -c %T /sys/fs/cgroup
echo $(ls /sys/fs/cgroup)
[ ! -e /sys/fs/cgroup/cgroup.controllers ] || cat /sys/fs/cgroup/cgroup.controllers
systemctl is-system-running
busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer GetMachineId 2>&1
uname -r
"""


@pytest.mark.parametrize(("options", "first", "kind", "beside"), GUESTS)
def test_a_guest_has_the_hierarchies_and_the_pid_1_that_were_asked_for(
    options: str, first: str, kind: str, beside: str
) -> None:
    seen = vm(*options.split(), "bash", "-c", LOOK)
    lines = seen.stdout.splitlines()
    entries = set(lines[2].split())
    assert lines[:2] == [first, kind], seen
    if kind == "cgroup2fs":
        assert {"cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc"} == set(lines.pop(3).split())
    else:
        assert CONTROLLERS | {"systemd"} <= entries
        assert ("unified" in entries) == (beside == "unified")
    assert lines[3] == ("running" if first == "systemd" else "offline")
    assert lines[4].startswith('s "' if first == "systemd" else "")
    assert lines[-1].startswith("6.1.")


@pytest.mark.parametrize(
    ("kind", "schemata"),
    [
        pytest.param("rdt", "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n", id="rdt"),
        pytest.param("hsw", "L3:0=fffff;1=fffff\n", id="hsw", marks=pytest.mark.real),
    ],
)
def test_a_guest_with_rdt_has_resctrl_mounted_with_two_domains(kind: str, schemata: str) -> None:
    seen = vm("--resctrl", kind, "sh", "-c", "cat /sys/fs/resctrl/schemata; stat -f -c %t /sys/fs/resctrl; nproc")
    assert seen.stdout == schemata + "7655821\n2\n", seen.stderr


@pytest.mark.parametrize("code", [0, 1, 77, 126, 127, 255])
def test_the_exit_code_is_the_commands_own(code: int) -> None:
    assert vm("sh", "-c", f"exit {code}").returncode == code


def test_what_is_missing_and_what_is_killed_have_the_shells_exit_codes() -> None:
    assert vm("no-such-command").returncode == 127
    assert vm("sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_stdout_and_stderr_are_apart_and_every_byte_comes_through() -> None:
    program = "import os; os.write(1, bytes(range(256)) * 3000); os.write(2, b'error\\xff\\n')"
    seen = subprocess.run([VM, "python3", "-c", program], capture_output=True, timeout=1400, check=True)
    assert seen.stdout == bytes(range(256)) * 3000
    assert seen.stderr == b"error\xff\n"


def test_output_comes_while_the_command_still_runs() -> None:
    script = "echo first; until [ -e /job/go ]; do sleep 0.1; done; echo second"
    job = Path(f"/tmp/cl-vm-job.{os.getpid()}")
    job.mkdir()
    try:
        command = [VM, "--job", str(job), "sh", "-c", script]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "first\n"
            (job / "go").touch()
            assert process.stdout.read() == "second\n"
        assert process.returncode == 0
    finally:
        (job / "go").unlink(missing_ok=True)
        job.rmdir()


def test_files_go_in_and_out_by_the_job_and_the_checkout_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\0in")
    script = f"cp /job/in /job/out && pwd && ! touch {CHECKOUT}/x 2>/dev/null && ls {CHECKOUT}"
    seen = vm("--job", str(tmp_path), "sh", "-c", script)
    assert (tmp_path / "out").read_bytes() == b"\0in"
    assert seen.stdout.splitlines()[0] == str(CHECKOUT)
    assert "pyproject.toml" in seen.stdout.splitlines()


def test_the_time_is_the_hosts_and_the_hosts_modules_can_be_loaded() -> None:
    before = time.time()
    script = "date +%s; modprobe veth && ip link add cl-vm0 type veth peer cl-vm1 && cat /sys/class/net/cl-vm1/mtu"
    now, mtu = vm("sh", "-c", script).stdout.splitlines()
    assert before - 2 <= int(now) <= time.time() + 2
    assert mtu == "1500"


def test_what_one_run_does_the_next_one_does_not_see() -> None:
    assert vm("sh", "-c", "touch /etc/cl-vm-mark; sync").returncode == 0
    assert vm("test", "-e", "/etc/cl-vm-mark").returncode == 1


def test_a_run_that_takes_too_long_is_ended_and_says_so() -> None:
    seen = vm("--timeout", "25", "sh", "-c", "echo begun; sleep 600")
    assert (seen.returncode, seen.stdout) == (125, "begun\n")
    assert "ended after 25 s" in seen.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_leaves_neither_qemu_nor_a_directory(number: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([VM, "sh", "-c", "echo up; sleep 600"], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert guests_below(tmp_path) and list(tmp_path.iterdir())
        process.send_signal(number)
    deadline = time.monotonic() + 60
    while (guests_below(tmp_path) or list(tmp_path.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (guests_below(tmp_path), list(tmp_path.iterdir())) == ([], [])


def test_guests_run_side_by_side() -> None:
    command = [VM, "sh", "-c", "sleep 1; echo $0", "name"]
    running = [subprocess.Popen([*command[:-1], name], stdout=subprocess.PIPE, text=True) for name in "abc"]
    assert [process.communicate(timeout=300)[0] for process in running] == ["a\n", "b\n", "c\n"]


def guests_below(directory: Path) -> list[int]:
    """The processes that have this directory in their command line: QEMU and its keeper."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue  # ended since
        if os.fsencode(f"{directory}/corelaunch-vm.") in words:
            found.append(int(path.parent.name))
    return found
