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

#: EBUSY: the parent holds processes (no-internal-process rule, cgroups(7)); the others: it is not ours to change.
_NOT_TO_ENABLE = (errno.EBUSY, errno.EACCES, errno.EPERM, errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP)

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
    cpuset = placement.paths.get("cpuset", "")
    for directory in directories:
        for made in _make(directory, ctx):
            if directory == cpuset:
                _inherit_cpuset(made)
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
    if unified:
        _enable_controllers(unified, request, everything=is_v2(placement.paths))
        if request.owner_uid >= 0:
            _delegate(unified, request.owner_uid, request.owner_gid)


def _make(directory: str, ctx: LaunchContext) -> list[str]:
    """Make a directory and its missing parents; returns what was made, from the top down."""
    made: list[str] = []
    for attempt in range(_RACES):
        missing = _missing_parents(directory)
        try:
            for parent in missing:
                try:
                    ctx.directory("cgroup", parent)
                    made.append(parent)
                except AlreadyExists:
                    pass  # another container made it just now: it is theirs
            ctx.directory("cgroup", directory)
        except KernelError as error:
            if error.errno == errno.ENOENT and attempt < _RACES - 1:
                continue
            raise
        return [*made, directory]
    raise AssertionError("not reached")


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
    """A new cpuset of v1 has no CPUs and no memory nodes, and then takes no process (cpuset(7))."""
    parent = os.path.dirname(directory)
    for name in ("cpuset.cpus", "cpuset.mems"):
        try:
            if not files.read(f"{directory}/{name}"):
                files.write(f"{directory}/{name}", files.read(f"{parent}/{name}"))
        except OSError as error:
            raise KernelError.of(f"cannot inherit {name}", error, where=directory) from error


def _enable_controllers(unified: str, request: CgroupRequest, *, everything: bool) -> None:
    """Give the cgroup its v2 controllers: each must be enabled in every cgroup above it.

    Best effort: a control that is then missing is an error of :func:`set_resources`, if it is asked for. On a hybrid
    host nothing is enabled that was not asked for.
    """
    asked = {"hugetlb"} if request.resources.get("hugepageLimits") else set()
    if not everything and not asked:
        return
    ancestors = []
    parent = os.path.dirname(unified)
    while os.access(f"{parent}/cgroup.controllers", os.F_OK):
        ancestors.append(parent)
        parent = os.path.dirname(parent)
    for ancestor in reversed(ancestors):
        available = set(files.read(f"{ancestor}/cgroup.controllers").split())
        enabled = set(files.read(f"{ancestor}/cgroup.subtree_control").split())
        for controller in sorted((available if everything else available & asked) - enabled):
            try:
                files.write(f"{ancestor}/cgroup.subtree_control", f"+{controller}")
            except OSError as error:
                if error.errno not in _NOT_TO_ENABLE:
                    raise KernelError.of(f"cannot enable {controller}", error, where=ancestor) from error


def _delegate(unified: str, uid: int, gid: int) -> None:
    """Let the container's root manage its cgroup below this one (cgroups(7), "Cgroup delegation")."""
    for name in ("", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"):
        try:
            os.chown(unified + name, uid, gid)
        except OSError as error:
            raise KernelError.of("cannot delegate cgroup", error, where=unified + name) from error


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
    pids.discard(0)  # how the kernel shows a process of another pid namespace
    return pids


def _read_pids(directory: int) -> list[int]:
    try:
        fd = os.open("cgroup.procs", files.READ, dir_fd=directory)
        try:
            chunks = []
            while chunk := os.read(fd, 65536):
                chunks.append(chunk)
        finally:
            os.close(fd)
    except OSError as error:
        # A threaded cgroup of v2 refuses; its processes are listed in the domain above it.
        if is_gone(error) or error.errno == errno.EOPNOTSUPP:
            return []
        raise
    return [int(pid) for pid in b"".join(chunks).split()]
