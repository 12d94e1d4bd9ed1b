"""The sandbox against programs that mean ill, on a real kernel."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import corelaunch_sandbox
import pytest

from corelaunch.errors import CorelaunchError
from corelaunch.runtime import Runtime

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(autouse=True)
def nothing_is_left():
    def found():
        staged = [path for path in os.listdir("/tmp") if path.startswith("corelaunch-sandbox-")]
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().split("\n") if "corelaunch-sandbox" in line]
        return staged, mounts, Runtime("/run/corelaunch-sandbox").root.ids(), len(os.listdir("/proc/self/fd"))

    before = found()
    yield
    assert found() == before


@pytest.fixture(autouse=True, scope="module")
def no_cgroup_is_left():
    yield
    assert [path for path, _, _ in os.walk("/sys/fs/cgroup") if "/sandbox-" in path] == []


@pytest.fixture
def shell(rootfs):
    """Runs a script in the sandbox."""
    return lambda script, **options: corelaunch_sandbox.run(["sh", "-c", script], rootfs, **options)


# -- what it is for ------------------------------------------------------------------------------------------


def test_a_program_has_its_input_its_files_and_says_its_word(shell):
    end = shell("cat a; cat; cp a b; pwd; ./run; echo err >&2; exit 7",
                stdin=b"in\n", files={"a": b"file\n", "run": b"#!/bin/sh\necho ran $0\n"})
    assert (end.status, end.stdout, end.stderr) == (7, b"file\nin\n/tmp\nran ./run\n", b"err\n")
    assert not end.timed_out and not end.oom_killed and not end.truncated


def test_a_program_that_does_not_exist_is_an_error(rootfs):
    with pytest.raises(CorelaunchError, match="nosuch"):
        corelaunch_sandbox.run(["nosuch"], rootfs)
    with pytest.raises(CorelaunchError, match=r"process\.args"):
        corelaunch_sandbox.run([], rootfs)


def test_the_command(rootfs):
    def command(*words, **options):
        program = "import sys, corelaunch_sandbox; sys.exit(corelaunch_sandbox.main())"
        return subprocess.run([sys.executable, "-c", program, *words], capture_output=True, timeout=60, **options)

    done = command(rootfs, "sh", "-c", "cat; echo err >&2; exit 3", input=b"in")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in", b"err\n")
    done = command("--timeout", "0.3", rootfs, "sleep", "1000", input=b"")
    assert (done.returncode, done.stderr.strip()) == (137, b"corelaunch-sandbox: timed_out")
    done = command("--memory", "16", rootfs, "sh", "-c", "x=0123456789; while :; do x=$x$x; done", input=b"")
    assert (done.returncode, done.stderr.strip()) == (137, b"corelaunch-sandbox: oom_killed")
    for bound in (("--memory", "0"), ("--memory", "-1"), ("--timeout", "nan")):
        done = command(*bound, rootfs, "true", input=b"")
        assert (done.returncode, done.stdout) == (1, b"") and b"Traceback" not in done.stderr
    done = command("/nosuch", "true", input=b"")
    assert done.returncode == 1 and b"/nosuch' does not exist" in done.stderr and b"Traceback" not in done.stderr


# -- time, memory, processes, output -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        "sleep 1000",
        "trap '' TERM INT HUP; while :; do :; done",
        "f() { f | f & }; f; exec sleep 1000",
        "exec >&- 2>&- <&-; sleep 1000",
        "yes | tee /dev/fd/2",
        "(setsid sh -c 'while :; do sleep 1000; done' &) ; sleep 1000",
    ],
)
def test_it_ends_when_its_time_is_over(shell, script):
    end = shell(script, timeout=0.5, limit=5000)
    assert (end.status, end.timed_out) == (137, True)
    assert len(end.stdout) <= 5000 and len(end.stderr) <= 5000


def test_what_it_leaves_in_the_background_ends_with_it(shell):
    began = time.monotonic()
    end = shell("(setsid sleep 1000 & setsid sleep 1000 >/dev/null 2>&1 &); echo said", timeout=30)
    assert (end.status, end.stdout, end.timed_out) == (0, b"said\n", False)
    assert time.monotonic() - began < 25


def test_a_fork_bomb_has_only_its_own_processes(shell):
    end = shell("n=0; while [ $n -lt 100 ]; do sleep 1000 & n=$((n+1)); done; echo 100", timeout=10)
    assert b"can't fork" in end.stderr and end.stdout == b""


@pytest.mark.parametrize(
    "script",
    [
        "x=0123456789; while :; do x=$x$x; done",
        "head -c 100000000 /dev/zero | tail",
        "for i in 1 2 3 4; do (x=0123456789; while :; do x=$x$x; done) & done; wait; exit 137",
    ],
)
def test_a_memory_hog_is_killed_and_told_apart(shell, script):
    end = shell(script, memory=16 << 20, timeout=20)
    assert end.oom_killed and not end.timed_out


def test_a_full_tmp_is_its_own_problem(shell):
    for place in ("/tmp", "/dev/shm"):
        end = shell(f"head -c 100000000 /dev/zero > {place}/x || stat -c %s {place}/x")
        assert end.stdout == b"16777216\n"
    assert b"No space left" in shell("for i in $(seq 2000); do : > /tmp/$i || exit; done").stderr


# -- what it reaches -----------------------------------------------------------------------------------------


def test_it_is_nobody_outside_and_nothing_inside(shell):
    end = shell("id -u; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; exec sleep 1")
    lines = end.stdout.decode().split("\n")
    assert lines[0] == "0"
    assert {line.split()[1] for line in lines if line.startswith("Cap")} == {"0" * 16}
    assert "NoNewPrivs:\t1" in lines and "Seccomp:\t2" in lines


def test_its_processes_belong_to_nobody_on_the_host(rootfs):
    import threading

    name, owners = f"seen-{os.getpid()}", set()
    thread = threading.Thread(target=corelaunch_sandbox.run, args=(["sh", "-c", "sleep 2; :", name], rootfs))
    thread.start()
    while thread.is_alive() and not owners:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    owners.add(os.stat(f"/proc/{pid}").st_uid)
            except OSError:
                continue
    thread.join()
    assert owners == {2_000_000_000}


def test_nothing_can_be_written_but_tmp(shell):
    script = """
    for place in / /bin /etc /root /proc /proc/sys /proc/sys/kernel /dev /sys /proc/1 /proc/self; do
        (echo x > $place/x-file) 2>/dev/null && echo "wrote in $place"
        mkdir $place/x-dir 2>/dev/null && echo "made in $place"
    done
    for file in /etc/passwd /bin/sh /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/vm/drop_caches \
        /proc/sysrq-trigger /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj-; do
        (echo x > $file) 2>/dev/null && echo "wrote $file"
    done
    rm -f /etc/passwd 2>/dev/null && echo "removed passwd"
    chmod 777 /etc/passwd 2>/dev/null && echo "changed passwd"
    cat a > /dev/null && (echo x > a) 2>/dev/null && echo "wrote its own input"
    echo x > /tmp/x && echo done
    """
    end = shell(script, files={"a": b"x"})
    assert end.stdout == b"done\n", end


def test_it_sees_no_process_but_its_own(shell):
    marker = subprocess.Popen(["sleep", "1000"])
    end = shell(f"ls -d /proc/[0-9]*; kill -9 {marker.pid}; kill -9 -1; echo still")
    assert marker.poll() is None
    marker.kill()
    marker.wait()
    assert set(end.stdout.split()) <= {b"/proc/1", b"/proc/2", b"/proc/3", b"still"}


def test_it_reaches_no_network(shell):
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0sandbox-{os.getpid()}")
        abstract.listen()
        port = listener.getsockname()[1]
        end = shell(f"""
            nc -w 2 127.0.0.1 {port} < /dev/null && echo reached
            nc -w 2 ::1 {port} < /dev/null && echo reached
            wget -T 2 -q -O- http://10.0.2.2/ && echo reached
            nc -w 2 local:@sandbox-{os.getpid()} < /dev/null && echo reached
            ls /sys/class/net 2>/dev/null; cat /proc/net/dev | grep -c :""")
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert end.stdout == b"1\n"  # loopback


def test_it_sees_no_device_and_nothing_of_sysfs(shell):
    end = shell("ls /sys; ls /dev; cat /proc/kcore; ls /proc/acpi; cat /proc/keys; cat /proc/timer_list")
    names = b"fd full null ptmx random shm stderr stdin stdout tty urandom zero".split()
    assert set(end.stdout.split()) <= {*names, b"core"}


def test_it_inherits_no_descriptor_and_nothing_of_the_environment(shell, monkeypatch):
    monkeypatch.setenv("SECRET", "of the caller")
    with open("/etc/hostname") as held:
        os.set_inheritable(held.fileno(), True)
        end = shell("ls /proc/self/fd; env")
    lines = end.stdout.decode().split("\n")
    assert lines[:4] == ["0", "1", "2", "3"]  # the last one is the directory that ls reads
    assert "SECRET" not in end.stdout.decode() and "4" not in lines


def test_system_calls_that_are_a_danger_fail(rootfs, calls):
    end = corelaunch_sandbox.run(["/tmp/calls"], rootfs, files={"calls": calls})
    assert (end.status, end.stdout) == (0, b"")


def test_the_program_that_tries_system_calls_does_find_them(calls, tmp_path):
    """Outside of the sandbox they succeed, some of them: else the test above would prove nothing."""
    (tmp_path / "calls").write_bytes(calls)
    (tmp_path / "calls").chmod(0o755)
    # In namespaces of its own, as root there: what it does is gone with it.
    words = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--uts", "--pid", "--fork"]
    done = subprocess.run([*words, tmp_path / "calls"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert {"unshare user", "unshare mount", "mount"} <= {line.partition(":")[0] for line in done.stdout.splitlines()}


# -- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc/x", "a/b", "a/../../x", "/", "x/"])
def test_a_name_that_is_a_path_is_refused(rootfs, name):
    with pytest.raises(ValueError, match="not the name of a file"):
        corelaunch_sandbox.run(["true"], rootfs, files={name: b""})


@pytest.mark.parametrize("name", ["x\0y", "n" * 300, "\udc80"])
def test_a_name_that_no_file_can_have_is_refused(rootfs, name):
    with pytest.raises(CorelaunchError):
        corelaunch_sandbox.run(["true"], rootfs, files={name: b""})


def test_strange_names_are_names(shell):
    names = ["a b", "n\nl", "*", "-rf", "$(touch x)", "..x", "\\", "ü"]
    end = shell("for f in * ..x; do cat < \"$f\"; done", files={name: b"." for name in names})
    assert end.stdout == b"." * len(names)


def test_links_of_the_rootfs_lead_no_file_out_of_it(rootfs, tmp_path):
    import shutil

    hostile = rootfs.parent / "hostile"
    shutil.copytree(rootfs, hostile, symlinks=True)
    outside = Path(f"/tmp/sandbox-target-{os.getpid()}")
    outside.mkdir(mode=0o777)
    (hostile / "tmp").rmdir()
    try:
        for target in (outside, f"../../../..{outside}"):
            (hostile / "tmp").symlink_to(target)
            try:
                corelaunch_sandbox.run(["sh", "-c", "echo x > /tmp/y"], hostile, files={"a": b"secret"})
            except CorelaunchError:
                pass  # refused, as good
            assert list(outside.iterdir()) == []
            (hostile / "tmp").unlink()
    finally:
        outside.rmdir()
        shutil.rmtree(hostile)
