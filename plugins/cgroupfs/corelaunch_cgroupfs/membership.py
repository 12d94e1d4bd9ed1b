"""Processes of a cgroup: joining, listing, and killing all of them at once."""

from __future__ import annotations

import errno
import os
import time
from _signal import SIGKILL, pidfd_send_signal

from corelaunch.api import DeadlineExceeded, KernelError, cgroups_of, is_gone, start_time

from . import files, freezer, tree
from .directories import processes_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corelaunch.api import CgroupPlacement, ProcessHandle

#: Why a cgroup v2 takes no process, where the kernel's own word does not tell.
_RULES = {
    errno.EBUSY: "it has controllers enabled for cgroups below it (cgroups(7), no internal processes)",
    errno.EOPNOTSUPP: "it is threaded, or below a threaded cgroup (cgroups(7), thread mode)",
}

#: How many processes are held by a descriptor at once: who calls us may have few of these left.
_AT_ONCE = 128

#: How long killed processes may take to be gone; uninterruptible sleep can hold them up.
KILL_SECONDS = 10.0


def add_process(placement: CgroupPlacement, process: ProcessHandle) -> None:
    """Write the pid to cgroup.procs of every hierarchy in which the process is not yet there.

    Each write costs an RCU grace period (milliseconds), even if it changes nothing.

    Raises:
        KernelError: ESRCH, the process is gone; or what the kernel says.
    """
    if process.start_time and start_time(process.pid) != process.start_time:
        raise KernelError(f"cannot add process {process.pid} to cgroup", where="/proc", errno=errno.ESRCH)
    inner = placement.extra.get("inner", "")
    already: set[str] = set()
    for controllers, path in cgroups_of(process.pid).items():
        for controller in controllers.split(","):
            if path == (inner if isinstance(inner, str) else inner.get(controller)):
                already.add(controller)
    missing = {directory: None for controller, directory in placement.paths.items() if controller not in already}
    for directory in missing:
        path = f"{directory}/cgroup.procs"
        try:
            files.write(path, str(process.pid))
        except OSError as error:
            hint = _RULES.get(error.errno or 0, "")
            raise KernelError.of(f"cannot add process {process.pid} to cgroup", error, where=path, hint=hint) from error


def open_join_files(placement: CgroupPlacement) -> list[int]:
    """``tasks`` of each v1 hierarchy, for a blocked process that writes "0" itself."""
    opened: list[int] = []
    try:
        for directory in dict.fromkeys(path for controller, path in placement.paths.items() if controller):
            opened.append(os.open(f"{directory}/tasks", files.WRITE))
    except OSError as error:
        for fd in opened:
            os.close(fd)
        raise KernelError.of("cannot open cgroup", error) from error
    return opened


def processes(placement: CgroupPlacement) -> list[int]:
    """Pids of the cgroup in any hierarchy, and everything below; [] when it is gone."""
    try:
        return sorted(processes_below(dict.fromkeys(placement.paths.values())))
    except OSError as error:
        raise KernelError.of("cannot list processes of cgroup", error) from error


def kill(placement: CgroupPlacement) -> None:
    """Kill everything in the cgroup and below it, frozen or not, and wait until it is gone.

    On v2, and so on hybrid hosts, cgroup.kill does it in the kernel, safe against forks. What is only in a v1
    hierarchy, or in a threaded cgroup, which has no cgroup.kill, is frozen first, so that it cannot fork away from us,
    killed one by one, and thawed.

    Raises:
        DeadlineExceeded: some survived; the error names them.
    """
    deadline = time.monotonic() + KILL_SECONDS
    pause = 0.0002
    while True:
        by_kernel = _kill_unified(placement)
        left = processes(placement)
        if not left:
            return
        _kill_each(placement, left, freeze_unified=not by_kernel)
        if time.monotonic() > deadline:
            raise DeadlineExceeded(
                "cannot kill processes of cgroup",
                where=next(iter(placement.paths.values())),
                why=f"{', '.join(map(str, left))} still there after {KILL_SECONDS:.0f} seconds",
            )
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _kill_unified(placement: CgroupPlacement) -> bool:
    """Whether there was a cgroup.kill to do it."""
    unified = placement.paths.get("")
    if not unified:
        return False
    path = f"{unified}/cgroup.kill"
    try:
        files.write(path, "1")
    except OSError as error:
        if not is_gone(error) and error.errno != errno.EOPNOTSUPP:
            raise KernelError.of("cannot kill processes of cgroup", error, where=path) from error
        return False
    return True


def _kill_each(placement: CgroupPlacement, pids: list[int], *, freeze_unified: bool) -> None:
    frozen = freezer.begin_freezing(placement, unified=freeze_unified)
    try:
        for begin in range(0, len(pids), _AT_ONCE):
            _kill_some(placement, pids[begin : begin + _AT_ONCE])
    finally:
        if frozen == "freezer":
            _thaw_below(placement.paths["freezer"])
        elif frozen is not None:
            freezer.thaw_unless_gone(placement)  # v2 kills frozen processes, but whoever is left goes on


def _kill_some(placement: CgroupPlacement, pids: list[int]) -> None:
    fds: dict[int, int] = {}
    try:
        for pid in pids:
            try:
                fds[pid] = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
        # Listed again: a pid that was given to a stranger between listing and opening is not in it any more.
        still = set(processes(placement))
        for pid, fd in fds.items():
            if pid in still:
                try:
                    pidfd_send_signal(fd, SIGKILL)
                except ProcessLookupError:
                    pass
    finally:
        for fd in fds.values():
            os.close(fd)


def _thaw_below(directory: str) -> None:
    """Thaw a cgroup and those inside it (the container may have frozen them itself): v1 kills no frozen process."""
    for fd in tree.walk(directory):
        try:
            state = os.open("freezer.state", files.WRITE, dir_fd=fd)
            try:
                os.write(state, b"THAWED")
            finally:
                os.close(state)
        except OSError as error:
            if not is_gone(error):
                raise KernelError.of("cannot thaw cgroup", error, where=directory) from error
