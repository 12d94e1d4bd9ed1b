"""Making and removing the directories of a cgroup: exclusively, announced one by one, and only what is ours."""

from __future__ import annotations

import errno
import os
import time

from corelaunch.api import AlreadyExists, KernelError, Unsupported, is_gone

from . import files, tree
from .layout import is_v2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from corelaunch.api import CgroupPlacement, CgroupRequest, Effect, LaunchContext

#: How long a cgroup without living processes may refuse to go (v1: their exit is accounted a moment later).
BUSY_SECONDS = 5.0

#: The files of a cgroup v2 that are given to whom it is delegated, as the kernel says.
_DELEGATED = "/sys/kernel/cgroup/delegate"

#: How often a parent may vanish under our hands because the container that made it is being deleted.
_RACES = 8


def create(placement: CgroupPlacement, request: CgroupRequest, ctx: LaunchContext) -> None:
    """Make the directory in every hierarchy, with the parents that are missing.

    Raises:
        AlreadyExists: there is such a cgroup; nothing was changed, unless it came into being this very moment.
        Unsupported: the place is not in a cgroup filesystem.
        KernelError: mkdir was refused.
    """
    directories = list(dict.fromkeys(placement.paths.values()))
    # All are looked at before the first is made: what core kills and removes after a failure must be ours in all.
    for directory in directories:
        if os.path.lexists(directory):
            raise AlreadyExists(
                "cgroup exists already",
                where=directory,
                why="it is not of this container",
                hint="choose another linux.cgroupsPath, or remove it if nobody uses it",
            )
    for directory in directories:
        _make(directory, ctx)
        if directory == placement.paths.get("cpuset"):
            _inherit_cpuset(directory)
    _finish(placement, request)


def adopt(placement: CgroupPlacement, request: CgroupRequest) -> None:
    """Finish directories that somebody else has made, as those that :func:`create` makes.

    Raises:
        KernelError: the kernel refused.
    """
    if "cpuset" in placement.paths:
        _inherit_cpuset(placement.paths["cpuset"])
    _finish(placement, request)


def _finish(placement: CgroupPlacement, request: CgroupRequest) -> None:
    unified = placement.paths.get("", "")
    if is_v2(placement.paths):
        from . import controllers

        controllers.enable(unified, None)
        controllers.check_type(unified)
        if request.owner_uid >= 0:
            # On hybrid hosts the v1 directories stay root's: v1 is not safe to be delegated.
            _delegate(unified, request.owner_uid, request.owner_gid)
    elif unified and request.resources.get("hugepageLimits"):
        from . import controllers

        controllers.enable(unified, ("hugetlb",))  # of a hybrid host nothing is enabled that was not asked for


def _make(directory: str, ctx: LaunchContext) -> None:
    """Make a directory and its missing parents."""
    for attempt in range(_RACES):
        missing = _missing_parents(directory)
        try:
            for parent in missing:
                try:
                    ctx.directory("cgroup", parent)
                except AlreadyExists:
                    pass  # another container made it just now: it is theirs
            ctx.directory("cgroup", directory)
        except KernelError as error:
            if error.errno == errno.ENOENT and attempt < _RACES - 1:
                continue
            raise
        return


def _missing_parents(directory: str) -> list[str]:
    missing: list[str] = []
    parent = os.path.dirname(directory)
    while not os.path.isdir(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    # A hierarchy that was unmounted since would leave a plain directory here, in a tmpfs.
    if not os.access(f"{parent}/cgroup.procs", os.F_OK):
        raise Unsupported("cannot make a cgroup", where=directory, why=f"{parent} is not in a cgroup filesystem")
    return missing[::-1]


def _inherit_cpuset(directory: str) -> None:
    """A new cpuset of v1 has no CPUs and no memory nodes, and then takes no process (cpuset(7)).

    Those above that have none get them, too, whoever made them: another launch is at it, or was killed there.
    """
    for name in ("cpuset.cpus", "cpuset.mems"):
        try:
            _inherit(directory, name)
        except OSError as error:
            raise KernelError.of(f"cannot inherit {name}", error, where=directory) from error


def _inherit(directory: str, name: str) -> str:
    path = f"{directory}/{name}"
    value = files.read(path)
    if not value:
        value = _inherit(os.path.dirname(directory), name)
        files.write(path, value)
    return value


def _delegate(unified: str, uid: int, gid: int) -> None:
    """Let whoever the container's first process is manage his cgroup (runtime-spec, "Cgroup ownership").

    The kernel lists the files that are to be his; the others are limits that hold for him (cgroups(7), "Cgroup
    delegation").
    """
    try:
        names = files.read(_DELEGATED).split()
    except OSError:
        names = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]  # as in Linux 4.14, before the list
    for name in ("", *names):
        path = f"{unified}/{name}" if name else unified
        try:
            os.chown(path, uid, gid, follow_symlinks=False)
        except OSError as error:
            if name and error.errno == errno.ENOENT:
                continue  # listed, but of a controller that is not enabled here
            raise KernelError.of("cannot delegate cgroup", error, where=path) from error


def destroy(placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
    """Remove the directories that are ours, newest first.

    Raises:
        KernelError: EBUSY, processes are left in one; it names them.
    """
    own = set(placement.paths.values())
    deadline = time.monotonic() + BUSY_SECONDS
    for effect in effects:
        if effect.kind != "cgroup":
            continue
        path = effect.args["path"]
        try:
            found = os.stat(path, follow_symlinks=False)
        except OSError as error:
            if is_gone(error):
                continue
            raise KernelError.of("cannot remove cgroup", error, where=path) from error
        if not effect.done:
            # Killed between announcing and confirming: ours only if it is as it was made, empty.
            _remove_if_empty(path)
        elif (found.st_dev, found.st_ino) != (effect.facts["dev"], effect.facts["ino"]):
            continue  # ours is gone, and this is somebody else's of the same name
        elif path in own:
            _remove(path, deadline)
        else:
            _remove_if_empty(path)  # a parent: others may have moved in


def _remove_if_empty(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError as error:
        if not is_gone(error) and error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise KernelError.of("cannot remove cgroup", error, where=path) from error


def _remove(path: str, deadline: float) -> None:
    pause = 0.0005
    while True:
        try:
            return tree.remove(path)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise KernelError.of("cannot remove cgroup", error, where=path) from error
            if time.monotonic() > deadline:
                held = ", ".join(map(str, sorted(processes_below([path])))) or "none that is seen here"
                raise KernelError.of(
                    "cannot remove cgroup", error, where=path, hint=f"processes in it: {held}"
                ) from error
        time.sleep(pause)
        pause = min(pause * 2, 0.1)


def processes_below(directories: Iterable[str]) -> set[int]:
    """Pids in these cgroups and everything below, as this pid namespace sees them."""
    pids: set[int] = set()
    for directory in directories:
        for fd in tree.walk(directory):
            pids.update(_read_pids(fd))
    pids.discard(0)  # how the kernel shows a process of another pid namespace, and we one that has ended
    return pids


def _read_pids(directory: int) -> list[int]:
    try:
        return _read_numbers("cgroup.procs", directory)
    except OSError as error:
        if is_gone(error):
            return []
        if error.errno != errno.EOPNOTSUPP:
            raise
    # A threaded cgroup of v2, whose threads are of processes in the domain above, which may not be ours.
    try:
        return [_process_of(thread) for thread in _read_numbers("cgroup.threads", directory)]
    except OSError as error:
        if is_gone(error):
            return []
        raise


def _read_numbers(name: str, directory: int) -> list[int]:
    fd = os.open(name, files.READ, dir_fd=directory)
    try:
        chunks = []
        while chunk := os.read(fd, 65536):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return [int(number) for number in b"".join(chunks).split()]


def _process_of(thread: int) -> int:
    """The process of a thread; 0 if it has ended."""
    try:
        status = files.read(f"/proc/{thread}/status")
    except OSError as error:
        if is_gone(error):
            return 0
        raise
    return next((int(line.split()[1]) for line in status.split("\n") if line.startswith("Tgid:")), 0)
