"""The words of ``mounts[].options``: what each one means to the kernel (mount(8), mount_setattr(2)).

A word either sets and clears mount attributes, on the mount or on its whole tree, or is a property of the
superblock, a propagation type, or one of our own. All other words are data of the filesystem and go to it as they
are. Attributes that no word names are left alone: so what a mount inherits and what the kernel has locked
(user_namespaces(7)) stays by itself, and nothing has to be read back from the source.
"""

from __future__ import annotations

from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# MOUNT_ATTR_* of linux/mount.h
RDONLY = 0x1
NOSUID = 0x2
NODEV = 0x4
NOEXEC = 0x8
ATIME_MASK = 0x70
RELATIME = 0x0
NOATIME = 0x10
STRICTATIME = 0x20
NODIRATIME = 0x80
NOSYMFOLLOW = 0x200000

# MS_* of mount(2): propagation.
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000

#: word: (attributes to set, attributes to clear). The access times are one field: whoever sets one clears all.
ATTRIBUTES: dict[str, tuple[int, int]] = {
    "ro": (RDONLY, 0),
    "rw": (0, RDONLY),
    "nosuid": (NOSUID, 0),
    "suid": (0, NOSUID),
    "nodev": (NODEV, 0),
    "dev": (0, NODEV),
    "noexec": (NOEXEC, 0),
    "exec": (0, NOEXEC),
    "nosymfollow": (NOSYMFOLLOW, 0),
    "symfollow": (0, NOSYMFOLLOW),
    "nodiratime": (NODIRATIME, 0),
    "diratime": (0, NODIRATIME),
    "noatime": (NOATIME, ATIME_MASK),
    "atime": (RELATIME, ATIME_MASK),
    "relatime": (RELATIME, ATIME_MASK),
    "norelatime": (RELATIME, ATIME_MASK),
    "strictatime": (STRICTATIME, ATIME_MASK),
    "nostrictatime": (RELATIME, ATIME_MASK),
    "defaults": (0, 0),
}

#: The same for the whole tree below a bind (mount_setattr with AT_RECURSIVE). Some words say "do not": with the
#: access times that leaves the kernel's default, relatime.
RECURSIVE_ATTRIBUTES: dict[str, tuple[int, int]] = {
    **{f"r{word}": bits for word, bits in ATTRIBUTES.items() if word != "defaults"},
}

PROPAGATION: dict[str, int] = {
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}

#: word: what fsconfig(2) calls it; None: nothing to say to a new superblock, it is the default or means nothing there.
SUPERBLOCK: dict[str, str | None] = {
    "sync": "sync",
    "async": None,
    "dirsync": "dirsync",
    "lazytime": "lazytime",
    "nolazytime": None,
    "mand": "mand",
    "nomand": None,
    "iversion": "iversion",
    "noiversion": None,
    "silent": None,
    "loud": None,
}

_BIND = {"bind": False, "rbind": True}
_ID_MAPPED = {"idmap": False, "ridmap": True}


class MountOptions:
    """The options of one mount, sorted by what they do.

    Attributes:
        set, clear: attributes of the mount itself.
        tree_set, tree_clear: attributes of the whole tree (bind).
        propagation: MS_* of mount(2), 0 when nothing was said.
        bind, recursive: "bind" or "rbind" was among them.
        id_mapped, id_mapped_tree: "idmap" or "ridmap": owners go through the mount's id mappings (its whole tree's).
        copy_up: "tmpcopyup": a tmpfs begins with what lies below it.
        superblock: words of the superblock; the kernel ignores them on a bind.
        data: what goes to the filesystem, "key" or "key=value" each.
    """

    __slots__ = (
        "bind",
        "clear",
        "copy_up",
        "data",
        "id_mapped",
        "id_mapped_tree",
        "propagation",
        "recursive",
        "set",
        "superblock",
        "tree_clear",
        "tree_set",
    )

    def __init__(self, words: Sequence[str], where: str, document: str = "config.json") -> None:
        """Sort ``words``; ``where`` is the JSON path of the mount in ``document``, for errors.

        Raises:
            ConfigError: more than one propagation type, or "remount".
        """
        self.set = self.clear = self.tree_set = self.tree_clear = self.propagation = 0
        self.bind = self.recursive = self.copy_up = self.id_mapped = self.id_mapped_tree = False
        self.superblock: list[str] = []
        self.data: list[str] = []
        for word in words:
            if word in ATTRIBUTES:
                on, off = ATTRIBUTES[word]
                # the last word on a matter counts, as with mount(8)
                self.set = self.set & ~off | on
                self.clear = self.clear & ~on | off
            elif word in _BIND:
                self.bind = True
                self.recursive = self.recursive or _BIND[word]
            elif word in PROPAGATION:
                if self.propagation not in (0, PROPAGATION[word]):
                    raise ConfigError(document, where=f"{where}.options", why="more than one propagation type")
                self.propagation = PROPAGATION[word]
            elif word in RECURSIVE_ATTRIBUTES:
                on, off = RECURSIVE_ATTRIBUTES[word]
                self.tree_set = self.tree_set & ~off | on
                self.tree_clear = self.tree_clear & ~on | off
            elif word in SUPERBLOCK:
                known = SUPERBLOCK[word]
                if known is not None:
                    self.superblock.append(known)
            elif word == "tmpcopyup":
                self.copy_up = True
            elif word == "remount":
                raise ConfigError(document, where=f"{where}.options", why="a new mount cannot be a remount")
            elif word in _ID_MAPPED:
                self.id_mapped = True
                self.id_mapped_tree = self.id_mapped_tree or _ID_MAPPED[word]
            elif word:
                self.data.append(word)

    @property
    def attributes(self) -> int:
        """``set`` and ``clear`` as a record carries them: to set in the low 32 bits, to clear in the high ones."""
        return self.set | self.clear << 32

    @property
    def tree_attributes(self) -> int:
        """``tree_set`` and ``tree_clear``, likewise."""
        return self.tree_set | self.tree_clear << 32

    @property
    def read_only(self) -> bool:
        """The mount itself is to be read-only."""
        return bool(self.set & RDONLY)


def known_words() -> list[str]:
    """Every option that is not handed to the filesystem, sorted: ``features.mountOptions``."""
    words = {*ATTRIBUTES, *RECURSIVE_ATTRIBUTES, *PROPAGATION, *SUPERBLOCK, *_BIND, *_ID_MAPPED, "tmpcopyup"}
    return sorted(words)
