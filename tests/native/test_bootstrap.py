"""Stage 0: cgroups, namespaces, id maps, and how stage 2 comes to be."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from native_launch import (
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWTIME,
    NEWUSER,
    NEWUTS,
    USUAL,
    ChildFailed,
    EndOfSync,
    clone_tree,
)
from native_plans import Operation, bind, device_directory, finish, mount, proc_and_sys, root
from native_protocol import NUMBERS

SIOCGSKNS = 0x894C
MAP = {"uid_map": "0 100000 65536", "gid_map": "0 200000 65536"}
NODES = ("null", "zero", "full", "random", "urandom", "tty")


def small_plan(rootfs: Path, arguments: list[str], **options: object) -> list[Operation]:
    return [*root(str(rootfs)), *proc_and_sys(), Operation("PIVOT"), *finish(arguments, **options)]


def mapped_plan(rootfs: Path, arguments: list[str], **options: object) -> list[Operation]:
    """In a user namespace nodes cannot be made and the root directory of the test cannot be reached."""
    return [
        *root(str(rootfs), flags=["FROM_PARENT"]),
        *proc_and_sys(),
        mount("tmpfs", "/dev", ["mode=755"], flags=["HOLD"]),
        *(Operation("FILE", f"/{name}", numbers=(0o644,), flags=["IN_HELD"]) for name in NODES),
        Operation("ATTACH", "", "", "/dev"),
        mount("devpts", "/dev/pts", ["newinstance", "ptmxmode=0666"]),
        *(bind(f"/dev/{name}", f"/dev/{name}", flags=["FROM_PARENT"]) for name in NODES),
        mount("mqueue", "/dev/mqueue"),
        Operation("PIVOT"),
        *finish(arguments, **options),
    ]


def source_of(operations: list[Operation], rootfs: Path):
    def give(index: int) -> int:
        operation = operations[index]
        return clone_tree(str(rootfs) if operation.name == "ROOTFS" else str(operation.texts[1]))

    return give


def test_hello_names_the_version_and_the_number_of_operations(launch):
    assert launch().greet() == (NUMBERS["CL_PROTOCOL_VERSION"], NUMBERS["CL_OP_LAST"] - 1)


def test_every_namespace_is_new_and_the_payload_is_its_first_process(run, rootfs):
    names = ("cgroup", "ipc", "mnt", "net", "pid", "time", "uts")
    script = "echo $$; for name in " + " ".join(names) + "; do readlink /proc/self/ns/$name; done"
    done = run(small_plan(rootfs, ["sh", "-c", script]), USUAL | NEWTIME)
    pid, *inside = done.stdout.split()
    assert pid == "1"
    assert len(inside) == len(names)
    for name, value in zip(names, inside, strict=True):
        assert value != os.readlink(f"/proc/self/ns/{name}"), name


def test_namespaces_not_asked_for_stay_the_hosts(run, rootfs):
    done = run(small_plan(rootfs, ["readlink", "/proc/self/ns/net"]), NEWNS | NEWPID)
    assert done.stdout.strip() == os.readlink("/proc/self/ns/net")


def test_both_stages_are_children_of_the_runtime(launch):
    one = launch()
    pid = one.bootstrap()
    one.expect("INIT_ALIVE")
    assert f"PPid:\t{os.getpid()}\n" in Path(f"/proc/{pid}/status").read_text()
    assert os.getsid(pid) == pid


def test_user_namespace_waits_for_its_mappings_and_becomes_its_root(run, rootfs):
    plan = mapped_plan(
        rootfs,
        ["sh", "-c", "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map; echo x > /dev/null; ls -l /dev/null"],
    )
    done = run(plan, USUAL | NEWUSER, source_of(plan, rootfs), **MAP)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["0", "0"], done.stderr
    assert [line.split() for line in lines[2:4]] == [["0", "100000", "65536"], ["0", "200000", "65536"]]
    assert lines[4].startswith("crw-rw-rw-")
    assert done.seen.index("MAPPINGS_WANTED") == 1


def test_mounts_from_the_parent_do_not_stay_peers_of_the_hosts(run, rootfs):
    plan = mapped_plan(rootfs, ["grep", "shared:", "/proc/self/mountinfo"])
    done = run(plan, USUAL | NEWUSER, source_of(plan, rootfs), **MAP)
    assert done.stdout == ""


def test_setgroups_is_denied_before_the_mappings_when_asked(run, rootfs):
    plan = mapped_plan(rootfs, ["cat", "/proc/self/setgroups"])
    done = run(plan, USUAL | NEWUSER, source_of(plan, rootfs), flags=["NO_SETGROUPS"], **MAP)
    assert done.stdout == "deny\n"


def test_time_offsets_hold_in_the_new_time_namespace(run, rootfs):
    plan = small_plan(rootfs, ["cat", "/proc/self/timens_offsets", "/proc/uptime"])
    done = run(plan, USUAL | NEWTIME, flags=["TIME_OFFSETS"], offsets=(86400, 7, 1000000, 0))
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[:2] == [["monotonic", "86400", "7"], ["boottime", "1000000", "0"]]
    assert float(lines[2][0]) > 1000000


def test_time_offsets_hold_in_a_user_namespace(run, rootfs):
    plan = mapped_plan(rootfs, ["cat", "/proc/self/timens_offsets"])
    done = run(
        plan, USUAL | NEWUSER | NEWTIME, source_of(plan, rootfs), flags=["TIME_OFFSETS"], offsets=(5, 0, 6, 0), **MAP
    )
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["5", "6"]


def test_oom_score_is_that_of_the_payload(run, rootfs):
    done = run(small_plan(rootfs, ["cat", "/proc/self/oom_score_adj"]), flags=["OOM_SCORE_ADJ"], oom_score_adj=321)
    assert done.stdout == "321\n"


def test_netlink_socket_is_of_the_containers_network_namespace(launch, rootfs):
    one = launch()
    pid = one.bootstrap(flags=["NETLINK"])
    one.give_plan(small_plan(rootfs, ["true"]))
    one.serve("READY")
    namespace = fcntl.ioctl(one.fds["netlink"], SIOCGSKNS)
    try:
        assert os.fstat(namespace).st_ino == os.stat(f"/proc/{pid}/ns/net").st_ino
        assert os.stat("/proc/self/ns/net").st_ino != os.stat(f"/proc/{pid}/ns/net").st_ino
    finally:
        os.close(namespace)


def test_stage0_writes_itself_into_each_cgroup_before_it_goes_on(launch, tmp_path):
    files = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("a", "b")]
    one = launch()
    one.greet()
    one.send("CGROUPS", fds=files)
    one.expect("CGROUPS_JOINED")
    assert [os.pread(fd, 9, 0) for fd in files] == [b"0", b"0"]
    for fd in files:
        os.close(fd)


def test_a_cgroup_that_refuses_is_an_error(launch):
    null = os.open("/dev/full", os.O_RDWR)
    one = launch()
    one.greet()
    one.send("CGROUPS", fds=[null])
    with pytest.raises(ChildFailed, match="cgroup: No space left"):
        one.receive()
    os.close(null)


def join(target: int, *names: str) -> list[tuple[int, int]]:
    kinds = {
        "user": NEWUSER,
        "ipc": NEWIPC,
        "uts": NEWUTS,
        "net": NEWNET,
        "pid": NEWPID,
        "mnt": NEWNS,
        "cgroup": NEWCGROUP,
    }
    return [(os.open(f"/proc/{target}/ns/{name}", os.O_RDONLY), kinds[name]) for name in names]


def enter(launch, joins: list[tuple[int, int]], arguments: list[str], **options: object):
    one = launch()
    one.bootstrap(0, joins=joins, flags=["NON_DUMPABLE"])
    for fd, _ in joins:
        os.close(fd)
    one.give_plan(finish(arguments, **options))
    one.serve()
    assert one.exec_error() is None
    one.wait()
    return one


def test_a_second_process_joins_a_running_container(launch, rootfs):
    first = launch()
    pid = first.bootstrap()
    first.give_plan([*small_plan(rootfs, ["sleep", "60"], before_ready=[Operation("HOSTNAME", "joined")])])
    first.serve()
    assert first.exec_error() is None
    second = enter(
        launch, join(pid, "ipc", "uts", "net", "pid", "mnt", "cgroup"), ["sh", "-c", "hostname; cat /proc/1/cmdline"]
    )
    assert second.stdout == "joined\nsleep\00060\0"


def test_a_second_process_joins_a_container_with_a_user_namespace(launch, rootfs):
    first = launch()
    plan = mapped_plan(rootfs, ["sleep", "60"])
    pid = first.bootstrap(USUAL | NEWUSER, **MAP)
    first.give_plan(plan)
    first.serve(source=source_of(plan, rootfs))
    assert first.exec_error() is None
    names = ("user", "ipc", "uts", "net", "pid", "mnt", "cgroup")
    second = enter(launch, join(pid, *names), ["sh", "-c", "id -u; readlink /proc/self/ns/user"])
    assert second.stdout.split() == ["0", os.readlink(f"/proc/{pid}/ns/user")]


def test_a_process_that_joins_cannot_be_looked_into(launch, rootfs):
    """CVE-2016-9962: until execve its files belong to the host's root, and its memory to nobody."""
    first = launch()
    plan = mapped_plan(rootfs, ["sleep", "60"])
    pid = first.bootstrap(USUAL | NEWUSER, **MAP)
    first.give_plan(plan)
    first.serve(source=source_of(plan, rootfs))
    second = launch()
    joins = join(pid, "user", "ipc", "uts", "net", "pid", "mnt", "cgroup")
    joined = second.bootstrap(0, joins=joins, flags=["NON_DUMPABLE"])
    for fd, _ in joins:
        os.close(fd)
    owner = os.stat(f"/proc/{joined}/mem").st_uid
    uid = Path(f"/proc/{joined}/status").read_text().split("Uid:\t")[1].split()[0]
    assert (owner, uid) == (0, "100000")


def test_a_namespace_descriptor_of_another_type_is_refused_by_name(launch):
    fd = os.open("/proc/self/ns/uts", os.O_RDONLY)
    with pytest.raises(ChildFailed, match="setns: network: Invalid argument"):
        launch().bootstrap(0, joins=[(fd, NEWNET)])
    os.close(fd)


@pytest.mark.parametrize(
    "options",
    [
        {"namespaces": 1},
        {"namespaces": NEWUTS, "joined": NEWUTS},
        {"namespaces": 0, "joined": NEWUTS | NEWNET},
        {"namespaces": 0, "flags": ["TIME_OFFSETS"]},
    ],
    ids=["unknown bit", "made and joined", "two types in one", "offsets without namespace"],
)
def test_a_contradictory_bootstrap_is_refused(launch, options):
    fd = os.open("/proc/self/ns/uts", os.O_RDONLY)
    joins = [(fd, options["joined"])] if "joined" in options else []
    with pytest.raises(ChildFailed) as failure:
        launch().bootstrap(options["namespaces"], joins=joins, flags=options.get("flags", ()))
    assert failure.value.errno == 0
    os.close(fd)


def test_descriptors_for_the_payload_follow_the_standard_streams(launch, rootfs):
    files = [os.memfd_create(name) for name in ("a", "b")]
    for fd, text in zip(files, (b"first\n", b"second\n"), strict=True):
        os.pwrite(fd, text, 0)
    one = launch(*files)
    one.bootstrap()
    one.give_plan(small_plan(rootfs, ["sh", "-c", "cat <&3; cat <&4; ls /proc/self/fd"], close_from=5))
    one.serve()
    assert one.exec_error() is None
    one.wait()
    # 5 is the directory that ls reads.
    assert one.stdout.split() == ["first", "second", "0", "1", "2", "3", "4", "5"]
    for fd in files:
        os.close(fd)


def test_ignored_signals_and_the_mask_of_the_caller_do_not_reach_the_payload(run, rootfs):
    import signal

    everything = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGRTMIN})
    try:
        done = run(small_plan(rootfs, ["grep", "Sig[BI]", "/proc/self/status"]))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, everything)
    assert {line.split()[1] for line in done.stdout.splitlines()} == {"0" * 16}


def test_nothing_but_the_init_speaks_on_the_sync_socket_of_a_dead_parent(launch):
    one = launch()
    one.greet()
    one.sock.shutdown(2)
    assert os.waitstatus_to_exitcode(os.waitpid(one.stage0, 0)[1]) == 1
    one.stage0 = 0
    with pytest.raises(EndOfSync):
        one.receive()


def test_device_directory_helper_is_what_the_other_tests_rely_on(run, rootfs):
    plan = [
        *root(str(rootfs)),
        *proc_and_sys(),
        *device_directory(),
        Operation("PIVOT"),
        *finish(["stat", "-c", "%t:%T %a", "/dev/null", "/dev/tty"]),
    ]
    assert run(plan).stdout.split("\n")[:2] == ["1:3 666", "5:0 666"]
