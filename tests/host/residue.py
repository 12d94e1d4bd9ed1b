"""The residue oracle: what a launch left behind outside itself, by comparing the machine before and after.

``snapshot(scope)`` reads the machine, ``diff(before, after)`` names what is new and what is gone. Only what a
:class:`Scope` can attribute to the caller is compared, because other users work on the same machine:

========= ===================================================================== ==========================
kind      read from                                                             attributed by
========= ===================================================================== ==========================
process   /proc/PID/{stat,cgroup,cmdline}, identity = pid + start time          descendant of the harness, or a mark
                                                                                in its cgroup or command line
cgroup    every mount of type cgroup or cgroup2, all directories below it       a mark in the path
mount     /proc/self/mountinfo                                                  all of them in a private mount
                                                                                namespace, else a mark in the line
link      /sys/class/net of the caller's network namespace                      a prefix of the name, or a mark in
                                                                                its alias
netns     /proc/PID/ns/net of attributed processes, and names in /run/netns     mark in the name
file      the trees in ``scope.trees`` (state root, bundle, private /tmp, /run) all of them
shared    names directly in ``scope.shared`` directories (a /tmp of everybody)  a mark in the name
key       /proc/keys                                                            a mark in the description
========= ===================================================================== ==========================

A mark is a string that only the caller uses, for example ``cl-f-4711``.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

KINDS = ("process", "cgroup", "mount", "link", "netns", "file", "shared", "key")

Snapshot = dict[str, frozenset[str]]


@dataclass(frozen=True)
class Scope:
    """What belongs to the caller.

    Attributes:
        marks: strings that appear in the names of the caller's containers and in no one else's.
        link_prefixes: prefixes of the caller's network links ("" would claim them all).
        trees: directories that are the caller's own; everything below is compared.
        shared: directories that others use too; only marked names directly in them are compared.
        private_mounts: the caller runs in a mount namespace of its own, so that every mount counts.
        ancestor: descendants of this process count; 0 for nobody. It should be a child subreaper
            (:func:`become_subreaper`), otherwise orphans leave the family.
        ignored, ignored_names: pids, and names of programs, that belong to the harness itself: a tracer, a reader.
    """

    marks: tuple[str, ...]
    link_prefixes: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    private_mounts: bool = False
    ancestor: int = 0
    ignored: frozenset[int] = field(default_factory=frozenset)
    ignored_names: frozenset[str] = field(default_factory=frozenset)

    def marked(self, text: str) -> bool:
        """True when a mark appears in ``text``."""
        return any(mark in text for mark in self.marks)


@dataclass(frozen=True)
class Residue:
    """What differs: ``left`` is new, ``lost`` was there before; both are sorted lines ``kind: object``."""

    left: tuple[str, ...]
    lost: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.left or self.lost)

    def kinds(self) -> tuple[str, ...]:
        """The kinds of resource that differ, in the order of KINDS."""
        seen = {line.partition(":")[0] for line in self.left + self.lost}
        return tuple(kind for kind in KINDS if kind in seen)

    def __str__(self) -> str:
        return (
            "\n".join([*(f"left {line}" for line in self.left), *(f"lost {line}" for line in self.lost)]) or "nothing"
        )


def snapshot(scope: Scope) -> Snapshot:
    """Read everything that ``scope`` claims. Objects that vanish while they are read are left out."""
    processes = _attributed(scope)
    return {
        "process": frozenset(p.line() for p in processes),
        "cgroup": frozenset(path for path in cgroup_directories() if scope.marked(path)),
        "mount": frozenset(m for m in _mounts() if scope.private_mounts or scope.marked(m)),
        "link": frozenset(_links(scope)),
        "netns": frozenset(_network_namespaces(scope, processes)),
        "file": frozenset(line for tree in scope.trees for line in _tree(tree)),
        "shared": frozenset(f"{d}/{n}" for d in scope.shared for n in _names(d) if scope.marked(n)),
        "key": frozenset(_keys(scope)),
    }


def diff(before: Snapshot, after: Snapshot) -> Residue:
    """Compare two snapshots of the same scope."""
    left = [f"{kind}: {thing}" for kind in KINDS for thing in sorted(after[kind] - before[kind])]
    lost = [f"{kind}: {thing}" for kind in KINDS for thing in sorted(before[kind] - after[kind])]
    return Residue(tuple(left), tuple(lost))


def settle(scope: Scope, before: Snapshot, seconds: float = 1.0) -> Residue:
    """The residue once the machine is quiet: reads again until nothing differs or ``seconds`` are over.

    A killed process needs a moment to leave the table and a network namespace to take its links along.
    """
    end = time.monotonic() + seconds
    pause = 0.01
    while True:
        reap_orphans(scope)
        residue = diff(before, snapshot(scope))
        if not residue or time.monotonic() > end:
            return residue
        time.sleep(pause)
        pause = min(pause * 2, 0.2)


def become_subreaper() -> None:
    """Make orphaned descendants children of this process (PR_SET_CHILD_SUBREAPER, prctl(2)).

    Raises:
        OSError: the kernel refused.
    """
    import ctypes

    PR_SET_CHILD_SUBREAPER = 36
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def reap_orphans(scope: Scope) -> None:
    """Collect dead children that were handed to us; a real machine's PID 1 does the same.

    Only when the scope's ancestor is the caller. Children in ``scope.ignored`` are left to their owner.
    """
    if scope.ancestor != os.getpid():
        return
    for process in processes():
        if process.parent == scope.ancestor and process.state == "Z" and process.pid not in scope.ignored:
            try:
                os.waitpid(process.pid, os.WNOHANG)
            except ChildProcessError:
                continue


@dataclass(frozen=True)
class Process:
    """One line of the process table."""

    pid: int
    parent: int
    state: str
    start_time: int
    name: str

    def line(self) -> str:
        return f"{self.pid} {self.name} started {self.start_time}"


def processes() -> list[Process]:
    """Every process that /proc shows now."""
    found = []
    for pid in _pids():
        text = _read(f"/proc/{pid}/stat")
        if text:
            # The name may hold blanks and parentheses: the fields start after the last ")" (proc(5)).
            name = text[text.find("(") + 1 : text.rfind(")")]
            fields = text[text.rfind(")") + 2 :].split()
            found.append(Process(pid, int(fields[1]), fields[0], int(fields[19]), name))
    return found


def cgroup_directories() -> Iterator[str]:
    """Path of every cgroup of every mounted hierarchy, v1 and v2."""
    for mountpoint in sorted(set(cgroup_mounts())):
        for directory, names, _ in os.walk(mountpoint):
            yield from (os.path.join(directory, name) for name in names)


def cgroup_mounts() -> list[str]:
    """Mount points of all cgroup file systems in this mount namespace."""
    return [
        line.split()[4]
        for line in _read("/proc/self/mountinfo").splitlines()
        if line.split(" - ")[1].startswith("cgroup")
    ]


def _attributed(scope: Scope) -> list[Process]:
    table = processes()
    parents = {process.pid: process.parent for process in table}
    skipped = scope.ignored | {os.getpid()}
    others = (p for p in table if p.pid not in skipped and p.name not in scope.ignored_names)
    return [p for p in others if _is_ours(scope, p, parents)]


def _is_ours(scope: Scope, process: Process, parents: dict[int, int]) -> bool:
    pid = process.pid
    while scope.ancestor and pid > 1:
        pid = parents.get(pid, 0)
        if pid == scope.ancestor:
            return not _has_ignored_ancestor(scope, process, parents)
    if scope.marked(_read(f"/proc/{process.pid}/cgroup")):
        return True
    # A parallel worker of the harness may carry the mark of all in its arguments, so the exact id decides.
    return scope.marked(_read(f"/proc/{process.pid}/cmdline")) and not _is_ancestor(process.pid, parents)


def _has_ignored_ancestor(scope: Scope, process: Process, parents: dict[int, int]) -> bool:
    pid = process.pid
    while pid > 1 and pid != scope.ancestor:
        if pid in scope.ignored:
            return True
        pid = parents.get(pid, 0)
    return False


def _is_ancestor(pid: int, parents: dict[int, int]) -> bool:
    above = os.getpid()
    while above > 1:
        above = parents.get(above, 0)
        if above == pid:
            return True
    return False


def _mounts() -> Iterator[str]:
    for line in _read("/proc/self/mountinfo").splitlines():
        fields = line.split()
        yield f"{fields[4]} from {fields[3]} id {fields[0]} ({line.split(' - ')[1]})"


def _links(scope: Scope) -> Iterator[str]:
    for name in _names("/sys/class/net"):
        ours = any(name.startswith(prefix) for prefix in scope.link_prefixes)
        if ours or scope.marked(_read(f"/sys/class/net/{name}/ifalias")):
            yield f"{name} index {_read(f'/sys/class/net/{name}/ifindex').strip()}"


def _network_namespaces(scope: Scope, processes_of_ours: list[Process]) -> Iterator[str]:
    own = os.readlink("/proc/self/ns/net")
    for process in processes_of_ours:
        try:
            target = os.readlink(f"/proc/{process.pid}/ns/net")
        except OSError:
            continue
        if target != own:
            yield target
    for name in _names("/run/netns"):
        if scope.marked(name):
            yield f"/run/netns/{name}"


def _tree(root: str) -> Iterator[str]:
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            try:
                mode = os.lstat(path).st_mode
            except OSError:
                continue
            yield f"{path} ({stat.filemode(mode)[0]})"


def _keys(scope: Scope) -> Iterator[str]:
    for line in _read("/proc/keys").splitlines():
        if scope.marked(line):
            fields = line.split(maxsplit=8)
            yield f"{fields[0]} {fields[7]} {fields[8]}"


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _read(path: str) -> str:
    """The text of a proc or sysfs file; "" when its object is gone or hides it."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # ENOENT, ESRCH, ENODEV, EACCES; EINVAL for a link that is on its way out
        return ""
