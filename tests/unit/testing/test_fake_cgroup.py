"""The fake cgroup files answer as the kernel does: one table of operations, played on both."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corelaunch.testing.cgroup_kernel import KernelCgroups
from corelaunch.testing.cgroup_stage import CgroupFiles
from corelaunch.testing.fake_cgroup import FakeCgroups

NAME = f"cl-cg-fake-{os.getpid()}"


class Tree:
    """One cgroup of the same name in the hierarchies that the fake has."""

    def __init__(self, files: CgroupFiles) -> None:
        self.files = files
        self.roots = files.roots()
        self.process = subprocess.Popen(["sleep", "1000"])
        for controller in ("pids", "memory", "freezer", ""):
            files.mkdir(self.path(controller))

    def path(self, controller: str, rest: str = "") -> str:
        return f"{self.roots[controller]}/{NAME}{rest}"

    def read(self, controller: str, name: str) -> str:
        return self.files.read(self.path(controller, f"/{name}"))

    def write(self, controller: str, name: str, value: str) -> None:
        self.files.write(self.path(controller, f"/{name}"), value)

    def close(self) -> None:
        if os.path.isdir(self.path("freezer")):
            self.write("freezer", "freezer.state", "THAWED")
        self.process.kill()
        self.process.wait()
        for controller in ("pids", "memory", "freezer", ""):
            for path in (self.path(controller, "/inside"), self.path(controller)):
                if os.path.isdir(path):
                    self.files.rmdir(path)


@pytest.fixture(params=["fake", "kernel"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tree]:
    files: CgroupFiles = FakeCgroups(tmp_path)
    if request.param == "kernel":
        files = KernelCgroups()
        if os.geteuid() != 0 or not {"pids", "memory", "freezer", ""} <= set(files.roots()):
            pytest.skip("this host lacks hybrid cgroups, or we the right to make some")
    tree = Tree(files)
    yield tree
    tree.close()


REFUSALS: dict[str, tuple[int, Callable[[Tree], object]]] = {
    "mkdir of what exists": (errno.EEXIST, lambda t: t.files.mkdir(t.path("pids"))),
    "mkdir below what does not exist": (errno.ENOENT, lambda t: t.files.mkdir(t.path("pids", "/a/b"))),
    "mkdir with a newline": (errno.EINVAL, lambda t: t.files.mkdir(t.path("pids", "/a\nb"))),
    "rmdir of what does not exist": (errno.ENOENT, lambda t: t.files.rmdir(t.path("pids", "/a"))),
    "rmdir with a child": (
        errno.EBUSY,
        lambda t: (t.files.mkdir(t.path("pids", "/inside")), t.files.rmdir(t.path("pids"))),
    ),
    "rmdir with a process": (
        errno.EBUSY,
        lambda t: (t.write("pids", "cgroup.procs", str(t.process.pid)), t.files.rmdir(t.path("pids"))),
    ),
    "read of a control that does not exist": (errno.ENOENT, lambda t: t.read("pids", "memory.limit_in_bytes")),
    "write of a control that does not exist": (errno.ENOENT, lambda t: t.write("", "freezer.state", "FROZEN")),
    "a pid that does not exist": (errno.ESRCH, lambda t: t.write("pids", "cgroup.procs", "4194303")),
    "a pid that is none": (errno.EINVAL, lambda t: t.write("pids", "cgroup.procs", "one")),
    "a negative limit of pids": (errno.EINVAL, lambda t: t.write("pids", "pids.max", "-1")),
    "a limit of pids beyond all pids": (errno.EINVAL, lambda t: t.write("pids", "pids.max", str(1 << 40))),
    "a limit of pids in words": (errno.EINVAL, lambda t: t.write("pids", "pids.max", "many")),
    "a limit of memory in words": (errno.EINVAL, lambda t: t.write("memory", "memory.limit_in_bytes", "much")),
    "a freezer state in small letters": (errno.EINVAL, lambda t: t.write("freezer", "freezer.state", "frozen")),
    "a freezer state between": (errno.EINVAL, lambda t: t.write("freezer", "freezer.state", "FREEZING")),
    "cgroup.kill with another number": (errno.ERANGE, lambda t: t.write("", "cgroup.kill", "2")),
    "a freezer at the root": (
        errno.ENOENT,
        lambda t: t.files.read(f"{t.roots['freezer']}/freezer.state"),
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_the_kernel_refuses_the_fake_refuses_with_the_same_errno(tree: Tree, refusal: str) -> None:
    number, operation = REFUSALS[refusal]
    with pytest.raises(OSError) as caught:
        operation(tree)
    assert errno.errorcode[caught.value.errno or 0] == errno.errorcode[number]


ANSWERS: dict[str, tuple[str, Callable[[Tree], object]]] = {
    "no limit of pids": ("max", lambda t: t.read("pids", "pids.max")),
    "no limit of memory": ("9223372036854771712", lambda t: t.read("memory", "memory.limit_in_bytes")),
    "not frozen": ("THAWED", lambda t: t.read("freezer", "freezer.state")),
    "a limit of pids": ("7", lambda t: (t.write("pids", "pids.max", "7"), t.read("pids", "pids.max"))[1]),
    "whole pages": (
        "8192",
        lambda t: (t.write("memory", "memory.limit_in_bytes", "12000"), t.read("memory", "memory.limit_in_bytes"))[1],
    ),
    "frozen": (
        "FROZEN",
        lambda t: (t.write("freezer", "freezer.state", "FROZEN\n"), t.read("freezer", "freezer.state"))[1],
    ),
    "nobody": ("", lambda t: t.read("pids", "cgroup.procs")),
    "how many": (
        "1",
        lambda t: (t.write("pids", "cgroup.procs", str(t.process.pid)), t.read("pids", "pids.current"))[1],
    ),
    "populated": (
        "populated 1",
        lambda t: (t.write("", "cgroup.procs", str(t.process.pid)), t.read("", "cgroup.events").split("\n")[0])[1],
    ),
    "no oom kills": (
        "oom_kill_disable 0\nunder_oom 0\noom_kill 0",
        lambda t: t.read("memory", "memory.oom_control"),
    ),
}


@pytest.mark.parametrize("question", ANSWERS)
def test_what_the_kernel_answers_the_fake_answers(tree: Tree, question: str) -> None:
    expected, ask = ANSWERS[question]
    assert ask(tree) == expected


def test_a_process_is_in_one_cgroup_of_a_hierarchy_with_what_it_starts(tree: Tree) -> None:
    parent = subprocess.Popen(["sh", "-c", "read go; sleep 1000 & wait"], stdin=subprocess.PIPE, start_new_session=True)
    assert parent.stdin is not None
    try:
        tree.files.mkdir(tree.path("pids", "/inside"))
        tree.write("pids", "cgroup.procs", str(parent.pid))
        tree.write("pids", "inside/cgroup.procs", str(parent.pid))
        parent.stdin.write(b"go\n")
        parent.stdin.flush()
        for _ in range(500):
            if len(tree.files.processes(tree.path("pids", "/inside"))) == 2:
                break
            subprocess.run(["sleep", "0.01"], check=True)
        assert parent.pid in tree.files.processes(tree.path("pids", "/inside"))
        assert len(tree.files.processes(tree.path("pids", "/inside"))) == 2
        assert tree.files.processes(tree.path("pids")) == []
    finally:
        os.killpg(parent.pid, 9)
        parent.wait()
        parent.stdin.close()
