"""Making the groups of a container: announced, exclusive, marked as ours; a CLOS of others is joined as it is."""

from __future__ import annotations

import errno
import os
import time

from corelaunch.api import AlreadyExists, ConfigError, KernelError

from . import check, files, schemata
from .lock import Lock, patience

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corelaunch.api import Effect, LaunchContext, RdtPlacement, RdtRequest

#: RMIDs of groups that are gone stay in limbo until their cache lines are; the kernel looks once a second.
LIMBO_SECONDS = 5.0
_LONGEST_PAUSE = 0.8

#: Name of the extended attribute that marks a group as made by us. Its value is ``TOKEN CONTAINER``: the kernel
#: counts inodes anew with each mount, so device and inode do not tell our group from one of a later mount.
MARK = "trusted.corelaunch.group"
_UNMARKED = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP)


def create(root: str, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
    """Make the CLOS, or join the one of the closID, and make the monitoring group.

    A CLOS that is made for a closID has its schemata before the lock is released, so that whoever joins it finds it
    whole; the effect says ``complete`` from then on (see :mod:`removal`).

    Raises:
        AlreadyExists: somebody else's group has the container's name.
        ConfigError: a closID that does not exist and has no schemata, or whose schemata are others.
        KernelError: the kernel refused; the hint says who has what is used up.
        DeadlineExceeded: somebody holds the lock.
    """
    with Lock(root, patience(ctx.deadline)) as lock:
        effects = []
        if not _join(root, placement, request):
            try:
                effects.append(_make(root, placement.clos, "clos", request, ctx, lock))
            except AlreadyExists:
                # Made this moment, by somebody who does not know the lock, or while we waited for an RMID.
                if not _join(root, placement, request):
                    raise
        if effects and request.clos_id and request.schemata:
            write_schemata(root, placement, request)
        if placement.monitoring:
            effects.append(_make(root, placement.monitoring, "monitoring", request, ctx, lock))
        for effect in effects:
            facts = effect.facts
            ctx.done(effect, **facts, complete=True)


def write_schemata(root: str, placement: RdtPlacement, request: RdtRequest) -> None:
    """Write the schemata of the CLOS, all lines at once. KernelError: with the kernel's words; nothing has changed."""
    lines = schemata.combined(request.schemata)
    path = f"{placement.clos}/schemata"
    try:
        files.write(root, path, "".join(f"{line}\n" for line in lines), "cannot set schemata")
    except KernelError as error:
        raise check.explained(root, error, lines) from error


def mark_of(path: str) -> str:
    """The mark of a group, "" if it has none or we may not see it. Raises FileNotFoundError."""
    try:
        return os.getxattr(path, MARK).decode("utf-8", "replace")
    except FileNotFoundError:
        raise
    except OSError:
        return ""


def _join(root: str, placement: RdtPlacement, request: RdtRequest) -> bool:
    """Whether there is a CLOS to join; False if it is to be made."""
    if os.path.isdir(placement.clos):
        if not request.clos_id:
            raise AlreadyExists(
                "CLOS exists already",
                where=placement.clos,
                why="it is not of this container",
                hint="give its name as closID to join it, remove it if nobody uses it, or choose another container id",
            )
        schemata.require_same(root, placement.clos, request.schemata)
        return True
    if request.clos_id and not request.schemata:
        why = "there is no such group, and no schemata to make it with"
        hint = f"make it first (mkdir {placement.clos}), or give schemata"
        raise ConfigError("cannot join CLOS", where=placement.clos, why=why, hint=hint)
    return False


def _make(root: str, path: str, kind: str, request: RdtRequest, ctx: LaunchContext, lock: Lock) -> Effect:
    """Make one group and mark it; waits for RMIDs in limbo."""
    give_up = patience(ctx.deadline, LIMBO_SECONDS)
    pause = 0.05
    while True:
        before = files.status(root)
        try:
            effect = ctx.directory(kind, path)
            break
        except KernelError as error:
            words = files.added(before, files.status(root))
            if error.errno != errno.EBUSY or time.monotonic() > give_up:
                raise _refused(root, path, kind, error, words) from error
        lock.pause(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    token = os.urandom(8).hex()
    try:
        os.setxattr(path, MARK, f"{token} {request.container_id}".encode(), os.XATTR_CREATE)
    except OSError as error:
        if error.errno not in _UNMARKED:
            raise KernelError.of(f"cannot mark {kind}", error, where=path) from error
        token = ""  # without CAP_SYS_ADMIN device and inode must do
    return ctx.done(effect, **effect.facts, **({"token": token} if token else {}))


def _refused(root: str, path: str, kind: str, error: KernelError, words: str) -> KernelError:
    from . import exhaustion

    cause = OSError(error.errno, os.strerror(error.errno))
    what = "cannot make CLOS" if kind == "clos" else "cannot make monitoring group"
    refusal = files.refusal(what, path, cause, words=words)
    refusal.hint = exhaustion.hint(root, kind, refusal) or refusal.hint
    return refusal
