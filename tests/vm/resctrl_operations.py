"""Plays commands to a mounted resctrl file system and prints what became of each, one JSON array a line.

    python3 resctrl_operations.py /sys/fs/resctrl [SECONDS]

SECONDS is how long RMIDs of groups that are gone may take to be free again: the kernel looks once a second.
The same is played to the kernel in the guest and to the FUSE one (``corelaunch.testing.fuse_resctrl``), and the lines
are compared: [command, errno or what was read, info/last_cmd_status afterwards]. Only the standard library is used: the
guest's own Python runs it.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time

#: What a schemata file is written, in a row: what one of them leaves in the status the next one finds there.
SCHEMATA = (
    "L3:0=3\n",
    "L3:0=3",
    "\n",
    "L3\n",
    "L3:\n",
    "L3:0\n",
    "L3:x=3\n",
    "L3:-1=3\n",
    "L3: 0 = 3\n",
    "L3:;0=3\n",
    "L3:0=3; 1=3\n",
    "L3:9=3\n",
    "L3:0=3\n",
    "L3:0=5\n",
    "L3:0=0\n",
    "L3:0=ffffff\n",
    "L3:0=ffffffffffff\n",
    "L3:0=fffffffffffffffff\n",
    "L3:0=zz\n",
    "L3:0=\n",
    "L3:0=-3\n",
    "L3:0=3 # c\n",
    "L3:0=3,1=3\n",
    "L3:0=1\n",
    "L3:0=3;0=3\n",
    "L3:0=3\nL3:0=3\n",
    "L3:0=3\nL3:1=3\n",
    "XX:0=3\n",
    "l3:0=3\n",
    "L3CODE:0=3\n",
    "L2:0=3\n",
    "MB:0=9\n",
    "MB:0=101\n",
    "MB:0=0\n",
    "MB:0=a\n",
    "MB:0=-1\n",
    "MB:0=0x20\n",
    "MB:0=4294967296\n",
    "MB:0=11\n",
    "MB:1=70\nL3:0=f0\n",
    "L3:0=0x3\n",
    "L3:0=0X7\n",
    "L3:0=C\n",
    "L3:0=+3\n",
    " L3 :0=3\n",
    "\tL3:0=c\t\n",
    "L3:0=3\r\n",
    "L3:0=3;\n",
    "L3:0=3 ;1=3\n",
    "L3:0=3\nL3:1=5\n",
    "L3:0=ff\n" * 700,
)
TASKS = ("999999\n", "-1\n", "x\n", "{child}\n{child}\n", "{child},{child}\n", "{child}\n", " {child} ", "{child}")
MODES = ("exclusive\n", "shareable\n", "pseudo-locked\n", "pseudo-locksetup\n", "other\n", "shareable")
CPUS = (("cpus", "zz\n"), ("cpus", "ff\n"), ("cpus_list", "zz\n"), ("cpus_list", "99\n"), ("cpus_list", "1\n"))


def main(root: str, limbo_seconds: float = 3.0) -> None:
    """Play all of them."""
    child = subprocess.Popen(["sleep", "1000"])
    try:
        player = Player(root, str(child.pid))
        directories(player)
        files(player)
        ids(player, limbo_seconds)
    finally:
        child.kill()
        child.wait()


class Player:
    """Carries out commands and prints what became of them."""

    def __init__(self, root: str, child: str) -> None:
        self.root = root
        self.child = child

    def play(self, word: str, *arguments: str) -> None:
        """One command."""
        try:
            seen = getattr(self, f"do_{word}")(*(argument.replace("{child}", self.child) for argument in arguments))
        except OSError as error:
            seen = errno.errorcode[error.errno or 0]
        shown = [word, *(argument if len(argument) < 80 else f"{len(argument)} characters" for argument in arguments)]
        if isinstance(seen, str):
            seen = seen.replace(self.child, "{child}")
        status = self.do_read("info/last_cmd_status").replace(self.child, "{child}")
        print(json.dumps([" ".join(shown), seen, status]), flush=True)

    def path(self, name: str) -> str:
        """Below the root."""
        return f"{self.root}/{name}"

    def do_mkdir(self, name: str) -> None:
        os.mkdir(self.path(name))

    def do_rmdir(self, name: str) -> None:
        os.rmdir(self.path(name))

    def do_list(self, name: str) -> list[str]:
        return sorted(os.listdir(self.path(name)))

    def do_mode(self, name: str) -> str:
        found = os.stat(self.path(name))
        return f"{found.st_mode:o} {found.st_size}"

    def do_read(self, name: str) -> str:
        with open(self.path(name), encoding="ascii") as file:
            return file.read()

    def do_write(self, name: str, text: str) -> None:
        fd = os.open(self.path(name), os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def do_create(self, name: str) -> None:
        os.close(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL))

    def do_truncate(self, name: str) -> None:
        os.close(os.open(self.path(name), os.O_WRONLY | os.O_TRUNC))

    def do_unlink(self, name: str) -> None:
        os.unlink(self.path(name))

    def do_rename(self, name: str, other: str) -> None:
        os.rename(self.path(name), self.path(other))

    def do_symlink(self, name: str) -> None:
        os.symlink("x", self.path(name))

    def do_link(self, name: str, other: str) -> None:
        os.link(self.path(name), self.path(other))

    def do_chmod(self, name: str) -> None:
        os.chmod(self.path(name), 0o640)

    def do_mark(self, name: str, attribute: str) -> None:
        os.setxattr(self.path(name), attribute, b"1", os.XATTR_CREATE)

    def do_marks(self, name: str) -> list[str]:
        return os.listxattr(self.path(name))

    def do_unmark(self, name: str, attribute: str) -> None:
        os.removexattr(self.path(name), attribute)

    def do_removed(self, name: str, file: str) -> list[str]:
        """Read and write by descriptors of a group that is gone."""
        fds = [os.open(self.path(f"{name}/{file}"), flags) for flags in (os.O_RDONLY, os.O_WRONLY)]
        os.rmdir(self.path(name))
        seen = []
        for act in (lambda: os.read(fds[0], 10), lambda: os.write(fds[1], b"1\n")):
            try:
                act()
                seen.append("ok")
            except OSError as error:
                seen.append(errno.errorcode[error.errno or 0])
        for fd in fds:
            os.close(fd)
        return seen


def directories(player: Player) -> None:
    """Groups made and removed, and what is no group."""
    monitors = os.path.isdir(player.path("mon_groups"))
    player.play("mkdir", "a")
    for name in (".", "a", "a/mon_groups", "a/mon_data", "info", "info/L3", "info/L3_MON", "info/MB"):
        player.play("list", name)
    for name in ("", "a", "a/schemata", "a/tasks", "info", "info/L3/cbm_mask"):
        player.play("mode", name)
    player.play("mark", "a", "trusted.corelaunch.test")
    player.play("mark", "a", "trusted.corelaunch.test")
    player.play("mark", "a", "user.test")
    player.play("marks", "a")
    player.play("unmark", "a", "trusted.corelaunch.test")
    player.play("unmark", "a", "trusted.corelaunch.test")
    for name in ("a", "info", "a/x", "info/x", "x/y", "a\nb", *(("mon_groups", "mon_data/x") if monitors else ())):
        player.play("mkdir", name)
    if monitors:
        for name in ("a/mon_groups/m", "a/mon_groups/m", "a/mon_groups/m/x", "mon_groups/r"):
            player.play("mkdir", name)
        player.play("list", "a/mon_groups/m")
        player.play("write", "a/mon_groups/m/tasks", "{child}\n")
        player.play("write", "a/tasks", "{child}\n")
        player.play("write", "a/mon_groups/m/tasks", "{child}\n")
        for name in ("a/tasks", "a/mon_groups/m/tasks"):
            player.play("read", name)
        player.play("rmdir", "a/mon_groups/m")
        player.play("rmdir", "mon_groups/r")
    for name in ("info", "mon_groups", "a/mon_groups", "a/mon_data", "nothing", "a/tasks"):
        player.play("rmdir", name)
    for word in ("create", "symlink"):
        player.play(word, "a/new")
    player.play("truncate", "a/schemata")
    player.play("unlink", "a/tasks")
    player.play("rename", "a", "b")
    player.play("chmod", "a/tasks")


def files(player: Player) -> None:
    """What is written, refused and read back."""
    for name in ("schemata", "info/L3/cbm_mask", "info/L3/min_cbm_bits", "info/L3/num_closids", "a/size"):
        if name != "a/size":
            player.play("read", name)
    for text in SCHEMATA:
        player.play("write", "a/schemata", text)
        player.play("read", "a/schemata")
    player.play("write", "schemata", "L3:0=3;1=3\n")
    player.play("read", "schemata")
    for text in TASKS:
        player.play("write", "a/tasks", text)
        player.play("read", "a/tasks")
    for text in MODES:
        player.play("write", "a/mode", text)
        player.play("read", "a/mode")
    for name, text in CPUS:
        player.play("write", f"a/{name}", text)
        player.play("read", f"a/{name}")
    player.play("write", "cpus_list", "0\n")
    player.play("read", "cpus_list")
    player.play("write", "a/schemata", "L3:0=5\n")
    player.play("removed", "a", "schemata")
    player.play("read", "a/schemata")
    player.play("write", "info/last_cmd_status", "x\n")


def ids(player: Player, limbo_seconds: float) -> None:
    """CLOSIDs and RMIDs run out, and the status, too. What was removed before is out of limbo by now."""
    time.sleep(limbo_seconds)
    player.play("write", "schemata", "L3:0=5\n")
    _make_all(player, "g")
    for _ in range(40):
        player.play("write", "cpus_list", "zz\n")
    player.play("mkdir", "more")
    if os.path.isdir(player.path("mon_groups")):
        time.sleep(limbo_seconds)
        player.play("write", "schemata", "L3:0=3\n")
        _make_all(player, "mon_groups/m")
        player.play("rmdir", "mon_groups/m0")
        player.play("mkdir", "mon_groups/m0")
        player.play("mkdir", "more")
        time.sleep(limbo_seconds)
        player.play("mkdir", "mon_groups/m0")
    for directory in ("mon_groups", "."):
        if os.path.isdir(player.path(directory)):
            for name in sorted(os.listdir(player.path(directory))):
                if name[1:].isdigit():
                    os.rmdir(player.path(f"{directory}/{name}"))


def _make_all(player: Player, name: str) -> None:
    """Make groups until one is refused."""
    for number in range(64):
        player.play("mkdir", f"{name}{number}")
        if not os.path.isdir(player.path(f"{name}{number}")):
            return


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:]))
