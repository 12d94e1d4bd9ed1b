"""native.spawn: the child gets what it was given and nothing else; the caller stays as it was."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import threading
import time
from collections.abc import Sequence

import pytest

from corelaunch.kernel import mountinfo, native, pidfd, procfs

pytestmark = pytest.mark.usefixtures("no_leaked_fds")


def output_of(executable: int, script: str, descriptors: Sequence[int] = (), **options: bool) -> str:
    """What ``script`` prints when a shell runs it as a spawned child with these descriptors behind stdio."""
    ours, theirs = os.pipe()
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    pid, handle = native.spawn(
        executable,
        [b"sh", b"-c", script.encode()],
        [b"PATH=/bin:/usr/bin"],
        [null, theirs, theirs, *descriptors],
        **options,
    )
    os.close(theirs)
    os.close(null)
    with open(ours, encoding="utf-8") as file:
        text = file.read()
    assert pidfd.wait(handle, 10) == 0
    os.close(handle)
    assert procfs.start_time(pid) == 0
    return text


def children() -> set[str]:
    """The pids of our children, zombies included; other tests may have left some."""
    found: set[str] = set()
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
            found |= set(file.read().split())
    return found


def test_the_child_gets_its_arguments_and_only_its_environment(busybox: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "secret")
    name, *entries = output_of(busybox, 'echo "$0"; env').splitlines()
    assert name == "sh"
    # The shell itself adds PWD and SHLVL.
    assert {entry.partition("=")[0] for entry in entries} <= {"PATH", "PWD", "SHLVL", "OLDPWD"}
    assert "PATH=/bin:/usr/bin" in entries


def test_the_pidfd_names_the_process_that_was_returned(busybox: int) -> None:
    pid, handle = native.spawn(busybox, [b"sleep", b"20"], [], [0, 1, 2])
    assert pidfd.pid_of(handle) == pid
    assert procfs.parent_pid(pid) == os.getpid()
    assert not os.get_inheritable(handle)
    pidfd.send_signal(handle, signal.SIGKILL)
    assert pidfd.wait(handle, 10) == 128 + signal.SIGKILL
    os.close(handle)


def test_an_inherited_descriptor_without_close_on_exec_does_not_reach_the_child(busybox: int) -> None:
    low = os.open("/etc/hostname", os.O_RDONLY)
    high = fcntl.fcntl(low, fcntl.F_DUPFD, 251)
    os.set_inheritable(low, True)
    os.set_inheritable(high, True)
    try:
        listed = output_of(busybox, "for f in /proc/$$/fd/*; do readlink $f; done; true").split()
    finally:
        os.close(low)
        os.close(high)
    assert len(listed) == 3
    assert listed[0] == "/dev/null" and listed[1] == listed[2] and listed[1].startswith("pipe:")


def test_descriptors_land_on_their_numbers_however_they_cross(busybox: int, tmp_path: os.PathLike[str]) -> None:
    """Each file is wanted on the number that another one has now."""
    opened = []
    for name in "abcdef":
        path = os.path.join(tmp_path, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(name)
        opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    crossed = list(reversed(opened))
    try:
        text = output_of(busybox, "cat <&3; cat <&4; cat <&5; cat <&6; cat <&7; cat <&8", crossed)
    finally:
        for fd in opened:
            os.close(fd)
    assert text == "fedcba"


def test_the_program_may_have_the_number_of_a_wanted_descriptor(busybox: int) -> None:
    """dup2 of descriptor i over the program's own would end in EACCES or in another program."""
    wanted = [1] * (busybox + 1)
    assert output_of(busybox, f"echo here >&{busybox}; echo done", wanted).split()[-1] == "done"


def test_many_descriptors_beyond_the_numbers_they_wait_on(busybox: int) -> None:
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    text = output_of(busybox, "ls -l /proc/$$/fd 2>/dev/null | grep -c /dev/null", [null] * 200)
    os.close(null)
    assert int(text) == 201


def test_an_exec_failure_comes_back_as_oserror_and_leaves_no_process(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "not-a-program")
    with open(path, "w", encoding="ascii") as file:
        file.write("nothing that the kernel can execute")
    os.chmod(path, 0o755)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    before = children()
    with pytest.raises(OSError) as caught:
        native.spawn(fd, [b"x"], [], [0, 1, 2])
    os.close(fd)
    assert caught.value.errno == errno.ENOEXEC
    assert children() == before


def test_a_bad_descriptor_comes_back_as_oserror(busybox: int) -> None:
    with pytest.raises(OSError) as caught:
        native.spawn(busybox, [b"true"], [], [0, 1, 9999])
    assert caught.value.errno == errno.EBADF


def test_a_bad_cgroup_descriptor_comes_back_as_oserror(busybox: int) -> None:
    with pytest.raises(OSError) as caught:
        native.spawn(busybox, [b"true"], [], [0, 1, 2], cgroup_fd=busybox)
    assert caught.value.errno == errno.EBADF


def test_the_child_starts_with_no_signal_blocked_or_handled(busybox: int) -> None:
    def handler(_number: int, _frame: object) -> None:
        raise AssertionError("no signal is sent here")

    previous = signal.signal(signal.SIGUSR1, handler)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})
    try:
        text = output_of(busybox, "while read -r name value; do echo $name $value; done < /proc/$$/status")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGUSR1, previous)
    fields = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    assert int(fields["SigBlk:"], 16) == 0
    assert int(fields["SigCgt:"], 16) & (1 << (signal.SIGUSR1 - 1)) == 0


def test_the_callers_signals_directory_and_descriptors_stay_as_they_were(busybox: int) -> None:
    def look() -> tuple[object, ...]:
        return (
            signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            {name: procfs.status_fields(os.getpid())[name] for name in ("SigBlk", "SigIgn", "SigCgt")},
            os.getcwd(),
            sorted(os.listdir("/proc/self/fd")),
            os.getpgid(0),
        )

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    before = look()
    output_of(busybox, "cd /; umask 0; trap : TERM", new_process_group=True)
    with pytest.raises(OSError):
        native.spawn(busybox, [b"true"], [], [9999])
    assert look() == before
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})


def test_a_new_process_group_is_led_by_the_child(busybox: int) -> None:
    for wanted in (True, False):
        pid, handle = native.spawn(busybox, [b"sleep", b"20"], [], [0, 1, 2], new_process_group=wanted)
        try:
            assert (os.getpgid(pid) == pid) is wanted
        finally:
            pidfd.send_signal(handle, signal.SIGKILL)
            pidfd.wait(handle, 10)
            os.close(handle)


def test_several_threads_spawn_at_once_under_a_storm_of_signals(busybox: int) -> None:
    """Handlers must not run in the child, which shares our memory; every child must be the right one."""
    hits: list[int] = []
    failures: list[BaseException] = []
    previous = signal.signal(signal.SIGALRM, lambda number, _frame: hits.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)

    def work(code: int) -> None:
        try:
            for _ in range(40):
                _, handle = native.spawn(busybox, [b"sh", b"-c", b"exit %d" % code], [], [0, 1, 2])
                assert pidfd.wait(handle, 20) == code
                os.close(handle)
        except BaseException as error:  # noqa: BLE001 - reported by the test itself
            failures.append(error)

    threads = [threading.Thread(target=work, args=(code,)) for code in (3, 4, 5, 6)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert not failures
    assert hits, "the storm never came: the test proves nothing"


def test_other_threads_run_while_one_spawns(busybox: int) -> None:
    """vfork stops only the thread that calls it, and the interpreter's lock is free meanwhile."""
    ticks = 0
    stop = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not stop.is_set():
            ticks += 1
            time.sleep(0)

    thread = threading.Thread(target=tick)
    thread.start()
    for _ in range(20):
        _, handle = native.spawn(busybox, [b"true"], [], [0, 1, 2])
        pidfd.wait(handle, 10)
        os.close(handle)
    stop.set()
    thread.join()
    assert ticks > 20


@pytest.mark.needs_root
def test_a_child_is_born_in_the_cgroup_that_was_given(busybox: int) -> None:
    """CLONE_INTO_CGROUP: it is there before its first instruction, so it never has to be moved."""
    unified = next((entry for entry in mountinfo.cgroup_hierarchies() if entry.version == 2), None)
    if unified is None:
        pytest.skip("this host has no cgroup v2 hierarchy")
    directory = os.path.join(unified.mountpoint, f"build-spawn-{os.getpid()}")
    os.mkdir(directory)
    cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pid, handle = native.spawn(busybox, [b"sleep", b"20"], [], [0, 1, 2], cgroup_fd=cgroup)
        assert procfs.cgroups_of(pid)[""].endswith(f"/build-spawn-{os.getpid()}")
        pidfd.send_signal(handle, signal.SIGKILL)
        pidfd.wait(handle, 10)
        os.close(handle)
    finally:
        os.close(cgroup)
        os.rmdir(directory)
