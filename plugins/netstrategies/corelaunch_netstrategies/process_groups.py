"""Process groups of programs that another process has started, ended by number and start time as in a journal."""

from __future__ import annotations

import os
import time
from _signal import SIGKILL, pidfd_send_signal

from corelaunch.api import DeadlineExceeded, start_time

#: From SIGKILL to the end.
_END_SECONDS = 10.0
#: Fields of /proc/PID/stat (proc(5)) behind the name of the command.
_STATE, _PARENT, _GROUP, _SESSION = 0, 1, 2, 3


def kill_group(leader: int, leader_start: int) -> None:
    """Kill a program that another process started, and its group, if it is still that program; wait for its end.

    As long as a group has members its number is not given to anybody else (fork(2) skips it). So a group whose leader
    is ours is ours. One that has no leader any more may be, and may as well be that of a daemon which got the number
    later, became a leader by setsid(2) and ended, as daemons do. Ours was made by setpgid(2), so it is no session.

    Raises:
        DeadlineExceeded: a process survived SIGKILL for ten seconds.
    """
    if start_time(leader) not in (0, leader_start):
        return  # the number has a new owner
    deadline = time.monotonic() + _END_SECONDS
    while members := [
        pid for pid in _group_members(leader) if start_time(pid) >= leader_start and _field(pid, _SESSION) != leader
    ]:
        for pid in members:
            _kill(pid, leader)
        if time.monotonic() > deadline:
            raise DeadlineExceeded("process does not die", where=", ".join(map(str, members)))
        time.sleep(0.005)
    _reap(leader, leader_start)


def _reap(pid: int, pid_start: int) -> None:
    """Reap a dead child of this process; that of another one is its parent's."""
    if start_time(pid) == pid_start and _field(pid, _PARENT) == os.getpid():
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return  # somebody else of this process has done it


def _kill(pid: int, group: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The pid may have changed hands between the look and the open; after the open it cannot.
        if _group_of(pid) == group:
            pidfd_send_signal(fd, SIGKILL)
            if os.getpid() == _field(pid, _PARENT):
                os.waitid(os.P_PIDFD, fd, os.WEXITED)
    except (ProcessLookupError, ChildProcessError):
        return  # it has gone meanwhile
    finally:
        os.close(fd)


def _group_members(group: int) -> list[int]:
    """Living processes of a process group."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if _group_of(pid) == group and _stat(pid)[_STATE] not in ("Z", "X")]


def _group_of(pid: int) -> int:
    return _field(pid, _GROUP)


def _field(pid: int, number: int) -> int:
    return int(_stat(pid)[number])


def _stat(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ["X", "0", "0", "0"]
    return text[text.rindex(")") + 2 :].split(" ")
