"""What /proc tells about a process (proc(5)), and the id maps that are written there (user_namespaces(7))."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_READ = os.O_RDONLY | os.O_CLOEXEC
_LIMIT = 65536
_STATE = 0
_PARENT = 1
_PROCESS_GROUP = 2
_SESSION = 3
_START_TIME = 19

#: clone(2)
CLONE_NEWNS = 0x00020000
#: CLONE_NEW* -> its name below /proc/PID/ns (namespaces(7)), in the order in which runc joins them. The init knows
#: that the user namespace, first here, must wait (native/join.c).
NAMESPACES = {
    0x10000000: "user",
    0x08000000: "ipc",
    0x04000000: "uts",
    0x40000000: "net",
    0x20000000: "pid",
    CLONE_NEWNS: "mnt",
    0x02000000: "cgroup",
    0x00000080: "time",
}


def start_time(pid: int) -> int:
    """When the process started, in clock ticks after boot (field 22 of /proc/PID/stat); 0 if there is none."""
    return int(_stat(pid)[_START_TIME] or 0)


def identity(pid: int) -> tuple[int, str]:
    """:func:`start_time` and :func:`state_letter`, of one moment."""
    fields = _stat(pid)
    return int(fields[_START_TIME] or 0), fields[_STATE]


def state_letter(pid: int) -> str:
    """R, S, D, Z, T, t, X or I (field 3 of /proc/PID/stat); "" if there is no such process."""
    return _stat(pid)[_STATE]


def parent_pid(pid: int) -> int:
    """The parent's pid (field 4 of /proc/PID/stat); 0 if there is no such process, or its parent is out of sight."""
    return int(_stat(pid)[_PARENT] or 0)


def command_name(pid: int) -> str:
    """The name that the process gave itself (field 2 of /proc/PID/stat, PR_SET_NAME); "" if there is none."""
    text = _read(f"/proc/{pid}/stat")
    return text[text.index("(") + 1 : text.rindex(")")] if text else ""


def process_group(pid: int) -> int:
    """The process group's number (field 5 of /proc/PID/stat); 0 if there is no such process."""
    return int(_stat(pid)[_PROCESS_GROUP] or 0)


def session(pid: int) -> int:
    """The session's number (field 6 of /proc/PID/stat); 0 if there is no such process."""
    return int(_stat(pid)[_SESSION] or 0)


def pids() -> list[int]:
    """Pids of every process that /proc shows now."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def status_fields(pid: int) -> dict[str, str]:
    """/proc/PID/status as name -> value without blanks at its ends; {} if there is no such process."""
    lines = _lines(f"/proc/{pid}/status")
    return {name: value.strip() for name, separator, value in (line.partition(":") for line in lines) if separator}


def boot_id() -> str:
    """The random id of this boot: what a journal of another boot describes is gone (random(4))."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def is_this_boot(begin: Mapping[str, Any]) -> bool:
    """Whether what a journal says at its beginning is of this boot; a journal that does not say it is taken to be."""
    known = begin.get("boot_id")
    return known is None or known == boot_id()


def cgroups_of(pid: int | str) -> dict[str, str]:
    """Controllers -> path of the process's cgroup in that hierarchy (cgroups(7)); {} if there is no such process.

    The controllers stand as the kernel writes them: "cpu,cpuacct", "name=systemd", and "" for cgroup v2. ``pid`` may
    be "self".
    """
    groups = {}
    for line in _lines(f"/proc/{pid}/cgroup"):
        _, controllers, path = line.split(":", 2)
        groups[controllers] = path
    return groups


def read_id_map(pid: int, name: str) -> list[list[str]]:
    """The lines of a process's ``uid_map`` or ``gid_map`` as [inside, outside, length]; outside is as we see it."""
    return [line.split() for line in _lines(f"/proc/{pid}/{name}")]


def write_id_map(pid: int, name: str, text: str) -> None:
    """Write ``uid_map``, ``gid_map`` or ``setgroups`` of a process in a new user namespace.

    The kernel takes a map once and in one write(2).

    Raises:
        OSError: EPERM (we lack the right, or it is written already), EINVAL (the map is wrong).
    """
    if name not in ("uid_map", "gid_map", "setgroups"):
        raise ValueError(f"no id map is called {name!r}")
    fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def denies_setgroups(pid: int) -> bool:
    """Whether setgroups(2) is switched off in the user namespace of a process (user_namespaces(7))."""
    return _read(f"/proc/{pid}/setgroups") == "deny\n"


def in_user_namespace() -> bool:
    """Whether we are in another user namespace than the first, whose map is of all ids."""
    return _read("/proc/self/uid_map").split() != ["0", "0", "4294967295"]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: the second, the command, may hold blanks and brackets."""
    text = _read(f"/proc/{pid}/stat")
    return text[text.rindex(")") + 2 :].split(" ") if text else [""] * (_START_TIME + 1)


def _lines(path: str) -> list[str]:
    # Not splitlines(): names may hold form feeds and other characters that it takes for ends of lines.
    return [line for line in _read(path).split("\n") if line]


def _read(path: str) -> str:
    """The whole file; "" when the process is gone, before or while it is read."""
    try:
        fd = os.open(path, _READ)
    except (FileNotFoundError, ProcessLookupError):
        return ""
    try:
        chunks = []
        while chunk := os.read(fd, _LIMIT):
            chunks.append(chunk)
        return os.fsdecode(b"".join(chunks))
    except ProcessLookupError:
        return ""
    finally:
        os.close(fd)
