"""From looking for the executable to execve, in runc's words (seen with runc 1.1.5, see each message)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from native_launch import ChildFailed
from native_plans import Operation, finish, proc_and_sys, root


def plan(rootfs: Path, arguments: list[str], **options: object) -> list[Operation]:
    return [*root(str(rootfs)), *proc_and_sys(), Operation("PIVOT"), *finish(arguments, **options)]


def put(rootfs: Path, name: str, text: str, mode: int) -> None:
    (rootfs / name).write_text(text)
    (rootfs / name).chmod(mode)


@pytest.mark.parametrize(
    ("name", "text", "errno"),
    [
        ("foo", 'exec: "foo": executable file not found in $PATH', 0),
        ("", 'exec: "": executable file not found in $PATH', 0),
        ("data", 'exec: "data": executable file not found in $PATH', 0),
        ("tmp", 'exec: "tmp": executable file not found in $PATH', 0),
        ("/x", 'exec: "/x": stat /x', 2),
        ("./x", 'exec: "./x": stat ./x', 2),
        ("/data", 'exec: "/data"', 13),
        ("/tmp", 'exec: "/tmp"', 13),
        ("/data/x", 'exec: "/data/x": stat /data/x', 20),
        ("/bin/busybox/", 'exec: "/bin/busybox/": stat /bin/busybox/', 20),
    ],
)
def test_an_executable_that_is_none_is_reported_before_the_end_of_sync_in_runcs_words(run, rootfs, name, text, errno):
    put(rootfs, "data", "", 0o644)
    with pytest.raises(ChildFailed) as failure:
        run(plan(rootfs, [name], path="/bin:/"))
    assert (failure.value.operation, failure.value.text, failure.value.errno) == ("FIND_EXECUTABLE", text, errno)


def test_a_program_that_only_root_may_execute_is_refused_to_a_user(run, rootfs):
    put(rootfs, "tool", "#!/bin/sh\n", 0o700)
    with pytest.raises(ChildFailed, match='exec: "/tool": /tool: Permission denied'):
        run(plan(rootfs, ["/tool"], uid=1000, gid=1000, caps=0))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/bin", "true"),
        ("/no:/tmp:/bin", "true"),
        ("/bin/", "true"),
        ("/tmp", "/bin/true"),
        ("", "bin/true"),
        ("", "./bin/true"),
    ],
)
def test_the_executable_is_found(run, rootfs, path, name):
    assert run(plan(rootfs, [name], path=path)).status == 0


@pytest.mark.parametrize("path", ["", ":", "/no:", "/no::/no", ":/no", "."])
def test_the_working_directory_is_no_place_to_find_an_executable(run, rootfs, path):
    put(rootfs, "tool", "#!/bin/sh\n", 0o755)
    with pytest.raises(ChildFailed) as failure:
        run(plan(rootfs, ["tool"], path=path))
    expected = (
        "executable file not found in $PATH"
        if path == ""
        else "cannot run executable found relative to current directory"
    )
    assert failure.value.text == f'exec: "tool": {expected}'


@pytest.mark.parametrize(
    ("text", "errno"),
    [("#!/no/interpreter\n", 2), ("garbage", 8), ("#!/tool\n", 40), ("\x7fELF", 8)],
    ids=["no interpreter", "no format", "its own interpreter", "cut ELF"],
)
@pytest.mark.parametrize("gate", [False, True])
def test_an_execve_that_fails_is_said_over_the_error_fifo(launch, rootfs, text, errno, gate):
    put(rootfs, "tool", text, 0o755)
    one = launch()
    one.bootstrap()
    one.give_plan(plan(rootfs, ["/tool"], gate=gate), gate=gate)
    one.serve()
    if gate:
        one.start()
    failure = one.exec_error()
    assert failure is not None
    assert (failure.operation, failure.text, failure.errno) == ("EXEC", "exec /tool", errno)
    assert one.wait() == 1


def test_the_payload_gets_its_arguments_and_environment_as_they_are(run, rootfs):
    arguments = ["sh", "-c", 'cat /proc/self/environ; printf "%s|" "$0" "$@"', "zero", "", "a b", "ü", "=", "-x"]
    done = run(plan(rootfs, arguments, environment=["A=1", "EMPTY=", "HOME=/h", "B=x=y z", "no equals sign"]))
    *variables, last = done.stdout.split("\0")
    assert last == "zero||a b|ü|=|-x|"
    assert set(variables) >= {"A=1", "EMPTY=", "HOME=/h", "B=x=y z"}


@pytest.mark.parametrize("environment", [["PATH=/bin"], ["HOME=", "PATH=/bin"], ["PATH=/bin", "HOME="]])
@pytest.mark.parametrize(("uid", "home"), [(0, "/root"), (1000, "/home/user"), (77, "/")])
def test_home_comes_from_the_containers_passwd_when_it_is_missing_or_empty(run, rootfs, environment, uid, home):
    done = run(plan(rootfs, ["/bin/busybox", "env"], environment=environment, uid=uid, gid=uid))
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("HOME")) == [f"HOME={home}"]


def test_home_stays_missing_when_it_is_not_asked_for(run, rootfs):
    done = run(plan(rootfs, ["/bin/busybox", "env"], environment=["PATH=/bin"], exec_flags=()))
    assert "HOME" not in done.stdout


@pytest.mark.parametrize("environment", [[], ["PATH=/bin"], ["HOME=/h", "PATH=/bin"]])
def test_the_listening_pid_is_that_of_the_payload_in_its_own_namespace(run, rootfs, environment):
    arguments = ["/bin/busybox", "sh", "-c", "cat /proc/self/environ; echo $$"]
    done = run(plan(rootfs, arguments, environment=environment, listen_pid=1))
    *variables, last = done.stdout.split("\0")
    assert last == "1\n"
    assert sorted(v for v in variables if v.startswith("LISTEN")) == ["LISTEN_PID=1"]
    assert [v.split("=")[0] for v in variables if v.startswith("HOME")] == ["HOME"]
    assert {*environment} <= {*variables}


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "loop", "missing", "host link", "binary"])
def test_a_passwd_that_is_no_passwd_makes_home_the_root_and_blocks_nothing(run, rootfs, kind):
    passwd = rootfs / "etc" / "passwd"
    passwd.unlink()
    if kind == "fifo":
        os.mkfifo(passwd)
    elif kind == "directory":
        passwd.mkdir()
    elif kind == "device":
        os.mknod(passwd, 0o20666, os.makedev(1, 5))
    elif kind == "loop":
        passwd.symlink_to("passwd")
    elif kind == "host link":
        passwd.symlink_to("/etc/shadow")
    elif kind == "binary":
        passwd.write_bytes(b"\0:\n" * 1000 + bytes(range(256)) * 5000)
    done = run(plan(rootfs, ["/bin/busybox", "env"], environment=["A=1"]))
    assert "HOME=/\n" in done.stdout


def test_a_thousand_arguments_of_the_maximum_length_arrive(run, rootfs):
    done = run(plan(rootfs, ["sh", "-c", "echo $# ${#1}", "sh", *["x" * 1000] * 1500]))
    assert done.stdout == "1500 1000\n"


def test_no_descriptor_of_the_init_reaches_the_payload(run, rootfs):
    done = run(plan(rootfs, ["ls", "/proc/self/fd"]))
    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3 is the directory that ls reads


def test_start_is_confirmed_on_the_error_fifo_before_execve(launch, rootfs):
    one = launch()
    one.bootstrap()
    one.give_plan(plan(rootfs, ["true"], gate=True), gate=True)
    one.serve()
    one.start()
    assert one.exec_error() is None  # which has asserted CL_START_SEEN
    assert one.wait() == 0


def test_a_gate_without_descriptor_is_refused(launch, rootfs):
    one = launch()
    one.bootstrap()
    one.give_plan(plan(rootfs, ["true"], gate=True), gate=False)
    with pytest.raises(ChildFailed, match="there is a start gate and no descriptor for it"):
        one.serve()
