"""Stopping and continuing all processes of a cgroup: the freezer of v1, or cgroup.freeze of v2."""

from __future__ import annotations

import time

from corelaunch.api import DeadlineExceeded, KernelError, Unsupported, is_gone

from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corelaunch.api import CgroupPlacement

#: How long processes may take to stop; one in uninterruptible sleep never does.
FREEZE_SECONDS = 10.0

#: After so many rounds of FREEZING it is thawed for a moment: a process that waits for a stopped one (vfork) else
#: holds the whole cgroup up (kernel, Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst).
_ROUNDS = 50


def freeze(placement: CgroupPlacement) -> None:
    """Freeze, and return when every process stands still.

    Raises:
        DeadlineExceeded: it did not come to a stop, and is thawed again.
        KernelError: the kernel refused, or the cgroup is gone.
    """
    directory, v1 = _directory(placement)
    deadline = time.monotonic() + FREEZE_SECONDS
    rounds = 0
    while True:
        _set(directory, v1, frozen=True)
        try:
            if _stopped(directory, v1):
                return
        except OSError as error:
            raise KernelError.of("cannot freeze cgroup", error, where=directory) from error
        rounds += 1
        if time.monotonic() > deadline:
            _set(directory, v1, frozen=False)
            raise DeadlineExceeded(
                "cannot freeze cgroup",
                where=directory,
                why=f"its processes do not stop within {FREEZE_SECONDS:.0f} seconds",
            )
        if v1 and rounds % _ROUNDS == 0:
            _set(directory, v1, frozen=False)
        time.sleep(0.0005 if rounds < _ROUNDS else 0.01)


def thaw(placement: CgroupPlacement) -> None:
    """Let every process go on."""
    directory, v1 = _directory(placement)
    _set(directory, v1, frozen=False)


def frozen(placement: CgroupPlacement) -> bool:
    """Whether it is frozen; one that is gone is not."""
    directory, v1 = _directory(placement)
    try:
        return _stopped(directory, v1)
    except OSError as error:
        if is_gone(error):
            return False
        raise KernelError.of("cannot read cgroup", error, where=directory) from error


def begin_freezing(placement: CgroupPlacement) -> bool:
    """Start to freeze a v1 cgroup, without waiting; False where there is no freezer, or it is gone."""
    directory = placement.paths.get("freezer")
    if not directory:
        return False
    try:
        files.write(f"{directory}/freezer.state", "FROZEN")
    except OSError as error:
        if is_gone(error):
            return False
        raise KernelError.of("cannot freeze cgroup", error, where=directory) from error
    return True


def _directory(placement: CgroupPlacement) -> tuple[str, bool]:
    """The cgroup with a freezer, and whether it is of v1."""
    if "freezer" in placement.paths:
        return placement.paths["freezer"], True
    if "" in placement.paths:
        return placement.paths[""], False
    raise Unsupported("cannot freeze cgroup", why="no freezer hierarchy is mounted")


def _set(directory: str, v1: bool, *, frozen: bool) -> None:
    path = f"{directory}/freezer.state" if v1 else f"{directory}/cgroup.freeze"
    value = ("FROZEN" if frozen else "THAWED") if v1 else str(int(frozen))
    try:
        files.write(path, value)
    except OSError as error:
        raise KernelError.of(f"cannot {'freeze' if frozen else 'thaw'} cgroup", error, where=path) from error


def _stopped(directory: str, v1: bool) -> bool:
    if v1:
        return files.read(f"{directory}/freezer.state") == "FROZEN"
    return "frozen 1" in files.read(f"{directory}/cgroup.events").split("\n")
