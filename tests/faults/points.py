"""Kill points: every system call by which a verb changes something, found by watching it once with strace."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

#: Calls that change something outside the caller's memory, or speak to the other side.
CHANGING = frozenset(
    """
    mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 symlink symlinkat link linkat mknod mknodat
    write pwrite64 writev sendmsg sendto sendfile recvmsg recvfrom truncate ftruncate fallocate
    clone clone3 fork vfork execve execveat kill tgkill pidfd_send_signal pidfd_open waitid wait4 exit_group
    mount umount2 move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr pivot_root chroot chdir fchdir
    unshare setns sethostname setdomainname bind connect socket socketpair pipe2 memfd_create
    prctl capset setresuid setresgid setuid setgid setgroups setsid setpgid prlimit64 setrlimit
    sched_setaffinity sched_setattr ioprio_set personality seccomp keyctl flock chmod fchmod fchmodat chown fchown
    fchownat setxattr close_range
    """.split()
)
#: Calls that change something only with certain words in their arguments.
CHANGING_IF = {
    "open": ("O_CREAT", "O_WRONLY", "O_RDWR", "O_TRUNC"),
    "openat": ("O_CREAT", "O_WRONLY", "O_RDWR", "O_TRUNC"),
    "openat2": ("O_CREAT", "O_WRONLY", "O_RDWR", "O_TRUNC"),
    "fcntl": ("F_SETLK", "F_OFD_SETLK", "F_ADD_SEALS", "F_SETFL"),
    "ioctl": ("TIOC", "SIOCS"),
}
#: The first of these of a verb ends its plan phase: until then it only reads.
_FIRST_EFFECT = frozenset(
    {"mkdir", "mkdirat", "flock", "kill", "pidfd_send_signal", "clone3", "clone", "vfork", "fork"}
)

_LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*)$")
#: An interrupted clone shows its flags and its result on different lines; the parent_tid of a thread names it anyway.
_THREAD = re.compile(r"CLONE_THREAD.* = (\d+)$|resumed> => \{parent_tid=\[(\d+)\]")

PARENT, STAGE0, INIT = 0, 1, 2


@dataclass(frozen=True)
class Point:
    """Where to strike.

    Attributes:
        verb: the command that is struck: create, run, start, exec, delete, delete --force.
        at: which process reaches the call: 0 the command, 1 and 2 the processes it makes, in their order.
        syscall: the name of the call.
        n: the how-manieth such call of that process, from 1.
        victim: "parent" or "init" (whoever ``at`` is), or "both".
        threaded: the runtime has threads; ``n`` counts over all of them.
    """

    verb: str
    at: int
    syscall: str
    n: int
    victim: str
    threaded: bool = False

    def json(self) -> dict[str, str | int]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.verb}: {self.victim} at {('parent', 'stage 0', 'init')[self.at]}'s {self.syscall} #{self.n}"


@dataclass(frozen=True)
class Call:
    """One system call of a recording."""

    process: int
    syscall: str
    n: int
    arguments: str

    def changes(self) -> bool:
        words = CHANGING_IF.get(self.syscall)
        if words is not None:
            return any(word in self.arguments for word in words)
        return self.syscall in CHANGING


def read_recording(lines: list[str]) -> Iterator[Call]:
    """Parse the output of ``strace -f -o``: the entry of each call, counted for each process and name.

    Processes are numbered in the order of their first call; a thread counts for its process.
    """
    leader = threads_of(lines)
    numbers: dict[str, int] = {}
    counts: dict[tuple[int, str], int] = defaultdict(int)
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        tid, name, rest = match.groups()
        process = numbers.setdefault(leader.get(tid, tid), len(numbers))
        if "<... " in line[:30]:
            continue
        counts[process, name] += 1
        yield Call(process, name, counts[process, name], rest)


def threads_of(lines: Iterable[str]) -> dict[str, str]:
    """Which process each thread in a recording belongs to. A thread may speak before its clone has returned."""
    leader: dict[str, str] = {}
    for line in lines:
        thread = _THREAD.search(line)
        match = _LINE.match(line)
        if thread is not None and match is not None:
            leader[thread.group(1) or thread.group(2)] = leader.get(match.group(1), match.group(1))
    return leader


def points_of(verb: str, recording: Path, *, at: Iterable[int], both: bool, attached: bool = False) -> list[Point]:
    """The points of one recording.

    Args:
        at: which processes of the recording are victims.
        both: also strike parent and init together, at the same calls.
        attached: the recording is of a process that was attached to, not of a command: every call counts.
    """
    wanted = set(at)
    lines = recording.read_text(errors="replace").splitlines()
    calls = list(read_recording(lines))
    threaded = bool(threads_of(lines))
    found = []
    begun = attached
    executed: dict[int, int] = defaultdict(int)
    for call in calls:
        if not begun:
            begun = (
                call.process != PARENT
                or call.syscall in _FIRST_EFFECT
                or (call.syscall.startswith("open") and "O_CREAT" in call.arguments)
            )
        if not begun or call.process not in wanted or not call.changes():
            continue
        # After that many execve a process is the user's program: stage 0 begins with one, its child does not.
        if (attached or call.process != PARENT) and executed[call.process] >= (
            2 if call.process == STAGE0 and not attached else 1
        ):
            continue
        if call.syscall in ("execve", "execveat"):
            executed[call.process] += 1
        at_process = INIT if attached else call.process
        found.append(
            Point(verb, at_process, call.syscall, call.n, "parent" if at_process == PARENT else "init", threaded)
        )
        if both:
            found.append(Point(verb, at_process, call.syscall, call.n, "both", threaded))
    return found
