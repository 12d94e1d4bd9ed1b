"""Removing what a journal proves to be ours, in whatever process and whenever that is.

Whose a CLOS is: one without a closID is the container's, and goes with it, whoever has put processes into it. One of
a closID is the class of that name, not the container's: it stays when the container is deleted, also if the container
was the first of it and so made it (config-linux.md, IntelRdt: "MUST NOT remove"). Only if the launch ended before the
class was complete, it is taken back, unless somebody uses it already. A monitoring group is always the container's.
"""

from __future__ import annotations

import os
import time

from corelaunch.api import KernelError, boot_id, is_gone

from . import files, groups, mount
from .lock import SECONDS, Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from corelaunch.api import Effect, RdtPlacement

_WHAT = "cannot remove group"


def destroy(root: str, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
    """Remove the groups of the effects that are ours and there, newest first; ``root`` is "" if nothing is mounted.

    Raises:
        KernelError: the kernel refused, or the filesystem is mounted where we cannot see it.
        DeadlineExceeded: somebody holds the lock.
    """
    if not effects or placement.extra.get("boot_id") != boot_id():
        return  # the groups of another boot went with it, and what has their names now is somebody else's
    if not root:
        if mount.active_elsewhere():
            missing = mount.missing()
            raise KernelError(_WHAT, where=placement.clos, why=missing.why, hint=missing.hint)
        return  # unmounting the last mount has removed every group
    with Lock(root, time.monotonic() + SECONDS):
        for effect in effects:
            path = mount.moved(effect.args["path"], placement.extra.get("root", root), root)
            try:
                if _is_ours(path, effect) and not _must_stay(path, effect, placement):
                    os.rmdir(path)
            except OSError as error:
                if not is_gone(error):
                    raise files.refusal(_WHAT, path, error) from error


def _is_ours(path: str, effect: Effect) -> bool:
    """Whether what is there is what we made. FileNotFoundError: nothing is there."""
    found = os.stat(path, follow_symlinks=False)
    if not effect.done:
        # Killed between announcing and confirming: it was absent then, and is ours if it is as it was made.
        return not _used(path)
    if (found.st_dev, found.st_ino) != (effect.facts["dev"], effect.facts["ino"]):
        return False
    token = effect.facts.get("token")
    return not token or groups.mark_of(path).partition(" ")[0] == token


def _must_stay(path: str, effect: Effect, placement: RdtPlacement) -> bool:
    if effect.kind != "clos" or not placement.extra.get("clos_id"):
        return False
    return bool(effect.facts.get("complete")) or _used(path)


def _used(path: str) -> bool:
    """Whether a group has processes, CPUs or monitoring groups."""
    if files.value(f"{path}/tasks"):
        return True
    if files.value(f"{path}/cpus_list"):
        return True
    try:
        return bool(os.listdir(f"{path}/mon_groups"))
    except OSError:
        return False
