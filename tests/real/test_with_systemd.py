"""script/with-systemd: a real systemd for the time of one command, and nothing of it afterwards."""

from __future__ import annotations

import os
import pwd
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import residue
from child_cgroups import hierarchies, maker_lives
from systemd_host.outside import PREFIX

SCRIPT = Path(__file__).resolve().parents[2] / "script/with-systemd"
LEGACY = any((hierarchy / "cgroup.clone_children").exists() for hierarchy in hierarchies())
needs_legacy = pytest.mark.skipif(not LEGACY, reason="host lacks cgroup v1")
MODES = [pytest.param(mode, marks=needs_legacy) for mode in ("hybrid", "legacy")]
#: An ordinary user that every Debian has.
USER = "nobody"

pytestmark = [pytest.mark.systemd_host, pytest.mark.needs_root]


def run(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, timeout=100, check=False, **more)


def shell(mode: str, script: str, *options: str, **more: Any) -> list[str]:
    """The lines that a shell script prints, which must succeed."""
    seen = run(*options, mode, "sh", "-ec", script, **more)
    assert seen.returncode == 0, seen
    return seen.stdout.splitlines()


@pytest.mark.parametrize("code", [0, 1, 7, 125, 255])
def test_the_exit_code_is_the_commands(code: int) -> None:
    assert run("unified", "sh", "-c", f"exit {code}").returncode == code


def test_a_command_that_is_killed_missing_or_no_program_gives_a_shells_exit_code(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not executable")
    assert run("unified", "sh", "-c", "kill -9 $$").returncode == 137
    missing = run("unified", "cl-no-such-program")
    assert missing.returncode == 127
    assert missing.stderr == "with-systemd: cl-no-such-program: No such file or directory\n"
    assert run("unified", str(tmp_path / "text")).returncode == 126


def test_a_unit_with_default_dependencies_does_not_set_up_the_host() -> None:
    """sysinit.target would, for instance, empty /tmp."""
    seen = run("unified", "systemd-run", "--quiet", "true")
    assert seen.returncode == 1
    assert "sysinit.target is masked" in seen.stderr


def test_streams_are_the_callers_own_byte_by_byte() -> None:
    data = bytes(range(256)) * 1000
    script = "cat; printf 'error\\0\\377' >&2"
    seen = subprocess.run([SCRIPT, "unified", "sh", "-c", script], input=data, capture_output=True, timeout=100)
    assert (seen.stdout, seen.stderr) == (data, b"error\0\xff")


def test_output_comes_while_the_command_runs() -> None:
    words = [SCRIPT, "unified", "sh", "-c", "echo first; read line; echo then $line"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "first\n"
        process.stdin.write("second\n")
        process.stdin.flush()
        assert process.stdout.readline() == "then second\n"


def test_directory_environment_umask_and_limits_are_the_callers(tmp_path: Path) -> None:
    def lower() -> None:
        os.umask(0o27)
        resource.setrlimit(resource.RLIMIT_NOFILE, (123, 456))

    script = "pwd; echo $CL_REAL $HOME; umask; ulimit -Sn; ulimit -Hn"
    lines = shell("unified", script, cwd=tmp_path, env={**os.environ, "CL_REAL": "x  y"}, preexec_fn=lower)
    assert lines == [str(tmp_path), f"x y {os.environ['HOME']}", "0027", "123", "456"]


def test_a_systemd_is_the_first_process_and_its_buses_answer() -> None:
    script = """
        cat /proc/1/comm; systemctl is-system-running
        busctl call org.freedesktop.DBus / org.freedesktop.DBus GetConnectionUnixProcessID s org.freedesktop.systemd1
        DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/systemd/private systemctl show -P Id system.slice
    """
    assert shell("unified", script) == ["systemd", "running", "u 1", "system.slice"]


def test_terminals_and_shared_memory_are_there_as_on_the_host() -> None:
    script = """
        python3 -IS -c 'import os; print(os.ttyname(os.openpty()[1]))' | sed 's/[0-9]*$//'
        stat -f -c %T /dev/pts /dev/shm; test -c /dev/null; cat /proc/sys/fs/nr_open
    """
    seen = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, timeout=30, check=True)
    assert shell("unified", script) == seen.stdout.splitlines()


def mounts(mode: str) -> dict[str, str]:
    """Type and controllers of each cgroup mount by the directory's name."""
    script = "grep -E ' cgroup2? ' /proc/mounts"
    fields = [line.split() for line in shell(mode, script)]
    return {Path(place).name: kind if kind == "cgroup2" else options for _, place, kind, options, *_ in fields}


@needs_legacy
def test_hybrid_is_v1_and_cgroup2_beside_it_legacy_is_v1_only_unified_cgroup2_only() -> None:
    hybrid, legacy, unified = mounts("hybrid"), mounts("legacy"), mounts("unified")
    assert hybrid.pop("unified") == "cgroup2"
    assert hybrid == legacy
    assert legacy["memory"].endswith("memory")
    assert legacy["systemd"].endswith("name=systemd")
    assert "cgroup2" not in legacy.values()
    assert unified == {"cgroup": "cgroup2"}


@pytest.mark.parametrize("mode", [*MODES, "unified"])
def test_the_command_sees_no_cgroup_above_its_own_tree(mode: str) -> None:
    own = shell(mode, "cat /proc/self/cgroup; grep -E ' cgroup2? ' /proc/self/mountinfo")
    assert not [line for line in own if ".." in line or PREFIX in line], own
    assert [line.split()[3] for line in own if " - cgroup" in line]
    assert {line.split()[3] for line in own if " - cgroup" in line} == {"/"}


@pytest.mark.parametrize("mode", MODES)
def test_limits_that_systemd_sets_are_the_kernels(mode: str) -> None:
    script = """
        systemd-run --scope -q -p MemoryMax=64M -p TasksMax=2 sh -c '
            for file in memory/limit_in_bytes pids/max; do
                place=$(sed -n "s/^.*:${file%%/*}:\\(.*\\)/\\1/p" /proc/self/cgroup)
                cat "/sys/fs/cgroup/${file%%/*}$place/${file%%/*}.${file##*/}"
            done
            sleep 1 & sleep 1' 2>&1 || true
    """
    memory, tasks, complaint = shell(mode, script)
    assert (memory, tasks) == ("67108864", "2")
    assert complaint.endswith("Cannot fork")


@pytest.mark.parametrize("mode", [*MODES, "unified"])
def test_a_user_has_a_manager_of_his_own_that_owns_his_cgroups(mode: str) -> None:
    uid = pwd.getpwnam(USER).pw_uid
    script = """
        id -u; echo $XDG_RUNTIME_DIR; systemctl --user is-system-running
        busctl --user status org.freedesktop.systemd1 | sed -n "s/^Comm=//p"
        sed -n "s/^0:://p; s/^.*:name=systemd://p" /proc/self/cgroup | sort | tail -n 1
        systemd-run --user --scope -q sh -c 'cat /proc/self/cgroup' | grep -q run-.*[.]scope
        find /sys/fs/cgroup -maxdepth 6 -path "*/user@*/app.slice/with-systemd.service" -user $(id -u) | wc -l
    """
    *lines, owned = shell(mode, script, "--user", USER, cwd="/")
    path = f"/user.slice/user-{uid}.slice/user@{uid}.service/app.slice/with-systemd.service"
    assert lines == [str(uid), f"/run/user/{uid}", "running", "systemd", path]
    assert int(owned) == (2 if mode == "hybrid" else 1)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--user", "cl-nobody", "unified", "true"), "with-systemd: --user cl-nobody: no such user on this host\n"),
        (
            ("--user", "0", "unified", "true"),
            "with-systemd: --user 0: root's command runs under the system's manager, leave --user out\n",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_125(words: tuple[str, ...], line: str) -> None:
    seen = run(*words)
    assert (seen.returncode, seen.stdout, seen.stderr) == (125, "", line)


@pytest.mark.parametrize(
    "words",
    [
        ("unified", "sh", "-c", "systemctl poweroff -ff 2>/dev/null; sleep 100"),
        ("unified", "sh", "-c", "kill -9 $PPID; sleep 100"),
        ("--user", USER, "unified", "sh", "-c", "kill -9 $PPID; sleep 100"),
    ],
)
def test_a_command_that_ends_systemd_or_its_launcher_has_no_exit_code(words: tuple[str, ...]) -> None:
    seen = run(*words, cwd="/")
    assert seen.returncode == 125
    assert seen.stderr.startswith("with-systemd: the command was killed with its launcher; its console:\n")


class Running:
    """A command that waits beside its systemd, with a mark of its own."""

    def __init__(self, number: int = 0) -> None:
        self.mark = f"cl-ws-{os.getpid()}-{number}-{time.monotonic_ns()}"
        words = [SCRIPT, "hybrid" if LEGACY else "unified", "sh", "-c", "echo $PPID; sleep 1000; true", self.mark]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.scope = residue.Scope(marks=(self.mark, f"{PREFIX}-{self.process.pid}-"))
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip().isdigit()

    def children(self) -> list[int]:
        return [process.pid for process in residue.processes() if process.parent == self.process.pid]

    def janitor(self) -> int:
        (found,) = [p for p in self.children() if b"child_cgroups.py" in Path(f"/proc/{p}/cmdline").read_bytes()]
        return found

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


#: What is there when nothing of a run is.
NOTHING: residue.Snapshot = {kind: frozenset() for kind in residue.KINDS}


def left(running: Running) -> residue.Residue:
    return residue.settle(running.scope, NOTHING, seconds=60)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_nothing_is_left_after_a_signal(number: int, code: int) -> None:
    running = Running()
    assert residue.snapshot(running.scope)["cgroup"], "the scope must see what is there"
    assert residue.snapshot(running.scope)["process"]
    assert running.end(number) == code
    assert not left(running)


def test_the_next_run_removes_what_is_left_when_the_janitor_is_killed_too() -> None:
    running = Running()
    os.kill(running.janitor(), signal.SIGKILL)
    running.end(signal.SIGKILL)
    assert only_cgroups_left(running)
    other = Running(1)  # is alive, and none of its cgroups may go
    try:
        assert not left(running)
        run("unified", "true")
        assert residue.snapshot(other.scope)["cgroup"]
    finally:
        other.end(signal.SIGTERM)
    assert not left(other)


def only_cgroups_left(running: Running) -> bool:
    """Nothing but those is left, once what was killed is gone; a run beside this one may have swept them already."""
    end = time.monotonic() + 60
    while residue.diff(NOTHING, residue.snapshot(running.scope)).kinds() not in (("cgroup",), ()):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def abandoned() -> set[str]:
    """Cgroups of runs whose maker has died; those of runs beside this one come and go."""
    return {
        path
        for path in residue.cgroup_directories()
        for name in Path(path).parts
        if name.startswith(f"{PREFIX}-") and not maker_lives(name)
    }


def test_two_at_a_time_have_each_their_own() -> None:
    first, second = Running(1), Running(2)
    assert first.end(signal.SIGTERM) == 143
    assert second.process.poll() is None
    assert residue.snapshot(second.scope)["process"]
    assert second.end(signal.SIGTERM) == 143
    assert not left(first)
    assert not left(second)


def test_twenty_in_a_row_all_work_and_leave_nothing() -> None:
    before = abandoned()
    for number in range(20):
        seen = run("hybrid" if LEGACY else "unified", "sh", "-c", f"systemctl is-system-running; exit {number}")
        assert (seen.returncode, seen.stdout, seen.stderr) == (number, "running\n", "")
    end = time.monotonic() + 60  # the janitor of a run beside this one may be at work
    while abandoned() - before and time.monotonic() < end:
        time.sleep(0.05)
    assert abandoned() <= before


def test_the_machine_is_as_before(tmp_path: Path) -> None:
    def machine() -> dict[str, object]:
        texts: dict[str, Callable[[], object]] = {
            "settings": lambda: [Path("/proc/sys", name).read_text() for name in ("fs/nr_open", "kernel/pid_max")],
            "hostname": os.uname,
            "devices": lambda: sorted(name for name in os.listdir("/dev") if not name.startswith(("tap", "loop"))),
            "null": lambda: os.stat(os.devnull)[:6],  # mode, inode, device, links, owner and group
            "etc": lambda: sorted(os.listdir("/etc")),
            "run": lambda: os.path.exists("/run/with-systemd"),
            "state": lambda: sorted(os.listdir("/var/lib/systemd")),
        }
        return {name: read() for name, read in texts.items()}

    for _ in range(3):  # somebody else may change it meanwhile; what a systemd does, it does each time
        before = machine()
        shell("unified", "echo cl-real >/etc/hostname; touch /etc/cl-real /run/cl-real; hostname cl-real")
        shell("unified", "true", "--user", USER, cwd="/")
        after = machine()
        if after == before:
            break
    assert after == before
    assert not os.path.exists("/etc/cl-real")
    assert not os.path.exists("/run/cl-real")
