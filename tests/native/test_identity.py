"""Who the payload is: ids, groups, capabilities, no_new_privs, streams, working directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from native_launch import ChildFailed
from native_plans import NOEXEC, Operation, finish, mount, proc_and_sys, root

CHOWN, DAC_OVERRIDE, NET_BIND, NET_RAW = 1 << 0, 1 << 1, 1 << 10, 1 << 13


def plan(
    rootfs: Path, arguments: list[str], *, before: list[Operation] | None = None, **options: object
) -> list[Operation]:
    return [*root(str(rootfs)), *proc_and_sys(), *(before or []), Operation("PIVOT"), *finish(arguments, **options)]


def status_of(done) -> dict[str, str]:
    return {line.split(":")[0]: line.split(":", 1)[1].strip() for line in done.stdout.splitlines()}


def test_ids_and_groups_are_exactly_those_of_the_plan(run, rootfs):
    done = run(plan(rootfs, ["cat", "/proc/self/status"], uid=1000, gid=2000, groups=[5, 70000], caps=0))
    status = status_of(done)
    assert status["Uid"].split() == ["1000"] * 4
    assert status["Gid"].split() == ["2000"] * 4
    assert status["Groups"].split() == ["5", "70000"]


def test_an_empty_list_of_groups_drops_those_of_the_caller(run, rootfs):
    """CVE-2022-2989 and its kin: a group that is kept may be one that a file shuts out."""
    groups = os.getgroups()
    os.setgroups([4242])
    try:
        dropped = run(plan(rootfs, ["cat", "/proc/self/status"], groups=[]))
        kept = run(plan(rootfs, ["cat", "/proc/self/status"], groups=None))
    finally:
        os.setgroups(groups)
    assert status_of(dropped)["Groups"] == ""
    assert status_of(kept)["Groups"] == "4242"


@pytest.mark.parametrize("uid", [0, 1000])
def test_capabilities_are_exactly_those_of_the_plan(run, rootfs, uid):
    bounding, permitted = CHOWN | NET_BIND | NET_RAW, CHOWN | NET_BIND
    identity = [
        Operation("CAP_BOUNDING", numbers=(bounding,)),
        Operation("USER", numbers=(uid, uid)),
        Operation("CAPS", numbers=(CHOWN, permitted, CHOWN)),
        Operation("CAP_AMBIENT", numbers=(CHOWN,)),
    ]
    # The init's own sets are visible only in a payload that execve does not give more to: not root.
    status = status_of(run(plan(rootfs, ["cat", "/proc/self/status"], identity=identity)))
    assert int(status["CapBnd"], 16) == bounding
    if uid:
        assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [CHOWN] * 4
    else:
        assert int(status["CapPrm"], 16) == bounding
        assert int(status["CapInh"], 16) == CHOWN


def test_without_ambient_and_inheritable_a_user_has_no_capability(run, rootfs):
    """CVE-2022-24769: inheritable capabilities make file capabilities of the image effective."""
    status = status_of(run(plan(rootfs, ["cat", "/proc/self/status"], uid=1000, caps=CHOWN | NET_RAW)))
    assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0] * 4
    assert int(status["CapBnd"], 16) == CHOWN | NET_RAW


def test_an_ambient_capability_that_is_refused_is_only_a_warning(run, rootfs):
    identity = [
        Operation("CAP_BOUNDING", numbers=(CHOWN,)),
        Operation("USER", numbers=(1000, 1000)),
        Operation("CAPS", numbers=(CHOWN, CHOWN, 0)),
        Operation("CAP_AMBIENT", numbers=(CHOWN,)),
    ]
    done = run(plan(rootfs, ["true"], identity=identity))
    assert done.status == 0
    assert done.logs == ["prctl PR_CAP_AMBIENT_RAISE: Operation not permitted"]


def test_capabilities_that_the_kernel_does_not_know_are_no_error(run, rootfs):
    bits = (1 << 63) | (1 << 50) | CHOWN
    status = status_of(run(plan(rootfs, ["cat", "/proc/self/status"], caps=bits)))
    assert int(status["CapEff"], 16) == CHOWN


def test_no_new_privs_holds(run, rootfs):
    status = status_of(run(plan(rootfs, ["cat", "/proc/self/status"], before_ready=[Operation("NO_NEW_PRIVS")])))
    assert status["NoNewPrivs"] == "1"


def test_the_payload_owns_its_streams_but_never_the_null_device(run, rootfs):
    before = os.stat("/dev/null")
    done = run(
        plan(rootfs, ["stat", "-L", "-c", "%u:%g", "/proc/self/fd/0", "/proc/self/fd/1"], uid=1000, gid=1000, caps=0)
    )
    after = os.stat("/dev/null")
    assert done.stdout.split() == ["0:0", "1000:0"]
    assert (before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid, after.st_mode)


def test_a_stream_on_the_hosts_null_device_moves_to_the_containers(run, rootfs):
    from native_plans import device_directory

    operations = [
        *root(str(rootfs)),
        *proc_and_sys(),
        *device_directory(),
        Operation("PIVOT"),
        Operation("REOPEN_NULL"),
    ]
    done = run([*operations, *finish(["stat", "-L", "-c", "%d", "/proc/self/fd/0", "/dev/null"])])
    inside, container = done.stdout.split()
    assert inside == container != str(os.stat("/dev/null").st_dev)


def test_a_false_null_device_of_the_image_is_not_opened_for_the_streams(run, rootfs):
    (rootfs / "dev" / "null").write_text("")
    operations = [*root(str(rootfs)), *proc_and_sys(), Operation("PIVOT"), Operation("REOPEN_NULL"), *finish(["true"])]
    with pytest.raises(ChildFailed, match="is not the null device: /dev/null"):
        run(operations)


def test_umask_is_that_of_the_plan_and_not_the_callers(run, rootfs):
    old = os.umask(0o077)
    try:
        given = run(plan(rootfs, ["sh", "-c", "umask"], before_ready=[Operation("UMASK", numbers=(0o27,))]))
    finally:
        os.umask(old)
    assert given.stdout == "0027\n"


def test_root_enters_a_directory_that_the_user_may_not(run, rootfs):
    (rootfs / "secret" / "deep").mkdir(parents=True)
    (rootfs / "secret").chmod(0o700)
    done = run(plan(rootfs, ["readlink", "/proc/self/cwd"], cwd="/secret/deep", uid=1000, caps=0))
    assert done.stdout == "/secret/deep\n"


def test_a_user_enters_a_directory_that_root_may_not(run, rootfs):
    """As on a root-squashing NFS; here the first chdir is without the capability."""
    (rootfs / "own").mkdir(mode=0o700)
    os.chown(rootfs / "own", 1000, 1000)
    identity = [
        Operation("CAPS", numbers=(1 << 6 | 1 << 7, 1 << 6 | 1 << 7, 0)),
        Operation("CHDIR", "/own", flags=["TENTATIVE"]),
        Operation("USER", numbers=(1000, 1000)),
        Operation("CHDIR", "/own"),
    ]
    assert run(plan(rootfs, ["readlink", "/proc/self/cwd"], identity=identity)).stdout == "/own\n"


def test_a_directory_that_nobody_may_enter_is_an_error(run, rootfs):
    identity = [
        Operation("CAPS", numbers=(1 << 6 | 1 << 7, 1 << 6 | 1 << 7, 0)),
        Operation("CHDIR", "/own", flags=["TENTATIVE"]),
        Operation("USER", numbers=(1000, 1000)),
        Operation("CHDIR", "/own"),
    ]
    (rootfs / "own").mkdir(mode=0o700)
    os.chown(rootfs / "own", 7, 7)
    with pytest.raises(ChildFailed, match=r'chdir to cwd \("/own"\) set in config.json failed: : Permission denied'):
        run(plan(rootfs, ["true"], identity=identity))


def test_a_missing_working_directory_is_made(run, rootfs):
    operations = [*root(str(rootfs)), *proc_and_sys(), Operation("PIVOT"), Operation("MAKE_CWD", "/new/work/dir")]
    done = run([*operations, *finish(["readlink", "/proc/self/cwd"], cwd="/new/work/dir")])
    assert done.stdout == "/new/work/dir\n"


@pytest.mark.parametrize("number", range(3, 24))
def test_no_descriptor_of_the_init_leads_the_working_directory_out(run, rootfs, number):
    """CVE-2024-21626."""
    with pytest.raises(ChildFailed) as failure:
        run(plan(rootfs, ["true"], cwd=f"/proc/self/fd/{number}"))
    assert failure.value.operation == "CHDIR"


def test_a_directory_of_the_host_that_the_caller_leaks_is_no_working_directory(launch, rootfs):
    leak = os.open("/", os.O_RDONLY)
    for path in ("/proc/self/fd/3", "/proc/self/fd/3/etc", "/proc/1/fd/3"):
        one = launch(leak)
        one.bootstrap()
        one.give_plan(plan(rootfs, ["true"], cwd=path, close_from=4))
        with pytest.raises(ChildFailed, match="CHDIR"):
            one.serve()
    os.close(leak)


def test_a_program_on_a_noexec_mount_is_refused_at_create(run, rootfs):
    operations = [mount("tmpfs", "/t", ["mode=755"], attributes=NOEXEC), Operation("FILE", "/t/tool", numbers=(0o755,))]
    with pytest.raises(ChildFailed, match='exec: "/t/tool": /t/tool: Permission denied'):
        run(plan(rootfs, ["/t/tool"], before=operations))
