"""Words of mount options: each does what mount(8) says, and only that."""

from __future__ import annotations

import pytest

from corelaunch.errors import ConfigError
from corelaunch.spec.mount_options import ATIME_MASK, PROPAGATION, MountOptions, known_words

RUNC_WORDS = (
    "acl async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noacl noatime nodev "
    "nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private "
    "ratime rbind rdev rdiratime relatime rexec rnoatime rnodev rnodiratime rnoexec rnorelatime "
    "rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid "
    "rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable"
).split()
#: "acl" and "noacl" are an option of some filesystems today, and handed to them.
HANDED_ON = ("acl", "noacl")


@pytest.mark.parametrize("word", RUNC_WORDS)
def test_every_word_of_runc_is_known(word: str) -> None:
    assert word in known_words() or word in HANDED_ON
    assert MountOptions([word], "mounts[0]").data == ([word] if word in HANDED_ON else [])


@pytest.mark.parametrize(
    ("words", "on", "off"),
    [
        ([], 0, 0),
        (["ro"], 1, 0),
        (["rw"], 0, 1),
        (["ro", "rw"], 0, 1),
        (["rw", "ro"], 1, 0),
        (["nosuid", "nodev", "noexec"], 14, 0),
        (["suid", "dev", "exec"], 0, 14),
        (["noatime"], 0x10, ATIME_MASK),
        (["noatime", "strictatime"], 0x20, ATIME_MASK),
        (["strictatime", "relatime"], 0, ATIME_MASK),
        (["nodiratime"], 0x80, 0),
        (["nosymfollow"], 0x200000, 0),
        (["defaults"], 0, 0),
    ],
)
def test_attributes_are_set_and_cleared_as_asked_and_the_last_word_counts(words: list[str], on: int, off: int) -> None:
    options = MountOptions(words, "mounts[0]")
    assert (options.set, options.clear) == (on, off)
    assert options.attributes == on | off << 32
    tree = MountOptions([f"r{word}" for word in words if word != "defaults"], "mounts[0]")
    assert (tree.set, tree.clear) == (0, 0)
    assert tree.tree_attributes == options.attributes


def test_no_bit_is_both_set_and_cleared_but_those_of_access_times() -> None:
    words = known_words()
    for first in words:
        for second in words:
            if first in PROPAGATION and second in PROPAGATION:
                continue
            options = MountOptions([first, second], "mounts[0]")
            assert not options.set & options.clear & ~ATIME_MASK, (first, second)
            assert not options.tree_set & options.tree_clear & ~ATIME_MASK, (first, second)


def test_rbind_makes_a_bind_recursive_whatever_follows() -> None:
    options = MountOptions(["rbind", "bind"], "mounts[0]")
    assert options.bind
    assert options.recursive
    assert not MountOptions(["bind"], "mounts[0]").recursive


def test_what_nobody_knows_goes_to_the_filesystem() -> None:
    options = MountOptions(["size=1k", "nosuid", "newinstance", "sync", "async", "silent"], "mounts[0]")
    assert options.data == ["size=1k", "newinstance"]
    assert options.superblock == ["sync"]


def test_one_propagation_type_is_enough() -> None:
    assert MountOptions(["rslave", "rslave"], "mounts[0]").propagation == PROPAGATION["rslave"]
    with pytest.raises(ConfigError, match=r"mounts\[0\]\.options: more than one propagation type"):
        MountOptions(["rslave", "slave"], "mounts[0]")


@pytest.mark.parametrize(("word", "tree"), [("idmap", False), ("ridmap", True)])
def test_an_id_mapped_mount_is_so_alone_or_with_its_tree(word: str, tree: bool) -> None:
    options = MountOptions(["bind", word], "mounts[3]")
    assert (options.id_mapped, options.id_mapped_tree, options.data) == (True, tree, [])
    assert not MountOptions(["bind"], "mounts[3]").id_mapped
