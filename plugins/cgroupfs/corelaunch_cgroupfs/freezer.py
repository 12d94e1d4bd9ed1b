"""Stopping and continuing all processes of a cgroup: the freezer of v1, or cgroup.freeze of v2."""

from __future__ import annotations

import errno
import os
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
    _set(directory, v1, frozen=True)
    try:
        if (_await_v1 if v1 else _await_v2)(directory, deadline):
            return
    except OSError as error:
        raise KernelError.of("cannot freeze cgroup", error, where=directory) from error
    _set(directory, v1, frozen=False)
    raise DeadlineExceeded(
        "cannot freeze cgroup",
        where=directory,
        why=f"its processes do not stop within {FREEZE_SECONDS:.0f} seconds",
    )


def _await_v1(directory: str, deadline: float) -> bool:
    """The v1 freezer tells nobody when it is done, and has to be asked again to try again."""
    rounds = 0
    while not _stopped(directory, v1=True):
        rounds += 1
        if time.monotonic() > deadline:
            return False
        if rounds % _ROUNDS == 0:
            _set(directory, v1=True, frozen=False)
        time.sleep(0.0005 if rounds < _ROUNDS else 0.01)
        _set(directory, v1=True, frozen=True)
    return True


def _await_v2(directory: str, deadline: float) -> bool:
    """The kernel wakes whoever polls cgroup.events when what it says has changed (cgroup-v2.rst, "freezer")."""
    import select

    fd = os.open(f"{directory}/cgroup.events", files.READ)
    try:
        waiter = select.poll()
        waiter.register(fd, select.POLLPRI)
        while b"frozen 1" not in os.pread(fd, 4096, 0).split(b"\n"):
            if not waiter.poll(max(0.0, deadline - time.monotonic()) * 1000) and time.monotonic() >= deadline:
                return b"frozen 1" in os.pread(fd, 4096, 0).split(b"\n")
        return True
    finally:
        os.close(fd)


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


def begin_freezing(placement: CgroupPlacement, *, unified: bool) -> str | None:
    """Start to freeze, without waiting; the controller of what is frozen, None where nothing is, or it is gone.

    Args:
        unified: whether the cgroup of v2 is frozen, if there is no v1 freezer.
    """
    controller = "freezer" if "freezer" in placement.paths else "" if unified and "" in placement.paths else None
    if controller is None:
        return None
    try:
        _write(placement.paths[controller], v1=controller == "freezer", frozen=True)
    except OSError as error:
        if is_gone(error):
            return None
        raise KernelError.of("cannot freeze cgroup", error, where=placement.paths[controller]) from error
    return controller


def thaw_unless_gone(placement: CgroupPlacement) -> None:
    """As :func:`thaw`; a cgroup that is gone has nothing to thaw."""
    try:
        thaw(placement)
    except KernelError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise


def _directory(placement: CgroupPlacement) -> tuple[str, bool]:
    """The cgroup with a freezer, and whether it is of v1."""
    if "freezer" in placement.paths:
        return placement.paths["freezer"], True
    if "" in placement.paths:
        return placement.paths[""], False
    raise Unsupported("cannot freeze cgroup", why="no freezer hierarchy is mounted")


def _set(directory: str, v1: bool, *, frozen: bool) -> None:
    try:
        _write(directory, v1=v1, frozen=frozen)
    except OSError as error:
        raise KernelError.of(f"cannot {'freeze' if frozen else 'thaw'} cgroup", error) from error


def _write(directory: str, *, v1: bool, frozen: bool) -> None:
    if v1:
        files.write(f"{directory}/freezer.state", "FROZEN" if frozen else "THAWED")
    else:
        files.write(f"{directory}/cgroup.freeze", str(int(frozen)))


def _stopped(directory: str, v1: bool) -> bool:
    if v1:
        return files.read(f"{directory}/freezer.state") == "FROZEN"
    return "frozen 1" in files.read(f"{directory}/cgroup.events").split("\n")
