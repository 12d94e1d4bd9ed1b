"""Mounts: every kind of filesystem, the kernel's refusals in words, attributes, propagation, targets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from native_launch import USUAL, ChildFailed
from native_plans import (
    MS_PRIVATE,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
    NODEV,
    NOEXEC,
    NOSUID,
    RDONLY,
    Operation,
    bind,
    finish,
    mount,
    node,
    proc_and_sys,
    root,
)

MOUNTINFO = ["cat", "/proc/self/mountinfo"]


def plan(
    rootfs: Path,
    mounts: list[Operation],
    arguments: list[str],
    *,
    after: list[Operation] | None = None,
    **options: object,
):
    return [
        *root(str(rootfs)),
        *proc_and_sys(),
        *mounts,
        Operation("PIVOT"),
        *(after or []),
        *finish(arguments, **options),
    ]


def mount_at(text: str, target: str) -> tuple[set[str], str, str, str]:
    """(mount options, optional fields, filesystem type, super options) of the topmost mount there."""
    for line in reversed(text.splitlines()):
        before, after = line.split(" - ")
        fields = before.split()
        if fields[4] == target:
            return set(fields[5].split(",")), " ".join(fields[6:]), after.split()[0], after.split()[2]
    raise AssertionError(f"nothing is mounted at {target}:\n{text}")


@pytest.mark.parametrize(
    ("kind", "options", "source"),
    [
        ("proc", [], "proc"),
        ("sysfs", [], "sysfs"),
        ("tmpfs", ["size=1m", "mode=700"], "tmpfs"),
        ("tmpfs", [], ""),
        ("devpts", ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"], "devpts"),
        ("mqueue", [], "mqueue"),
        ("cgroup", ["pids"], "cgroup"),
        ("cgroup", ["none", "name=systemd"], "cgroup"),
        ("cgroup2", [], "cgroup"),
        ("ramfs", ["mode=750"], "none"),
    ],
)
def test_a_filesystem_of_each_kind_is_mounted(run, rootfs, kind, options, source):
    if kind == "cgroup" and not any(
        line.split()[1] != "0" for line in Path("/proc/cgroups").read_text().splitlines()[1:]
    ):
        pytest.skip("this machine has no cgroup v1 hierarchy, and a container may not make the first one")
    done = run(plan(rootfs, [mount(kind, "/mnt/x", options, source=source, attributes=NOSUID | NODEV)], MOUNTINFO))
    attributes, _, found, _ = mount_at(done.stdout, "/mnt/x")
    assert found == kind
    assert attributes >= {"nosuid", "nodev"}


def test_an_overlay_is_mounted(run, rootfs, tmp_path):
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower" / "file").write_text("from below\n")
    options = [f"lowerdir={tmp_path}/lower", f"upperdir={tmp_path}/upper", f"workdir={tmp_path}/work"]
    command = ["unshare", "-m", "mount", "-t", "overlay", "overlay", "-o", ",".join(options), "/mnt"]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this machine takes no overlay on its temporary directory")
    done = run(plan(rootfs, [mount("overlay", "/mnt", options)], ["sh", "-c", "cat /mnt/file; echo up > /mnt/new"]))
    assert done.stdout == "from below\n"
    assert (tmp_path / "upper" / "new").read_text() == "up\n"


@pytest.mark.parametrize(
    ("operation", "text", "errno"),
    [
        (mount("nosuchfs", "/mnt"), "fsopen: unknown filesystem type", 19),
        (mount("tmpfs", "/mnt", ["size=banana"]), "fsconfig size=banana: tmpfs: Bad value for 'size'", 22),
        (
            mount("tmpfs", "/mnt", ["nosuchoption"]),
            "fsconfig nosuchoption: tmpfs: Unknown parameter 'nosuchoption'",
            22,
        ),
        (mount("tmpfs", "/mnt", ["uid=" + "1" * 300]), "fsconfig: an option is longer than 255 bytes", 22),
        (mount("ext4", "/mnt", source="/no/such/device"), "fsconfig create ext4", 2),
        (mount("cgroup", "/mnt", ["nosuchcontroller"]), "fsconfig nosuchcontroller", 22),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refusal_names_call_option_target_and_reason(run, rootfs, operation, text, errno):
    if operation.texts[0] == "ext4" and "ext4" not in Path("/proc/filesystems").read_text():
        pytest.skip("this kernel has no ext4")
    with pytest.raises(ChildFailed) as failure:
        run(plan(rootfs, [operation], ["true"]))
    assert failure.value.text.startswith(text)
    assert (failure.value.path, failure.value.errno, failure.value.operation) == ("/mnt", errno, "MOUNT")


def test_a_missing_bind_source_is_named(run, rootfs):
    with pytest.raises(ChildFailed) as failure:
        run(plan(rootfs, [bind("/no/such/source", "/mnt")], ["true"]))
    assert (failure.value.text, failure.value.path, failure.value.errno) == ("open_tree", "/no/such/source", 2)


@pytest.mark.parametrize(
    ("existing", "options", "mode"),
    [(0o1750, [], "1750"), (None, [], "1777"), (0o750, ["mode=711"], "711"), (0o2700, ["size=1m"], "2700")],
)
def test_tmpfs_takes_the_mode_of_the_directory_that_it_covers_unless_one_is_given(run, rootfs, existing, options, mode):
    if existing is not None:
        (rootfs / "mnt").mkdir()
        (rootfs / "mnt").chmod(existing)
    assert run(plan(rootfs, [mount("tmpfs", "/mnt", options)], ["stat", "-c", "%a", "/mnt"])).stdout == f"{mode}\n"


def test_superblock_can_be_read_only(run, rootfs):
    done = run(plan(rootfs, [mount("tmpfs", "/mnt", attributes=RDONLY, flags=["SUPER_READONLY"])], MOUNTINFO))
    attributes, _, _, superblock = mount_at(done.stdout, "/mnt")
    assert "ro" in attributes
    assert superblock.split(",")[0] == "ro"


def test_a_bind_changes_only_the_attributes_that_are_named(run, rootfs, tmp_path):
    """A source that is nosuid and nodev stays so when the bind only asks for ro."""
    (tmp_path / "data").mkdir()
    operations = [
        mount("tmpfs", "/a", attributes=NOSUID | NODEV | NOEXEC),
        bind(str(rootfs / "a"), "/b", attributes=RDONLY | NOEXEC << 32),
    ]
    done = run(plan(rootfs, operations, MOUNTINFO))
    assert mount_at(done.stdout, "/a")[0] >= {"rw", "nosuid", "nodev", "noexec"}
    attributes = mount_at(done.stdout, "/b")[0]
    assert attributes >= {"ro", "nosuid", "nodev"}
    assert "noexec" not in attributes


def test_tree_attributes_reach_every_mount_of_a_recursive_bind(run, rootfs):
    operations = [
        mount("tmpfs", "/a"),
        mount("tmpfs", "/a/deep"),
        bind(str(rootfs / "a"), "/all", tree=RDONLY, flags=["RECURSIVE"]),
        bind(str(rootfs / "a"), "/top", attributes=RDONLY, flags=["RECURSIVE"]),
        bind(str(rootfs / "a"), "/alone"),
    ]
    done = run(plan(rootfs, operations, MOUNTINFO))
    assert "ro" in mount_at(done.stdout, "/all")[0] & mount_at(done.stdout, "/all/deep")[0]
    assert "ro" in mount_at(done.stdout, "/top")[0]
    assert "rw" in mount_at(done.stdout, "/top/deep")[0]
    assert "/alone/deep" not in done.stdout


@pytest.mark.parametrize(
    ("propagation", "expected"),
    [
        (MS_SHARED, "shared:"),
        (MS_PRIVATE, ""),
        (MS_SLAVE, ""),
        (1 << 17, "unbindable"),
        (MS_SHARED | MS_REC, "shared:"),
    ],
)
def test_propagation_is_that_of_the_plan(run, rootfs, propagation, expected):
    done = run(plan(rootfs, [mount("tmpfs", "/mnt", propagation=propagation)], MOUNTINFO))
    assert mount_at(done.stdout, "/mnt")[1].startswith(expected)
    assert bool(mount_at(done.stdout, "/mnt")[1]) == bool(expected)


def test_a_bind_of_a_file_makes_its_target_and_leads_there(run, rootfs, tmp_path):
    (tmp_path / "file").write_text("content\n")
    done = run(plan(rootfs, [bind(str(tmp_path / "file"), "/a/b/c")], ["cat", "/a/b/c"]))
    assert done.stdout == "content\n"
    assert (rootfs / "a" / "b" / "c").read_text() == ""


def test_a_link_in_the_target_is_resolved_inside_the_root(run, rootfs, tmp_path):
    (tmp_path / "host").mkdir()
    (rootfs / "inner").mkdir()
    (rootfs / "absolute").symlink_to("/inner")
    (rootfs / "above").symlink_to("../../../../../../inner")
    (rootfs / "host").symlink_to(tmp_path / "host")
    targets = ["/absolute/x", "/above/y", "/host/z"]
    run(plan(rootfs, [mount("tmpfs", target) for target in targets], ["true"]))
    assert sorted(path.name for path in (rootfs / "inner").iterdir()) == ["x", "y"]
    assert list((tmp_path / "host").iterdir()) == []
    assert (rootfs / str(tmp_path)[1:] / "host" / "z").is_dir()


@pytest.mark.parametrize("link", ["/run", "real", "../run", "/a/../run", "/run/./", "//run//"])
def test_a_dangling_link_on_the_way_is_followed_by_its_text_inside_the_root(run, rootfs, link):
    """Images have /var/run -> /run without a /run."""
    (rootfs / "var").mkdir()
    (rootfs / "a").mkdir()
    (rootfs / "var" / "run").symlink_to(link)
    run(plan(rootfs, [mount("tmpfs", "/var/run/x/y")], ["true"]))
    made = [path.relative_to(rootfs) for path in rootfs.rglob("y")]
    assert made == [Path("var/real/x/y" if link == "real" else "run/x/y")]


def test_links_in_a_circle_end_in_an_error(run, rootfs):
    (rootfs / "one").symlink_to("two")
    (rootfs / "two").symlink_to("one")
    with pytest.raises(ChildFailed) as failure:
        run(plan(rootfs, [mount("tmpfs", "/one/x")], ["true"]))
    assert failure.value.errno == 40


@pytest.mark.parametrize("target", ["/proc/self/attr", "/proc/sys/kernel/core_pattern", "/proc/cpuinfo", "/proc"])
def test_a_target_on_procfs_is_refused_unless_the_plan_allows_it(run, rootfs, target):
    source = "/proc" if target in ("/proc", "/proc/self/attr") else "/etc/hostname"
    with pytest.raises(ChildFailed, match="inside /proc"):
        run(plan(rootfs, [bind(source, target)], ["true"]))


def test_an_allowed_file_of_proc_is_covered(run, rootfs, tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 1 kB\n")
    done = run(
        plan(rootfs, [bind(str(tmp_path / "meminfo"), "/proc/meminfo", flags=["ALLOW_PROC"])], ["cat", "/proc/meminfo"])
    )
    assert done.stdout == "MemTotal: 1 kB\n"


@pytest.mark.parametrize("source", ["tmpfs", "proc/sys"])
def test_only_a_whole_procfs_may_be_bound_on_proc(run, rootfs, tmp_path, source):
    """CVE-2019-16884: an image's directory that passes for /proc."""
    path = "/proc/sys" if source == "proc/sys" else str(tmp_path)
    operations = [*root(str(rootfs)), bind(path, "/proc", flags=["ALLOW_PROC"]), Operation("PIVOT"), *finish(["true"])]
    with pytest.raises(ChildFailed, match="only a procfs may be mounted on /proc"):
        run(operations)


def test_proc_of_the_host_can_be_bound_on_proc(run, rootfs):
    operations = [
        *root(str(rootfs)),
        bind("/proc", "/proc", flags=["ALLOW_PROC", "RECURSIVE"]),
        Operation("PIVOT"),
        *finish(["true"]),
    ]
    assert run(operations).status == 0


def test_copy_up_fills_the_tmpfs_with_what_it_covers(run, rootfs):
    data = rootfs / "data"
    (data / "sub" / "deep").mkdir(parents=True)
    (data / "file").write_bytes(os.urandom(200_000))
    (data / "sub" / "run").write_text("x")
    (data / "sub" / "run").chmod(0o4711)
    os.chown(data / "sub" / "run", 12, 34)
    (data / "sub" / "run").chmod(0o4711)
    (data / "sub").chmod(0o1770)
    (data / "link").symlink_to("/etc/shadow")
    os.mkfifo(data / "fifo", 0o640)
    os.mknod(data / "null", 0o20666, os.makedev(1, 3))
    (data / "null").chmod(0o666)
    script = "cd /data; stat -c '%n %F %a %u:%g %s' file sub sub/deep sub/run fifo null; "
    script += "readlink link; busybox sha256sum file"
    done = run(
        plan(
            rootfs, [mount("tmpfs", "/data", flags=["COPY_UP"])], ["sh", "-c", script + "; rm -rf /data/* && ls /data"]
        )
    )
    import hashlib

    lines = done.stdout.splitlines()
    assert lines[0] == "file regular file 644 0:0 200000"
    assert lines[1].startswith("sub directory 1770 0:0")
    assert lines[3] == "sub/run regular file 4711 12:34 1"
    assert lines[4].startswith("fifo fifo 640")
    assert lines[5].startswith("null character special file 666")
    assert lines[6] == "/etc/shadow"
    assert lines[7].split()[0] == hashlib.sha256((data / "file").read_bytes()).hexdigest()
    assert (data / "sub" / "run").exists()


def test_cgroup2_that_may_not_be_mounted_is_bound_from_the_host(run, rootfs, tmp_path):
    """Another option set on the one cgroup2 hierarchy is EBUSY or EPERM; the host's then serves."""
    from test_bootstrap import MAP, NEWUSER, source_of

    hierarchy = "/sys/fs/cgroup/unified" if Path("/sys/fs/cgroup/unified").exists() else "/sys/fs/cgroup"
    operations = [
        *root(str(rootfs), flags=["FROM_PARENT"]),
        mount("cgroup2", "/sys", source=hierarchy, attributes=RDONLY, flags=["FALLBACK_BIND"]),
        mount("proc", "/proc"),
        Operation("PIVOT"),
        *finish(MOUNTINFO),
    ]
    namespaces = (USUAL | NEWUSER) & ~0x2000000  # the host's cgroup namespace: EPERM
    done = run(operations, namespaces, source_of(operations, rootfs), **MAP)
    attributes, _, kind, _ = mount_at(done.stdout, "/sys")
    assert kind == "cgroup2"
    assert "ro" in attributes


def test_remount_sets_attributes_of_what_is_there(run, rootfs):
    operations = [mount("tmpfs", "/a"), mount("tmpfs", "/a/b")]
    after = [
        Operation("REMOUNT", "/a", numbers=(RDONLY,), flags=["RECURSIVE"]),
        Operation("REMOUNT", "/", numbers=(RDONLY,)),
    ]
    done = run(plan(rootfs, operations, [*MOUNTINFO], after=after))
    assert all("ro" in mount_at(done.stdout, target)[0] for target in ("/", "/a", "/a/b"))


def test_remount_of_a_plain_directory_is_an_error(run, rootfs):
    with pytest.raises(ChildFailed, match="mount_setattr: /tmp: Invalid argument"):
        run(plan(rootfs, [], ["true"], after=[Operation("REMOUNT", "/tmp", numbers=(RDONLY,))]))


def test_nodes_keep_mode_and_owner_and_an_equal_one_is_no_error(run, rootfs):
    operations = [
        Operation("NODE", "/d/pipe", numbers=(0o10640, 0, 7 << 32 | 8)),
        Operation("NODE", "/d/block", numbers=(0o60600, 7 << 32 | 200, 0)),
        node("/d/null", 1, 3, held=False),
        node("/d/null", 1, 3, held=False),
        Operation("DIRECTORY", "/d/dir", numbers=(0o1733,)),
        Operation("DIRECTORY", "/d/dir", numbers=(0o755,)),
        Operation("FILE", "/d/file", numbers=(0o600,)),
        Operation("FILE", "/d/file", numbers=(0o600,)),
    ]
    done = run(
        plan(
            rootfs,
            operations,
            ["stat", "-c", "%F %a %u:%g %t:%T", *(f"/d/{n}" for n in ("pipe", "block", "null", "dir"))],
        )
    )
    assert done.stdout.splitlines() == [
        "fifo 640 7:8 0:0",
        "block special file 600 0:0 7:c8",
        "character special file 666 0:0 1:3",
        "directory 1733 0:0 0:0",
    ]


def test_root_propagation_is_set_after_the_pivot(run, rootfs):
    done = run(plan(rootfs, [], MOUNTINFO, after=[Operation("ROOT_PROPAGATION", numbers=(MS_SHARED | MS_REC,))]))
    assert mount_at(done.stdout, "/")[1].startswith("shared:")
    assert mount_at(done.stdout, "/proc")[1].startswith("shared:")


def mounts_below(path: Path) -> list[str]:
    return [
        fields[4]
        for fields in map(str.split, Path("/proc/self/mountinfo").read_text().splitlines())
        if str(path) in fields[4]
    ]


@pytest.mark.parametrize("propagation", [MS_SLAVE | MS_REC, MS_PRIVATE | MS_REC, MS_SHARED | MS_REC])
def test_no_mount_of_a_container_reaches_the_host(launch, shared_rootfs, propagation):
    operations = [
        *root(str(shared_rootfs), propagation=propagation),
        *proc_and_sys(),
        mount("tmpfs", "/mnt"),
        Operation("HOOKS_POINT"),
        Operation("PIVOT"),
        *finish(["sleep", "60"]),
    ]
    holder = shared_rootfs.parent
    one = launch()
    one.bootstrap()
    one.give_plan(operations)
    one.serve("HOOKS_REACHED")
    at_the_hooks = mounts_below(holder)
    one.send("HOOKS_DONE")
    one.serve()
    assert one.exec_error() is None
    assert (at_the_hooks, mounts_below(holder)) == ([str(holder)], [str(holder)])


def test_no_mount_in_what_the_parent_gave_reaches_the_host(launch, shared_rootfs):
    """The parent's clone of a shared mount is a peer of it."""
    from test_bootstrap import MAP, NEWUSER, source_of

    holder = shared_rootfs.parent
    (holder / "volume" / "mnt").mkdir(parents=True)
    operations = [
        *root(str(shared_rootfs), flags=["FROM_PARENT"]),
        mount("proc", "/proc"),
        bind(str(holder / "volume"), "/home", flags=["FROM_PARENT"]),
        mount("tmpfs", "/home/mnt"),
        mount("tmpfs", "/tmp"),
        Operation("PIVOT"),
        *finish(["sleep", "60"]),
    ]
    one = launch()
    one.bootstrap(USUAL | NEWUSER, **MAP)
    one.give_plan(operations)
    one.serve(source=source_of(operations, shared_rootfs))
    assert one.exec_error() is None
    assert mounts_below(holder) == [str(holder)]


@pytest.mark.parametrize("flag", ["NO_PIVOT", "CHROOT", None])
def test_the_root_is_entered_in_each_way(run, rootfs, flag):
    pivot = Operation("PIVOT", flags=[flag] if flag else [])
    operations = [*root(str(rootfs)), *proc_and_sys(), pivot, *finish(["sh", "-c", "ls /; cat /proc/self/mountinfo"])]
    done = run(operations)
    assert done.status == 0
    assert done.stdout.splitlines()[:3] == ["bin", "dev", "etc"]
    if flag is None:
        assert mount_at(done.stdout, "/")[0]
        assert len(done.stdout.splitlines()) == 7 + 3


def test_the_host_is_not_reachable_below_a_moved_root(run, rootfs):
    """A payload that may mount and chroot looks for the host's /proc below its own root."""
    operations = [*root(str(rootfs)), *proc_and_sys(), Operation("PIVOT", flags=["NO_PIVOT"]), *finish(MOUNTINFO)]
    done = run(operations)
    assert [line.split()[4] for line in done.stdout.splitlines()].count("/proc") == 1
