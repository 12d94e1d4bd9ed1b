"""The fake refuses as Linux 6.1 does: errno, and the words in info/last_cmd_status, as measured on a real one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corelaunch.testing.cgroup_subject import Subject
from corelaunch.testing.fake_resctrl import FakeResctrl


@pytest.fixture
def fake(tmp_path: Path) -> FakeResctrl:
    return FakeResctrl(tmp_path)


@pytest.fixture
def group(fake: FakeResctrl) -> str:
    fake.mkdir(f"{fake.root()}/g")
    return f"{fake.root()}/g"


@pytest.fixture
def subject() -> Iterator[Subject]:
    subject = Subject("exec sleep 1000")
    yield subject
    subject.end()


def status(fake: FakeResctrl) -> str:
    return fake.read(f"{fake.root()}/info/last_cmd_status")


@pytest.mark.parametrize(
    ("text", "number", "words"),
    [
        ("L3:0=3", errno.EINVAL, "ok\n"),
        ("", errno.EINVAL, "ok\n"),
        ("\n", errno.EINVAL, "Missing ':'\n"),
        ("L3\n", errno.EINVAL, "Missing ':'\n"),
        ("L3:\n", errno.EINVAL, "Missing 'L3' value\n"),
        ("L3:0\n", errno.EINVAL, "Missing '=' or non-numeric domain\n"),
        ("L3:x=3\n", errno.EINVAL, "Missing '=' or non-numeric domain\n"),
        ("L3:-1=3\n", errno.EINVAL, "Missing '=' or non-numeric domain\n"),
        ("L3:9=3\n", errno.EINVAL, "ok\n"),
        ("L3:0=5\n", errno.EINVAL, "The mask 5 has non-consecutive 1-bits\n"),
        ("L3:0=0\n", errno.EINVAL, "Mask out of range\n"),
        ("L3:0=ffff\n", errno.EINVAL, "Mask out of range\n"),
        ("L3:0=zz\n", errno.EINVAL, "Non-hex character in the mask zz\n"),
        ("L3:0=3;0=3\n", errno.EINVAL, "Duplicate domain 0\n"),
        ("L3:0=3\nL3:0=3\n", errno.EINVAL, "Duplicate domain 0\n"),
        ("XX:0=3\n", errno.EINVAL, "Unknown or unsupported resource name 'XX'\n"),
        ("l3:0=3\n", errno.EINVAL, "Unknown or unsupported resource name 'l3'\n"),
        ("MB:0=9\n", errno.EINVAL, "MB value 9 out of range [10,100]\n"),
        ("MB:0=101\n", errno.EINVAL, "MB value 101 out of range [10,100]\n"),
        ("MB:0=a\n", errno.EINVAL, "Invalid MB value a\n"),
        ("L3:0=3\n" * 700, errno.E2BIG, "ok\n"),
    ],
)
def test_schemata_that_the_kernel_refuses(fake: FakeResctrl, group: str, text: str, number: int, words: str) -> None:
    before = fake.read(f"{group}/schemata")
    with pytest.raises(OSError) as caught:
        fake.write(f"{group}/schemata", text)
    assert (caught.value.errno, status(fake)) == (number, words)
    assert fake.read(f"{group}/schemata") == before


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("L3:0=3\n", "    L3:0=003;1=fff"),
        ("L3:1=0x3;0=C\n", "    L3:0=00c;1=003"),
        (" L3 :0=3;\n", "    L3:0=003;1=fff"),
        ("MB:0=11\n", "    MB:0= 20;1=100"),
        ("MB:0=50\nL3:0=7\n", "    L3:0=007;1=fff"),
    ],
)
def test_schemata_that_the_kernel_takes(fake: FakeResctrl, group: str, text: str, line: str) -> None:
    fake.write(f"{group}/schemata", text)
    assert line in fake.read(f"{group}/schemata").split("\n")
    assert status(fake) == "ok\n"


def test_haswell_wants_two_bits(tmp_path: Path) -> None:
    fake = FakeResctrl(tmp_path, least_bits=2)
    with pytest.raises(OSError, match="Invalid argument"):
        fake.write(f"{fake.root()}/schemata", "L3:0=1\n")
    assert status(fake) == "Need at least 2 bits in the mask\n"


def test_closids_run_out(fake: FakeResctrl, group: str) -> None:
    for name in ("h", "i"):
        fake.mkdir(f"{fake.root()}/{name}")
    for text in ("Out of CLOSIDs\n", "Out of CLOSIDs\nOut of CLOSIDs\n"):
        with pytest.raises(OSError, match="No space left") as caught:
            fake.mkdir(f"{fake.root()}/j")
        assert (caught.value.errno, status(fake)) == (errno.ENOSPC, text)
    fake.rmdir(group)
    fake.mkdir(f"{fake.root()}/j")


@pytest.mark.parametrize(
    ("operation", "path", "number"),
    [
        ("mkdir", "g", errno.EEXIST),
        ("mkdir", "info", errno.EEXIST),
        ("mkdir", "mon_groups", errno.EEXIST),
        ("mkdir", "g/x", errno.EPERM),
        ("mkdir", "info/x", errno.EPERM),
        ("mkdir", "a\nb", errno.EINVAL),
        ("rmdir", "info", errno.EPERM),
        ("rmdir", "g/mon_groups", errno.EPERM),
        ("rmdir", "nothing", errno.ENOENT),
    ],
)
def test_directories_that_the_kernel_refuses(
    fake: FakeResctrl, group: str, operation: str, path: str, number: int
) -> None:
    with pytest.raises(OSError) as caught:
        getattr(fake, operation)(f"{fake.root()}/{path}")
    assert caught.value.errno == number


def test_tasks_move_between_groups_and_go_to_the_root_with_theirs(
    fake: FakeResctrl, group: str, subject: Subject
) -> None:
    fake.mkdir(f"{fake.root()}/h")
    for name in ("g", "h"):
        fake.write(f"{fake.root()}/{name}/tasks", f"{subject.pid}\n")
    assert (fake.tasks(group), fake.tasks(f"{fake.root()}/h")) == ([], [subject.pid])
    fake.rmdir(f"{fake.root()}/h")
    assert not os.path.exists(f"{fake.root()}/h")


def test_tasks_that_the_kernel_refuses(fake: FakeResctrl, group: str, subject: Subject) -> None:
    for text, number, words in (("99999999\n", errno.ESRCH, "No task 99999999\n"), ("x", errno.EINVAL, None)):
        with pytest.raises(OSError) as caught:
            fake.write(f"{group}/tasks", text)
        assert caught.value.errno == number
        assert words is None or status(fake) == words
    fake.mkdir(f"{group}/mon_groups/m")
    with pytest.raises(OSError, match="Invalid argument"):
        fake.write(f"{group}/mon_groups/m/tasks", f"{subject.pid}\n")
    assert status(fake) == "Can't move task to different control group\n"


def test_files_of_a_group_that_is_gone_are_gone(fake: FakeResctrl, group: str) -> None:
    fake.rmdir(group)
    for name in ("schemata", "tasks"):
        with pytest.raises(OSError) as caught:
            fake.read(f"{group}/{name}")
        assert caught.value.errno in (errno.ENOENT, errno.ENODEV)
