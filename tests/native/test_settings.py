"""Operations that are one system call: names, sysctls, scheduling, keyring, seccomp, loopback, labels."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from native_launch import USUAL, ChildFailed
from native_plans import MS_REC, MS_SLAVE, Operation, bind, finish, proc_and_sys, root


def plan(rootfs: Path, settings: list[Operation], arguments: list[str], **options: object) -> list[Operation]:
    return [
        Operation("LOOPBACK"),
        *root(str(rootfs)),
        *proc_and_sys(),
        Operation("PIVOT"),
        *settings,
        *finish(arguments, **options),
    ]


def test_hostname_and_domainname(run, rootfs):
    settings = [Operation("HOSTNAME", "box"), Operation("DOMAINNAME", "example.org")]
    done = run(plan(rootfs, settings, ["cat", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname"]))
    assert done.stdout == "box\nexample.org\n"
    assert Path("/proc/sys/kernel/hostname").read_text() != "box\n"


def test_loopback_is_up(run, rootfs):
    assert run(plan(rootfs, [], ["sh", "-c", "busybox ifconfig lo"])).stdout.count("UP LOOPBACK RUNNING") == 1


def test_sysctls_are_written_in_the_containers_namespaces(run, rootfs):
    settings = [Operation("SYSCTL", "net/ipv4/ip_forward", "1"), Operation("SYSCTL", "kernel/shm_rmid_forced", "1")]
    before = Path("/proc/sys/kernel/shm_rmid_forced").read_text()
    done = run(plan(rootfs, settings, ["cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shm_rmid_forced"]))
    assert done.stdout == "1\n1\n"
    assert Path("/proc/sys/kernel/shm_rmid_forced").read_text() == before


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kernel/nosuch", "1", "openat2: /proc/sys/kernel/nosuch: No such file"),
        ("kernel/shm_rmid_forced", "banana", "write: /proc/sys/kernel/shm_rmid_forced: Invalid argument"),
        ("../../etc/passwd", "h", "openat2: /proc/sys/../../etc/passwd: Invalid cross-device link"),
        ("../self/comm", "h", "openat2: /proc/sys/../self/comm: Too many levels"),
    ],
)
def test_a_sysctl_that_is_refused_is_named_and_cannot_leave_proc(run, rootfs, path, value, message):
    with pytest.raises(ChildFailed) as failure:
        run(plan(rootfs, [Operation("SYSCTL", path, value)], ["true"]))
    assert message in str(failure.value)


def test_a_sysctl_file_that_is_covered_in_the_container_is_still_the_kernels(run, rootfs, tmp_path):
    """CVE-2025-52881: a write to a sysctl led to another file by a mount on /proc."""
    (tmp_path / "trap").write_text("untouched")
    trap = bind(str(tmp_path / "trap"), "/proc/sys/kernel/shm_rmid_forced", flags=["ALLOW_PROC"])
    operations = [
        *root(str(rootfs)),
        *proc_and_sys(),
        trap,
        Operation("PIVOT"),
        Operation("SYSCTL", "kernel/shm_rmid_forced", "1"),
        *finish(["sh", "-c", "busybox umount /proc/sys/kernel/shm_rmid_forced; cat /proc/sys/kernel/shm_rmid_forced"]),
    ]
    assert run(operations).stdout == "1\n"
    assert (tmp_path / "trap").read_text() == "untouched"


def test_a_sysctl_needs_no_proc_in_the_container(run, rootfs):
    operations = [
        *root(str(rootfs)),
        Operation("PIVOT"),
        Operation("SYSCTL", "kernel/shm_rmid_forced", "1"),
        *finish(["true"]),
    ]
    assert run(operations).status == 0


def test_a_sysctl_is_written_in_a_user_namespace_whatever_covers_it(run, rootfs):
    from test_bootstrap import MAP, NEWUSER, source_of

    (rootfs / "trap").write_text("untouched")
    (rootfs / "trap").chmod(0o666)
    operations = [
        *root(str(rootfs), flags=["FROM_PARENT"]),
        *proc_and_sys(),
        bind(str(rootfs / "trap"), "/proc/sys/kernel/shm_rmid_forced", flags=["ALLOW_PROC", "FROM_PARENT"]),
        Operation("PIVOT"),
        Operation("SYSCTL", "kernel/shm_rmid_forced", "1"),
        *finish(["sh", "-c", "busybox umount /proc/sys/kernel/shm_rmid_forced; cat /proc/sys/kernel/shm_rmid_forced"]),
    ]
    done = run(operations, USUAL | NEWUSER, source_of(operations, rootfs), **MAP)
    assert done.stdout == "1\n"
    assert (rootfs / "trap").read_text() == "untouched"


#: A runtime inside a container: part of its /proc is covered, so no procfs can be made in a user namespace.
NESTED = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs /proc/bus; exec "$0" "$@"')


@pytest.mark.parametrize("covered", [False, True])
def test_where_no_procfs_can_be_made_the_visible_one_serves_with_the_same_checks(launch, rootfs, covered):
    from test_bootstrap import MAP, NEWUSER, source_of

    (rootfs / "trap").write_text("untouched")
    (rootfs / "trap").chmod(0o666)
    trap = bind(str(rootfs / "trap"), "/proc/sys/kernel/shm_rmid_forced", flags=["ALLOW_PROC", "FROM_PARENT"])
    operations = [
        *root(str(rootfs), flags=["FROM_PARENT"]),
        bind("/proc", "/proc", flags=["ALLOW_PROC", "RECURSIVE"]),
        *([trap] if covered else []),
        Operation("PIVOT"),
        Operation("SYSCTL", "kernel/shm_rmid_forced", "1"),
        *finish(["cat", "/proc/sys/kernel/shm_rmid_forced"]),
    ]
    one = launch(prefix=NESTED)
    one.bootstrap(USUAL | NEWUSER, **MAP)
    one.give_plan(operations)
    if covered:
        with pytest.raises(
            ChildFailed, match="SYSCTL: openat2: /proc/sys/kernel/shm_rmid_forced: Invalid cross-device"
        ):
            one.serve(source=source_of(operations, rootfs))
        assert (rootfs / "trap").read_text() == "untouched"
        return
    one.serve(source=source_of(operations, rootfs))
    assert one.exec_error() is None
    one.wait()
    assert one.stdout == "1\n"


def test_a_false_proc_is_not_written_to(run, rootfs):
    """In a user namespace without a whole procfs only the visible one is left, and it must be one."""
    from test_bootstrap import MAP, NEWUSER, source_of

    operations = [*root(str(rootfs), flags=["FROM_PARENT"]), Operation("PIVOT")]
    operations += [Operation("SYSCTL", "kernel/shm_rmid_forced", "1"), *finish(["true"])]
    (rootfs / "proc" / "sys" / "kernel").mkdir(parents=True)
    (rootfs / "proc" / "sys" / "kernel" / "shm_rmid_forced").write_text("0")
    with pytest.raises(ChildFailed, match="SYSCTL: is not the root of a procfs: /proc"):
        run(operations, USUAL | NEWUSER, source_of(operations, rootfs), **MAP)


def test_a_label_is_written_to_our_own_attributes_whatever_covers_proc(run, rootfs):
    """CVE-2019-16884: without an LSM the write is refused by the kernel, but it is the kernel that is asked."""
    fake = rootfs / "fake" / "thread-self" / "attr"
    fake.mkdir(parents=True)
    (fake / "exec").write_text("untouched")
    operations = [*root(str(rootfs)), bind(str(rootfs / "fake"), "/proc-image"), Operation("PIVOT")]
    with pytest.raises(ChildFailed) as failure:
        run([*operations, *finish(["true"], identity=[Operation("EXEC_LABEL", "exec", "label")])])
    assert failure.value.path.startswith("/proc/1/task/1/attr/exec")
    assert failure.value.errno in (22, 95, 2)
    assert (fake / "exec").read_text() == "untouched"


def test_scheduler_policy_and_io_priority(run, rootfs):
    attributes = struct.pack("=IIQiIQQQ", 48, 3, 0, 7, 0, 0, 0, 0)  # SCHED_BATCH, nice 7
    settings = [Operation("SCHEDULER", blob=attributes), Operation("IO_PRIORITY", numbers=(2 << 13 | 6,))]
    done = run(plan(rootfs, settings, ["sh", "-c", "busybox ionice -p $$; cat /proc/self/stat"]))
    lines = done.stdout.splitlines()
    assert lines[0] == "best-effort: prio 6"
    assert lines[1].rsplit(")", 1)[1].split()[16] == "7"
    assert lines[1].rsplit(")", 1)[1].split()[38] == "3"


def test_a_scheduler_that_is_refused_is_an_error(run, rootfs):
    attributes = struct.pack("=IIQiIQQQ", 48, 77, 0, 0, 0, 0, 0, 0)
    with pytest.raises(ChildFailed, match="SCHEDULER: sched_setattr: : Invalid argument"):
        run(plan(rootfs, [Operation("SCHEDULER", blob=attributes)], ["true"]))


def test_personality(run, rootfs):
    done = run(plan(rootfs, [Operation("PERSONALITY", numbers=(8,))], ["busybox", "uname", "-m"]))
    assert done.stdout.strip() in ("i686", "armv8l")


def test_memory_policy(run, rootfs):
    mask = (1).to_bytes(8, "little")
    settings = [Operation("MEMORY_POLICY", numbers=(2, 64), blob=mask)]  # MPOL_BIND to node 0
    try:
        done = run(plan(rootfs, settings, ["cat", "/proc/self/numa_maps"]))
    except ChildFailed as failure:
        assert failure.errno == 38, "only a kernel without NUMA may refuse it"
        return
    assert "bind:0" in done.stdout or done.stdout == ""


def test_the_session_keyring_is_new_and_can_be_joined_again(run, rootfs):
    name = f"_ses.native-{rootfs.parent.name}-{os.getpid()}"
    with_ring = [Operation("KEYRING", name), *plan(rootfs, [], ["cat", "/proc/keys"])]
    without = run(plan(rootfs, [], ["cat", "/proc/keys"]))
    done = run(with_ring)
    line = next(line for line in done.stdout.splitlines() if name in line)
    assert name not in without.stdout
    assert int(line.split()[4], 16) & 0x00080000, "the user may not search it"


def bpf(*instructions: tuple[int, int, int, int]) -> bytes:
    return b"".join(struct.pack("=HBBI", *one) for one in instructions)


def refusing(number: int, action: int) -> bytes:
    """Let everything pass but one system call."""
    return bpf((0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, action), (0x06, 0, 0, 0x7FFF0000))


@pytest.mark.parametrize("place", ["before the user change", "last"])
def test_a_seccomp_filter_is_in_force_in_the_payload(run, rootfs, place):
    mkdirs = bpf(
        (0x20, 0, 0, 0), (0x15, 1, 0, 83), (0x15, 0, 1, 258), (0x06, 0, 0, 0x50000 | 99), (0x06, 0, 0, 0x7FFF0000)
    )
    seccomp = Operation("SECCOMP", blob=mkdirs)
    user = Operation("USER", numbers=(0, 0))
    if place == "last":
        operations = plan(rootfs, [Operation("NO_NEW_PRIVS")], ["mkdir", "/x"], identity=[user], late=[seccomp])
    else:
        operations = plan(rootfs, [], ["mkdir", "/x"], identity=[seccomp, user])
    done = run(operations)
    assert "Cannot assign requested address" in done.stderr
    assert not (rootfs / "x").exists()


@pytest.mark.parametrize("errno", [1, 38])
def test_a_filter_that_is_older_than_our_system_calls_changes_nothing(launch, rootfs, errno):
    """Without no_new_privs it is loaded before the user change, and old profiles refuse what they do not know."""
    program = [
        (0x20, 0, 0, 0),
        (0x35, 0, 2, 434),
        (0x25, 1, 0, 500),
        (0x06, 0, 0, 0x50000 | errno),
        (0x06, 0, 0, 0x7FFF0000),
    ]
    (rootfs / "work").mkdir()
    identity = [
        Operation("SECCOMP", blob=bpf(*program)),
        Operation("CHDIR", "/work", flags=["TENTATIVE"]),
        Operation("USER", numbers=(1000, 1000)),
        Operation("CHDIR", "/work"),
    ]
    leak = os.open("/", os.O_RDONLY)
    one = launch(leak)
    os.close(leak)
    one.bootstrap()
    script = "echo $HOME $PWD; ls /proc/self/fd"
    one.give_plan(plan(rootfs, [], ["sh", "-c", script], identity=identity, environment=["PATH=/bin"]))
    one.serve()
    assert one.exec_error() is None
    one.wait()
    assert one.stdout.split() == ["/home/user", "/work", "0", "1", "2", "3"]


def test_after_the_gate_a_filter_needs_to_let_only_four_calls_pass(launch, rootfs):
    """read, write, close and execve: with everything else killed the payload is still reached, and dies of its own."""
    allowed = [0, 1, 3, 59]
    program = [(0x20, 0, 0, 0)]
    program += [(0x15, len(allowed) - i, 0, number) for i, number in enumerate(allowed)]
    program += [(0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000)]
    operations = plan(rootfs, [], ["true"], late=[], gate=True)
    at = next(i for i, operation in enumerate(operations) if operation.name == "END_SYNC")
    operations.insert(at, Operation("SECCOMP", blob=bpf(*program)))
    one = launch()
    one.bootstrap()
    one.give_plan(operations, gate=True)
    one.serve()
    one.start()
    assert one.exec_error() is None
    assert one.wait() == 128 + 31  # SIGSYS, after execve


def test_an_execve_that_a_filter_refuses_is_said_over_the_error_fifo(launch, rootfs):
    operations = plan(rootfs, [], ["true"], late=[Operation("SECCOMP", blob=refusing(59, 0x50000 | 1))])
    one = launch()
    one.bootstrap()
    one.give_plan(operations)
    one.serve()
    failure = one.exec_error()
    assert failure is not None
    assert (failure.operation, failure.errno) == ("EXEC", 1)


def test_a_broken_filter_is_an_error(run, rootfs):
    with pytest.raises(ChildFailed, match="SECCOMP: seccomp: : Invalid argument"):
        run(plan(rootfs, [], ["true"], identity=[Operation("SECCOMP", blob=bpf((0xFFFF, 0, 0, 0)))]))


def test_masked_and_read_only_paths(run, rootfs):
    from native_plans import device_directory

    (rootfs / "dir" / "sub").mkdir(parents=True)
    (rootfs / "dir2").mkdir()
    (rootfs / "file").write_text("secret")
    (rootfs / "file2").write_text("secret")
    (rootfs / "link").symlink_to("/file2")
    covered = ("/dir", "/dir2", "/file", "/link", "/missing", "/file/missing")
    operations = [
        *root(str(rootfs)),
        *proc_and_sys(),
        *device_directory(),
        Operation("PIVOT"),
        *(Operation("MASK_PATH", path) for path in covered),
        *(Operation("READONLY_PATH", path) for path in ("/proc/sys", "/missing", "/etc")),
        *finish(
            [
                "sh",
                "-c",
                "cat /file /file2; ls /dir /dir2; touch /dir/x /etc/x; echo 1 > /proc/sys/kernel/shm_rmid_forced",
            ]
        ),
    ]
    done = run(operations)
    assert done.stdout == "/dir:\n\n/dir2:\n"
    assert done.stderr.count("Read-only file system") == 3


@pytest.mark.parametrize("null", ["missing", "link", "file", "other device"])
def test_a_file_is_never_masked_with_something_else_than_the_null_device(run, rootfs, null):
    """CVE-2025-31133."""
    device = rootfs / "dev" / "null"
    if null == "link":
        device.symlink_to("/proc/sys/kernel/core_pattern")
    elif null == "file":
        device.write_text("")
    elif null == "other device":
        os.mknod(device, 0o20666, os.makedev(1, 5))
    (rootfs / "file").write_text("secret")
    operations = [*root(str(rootfs), propagation=MS_SLAVE | MS_REC), *proc_and_sys(), Operation("PIVOT")]
    with pytest.raises(ChildFailed, match="MASK_PATH"):
        run([*operations, Operation("MASK_PATH", "/file"), *finish(["true"])])
