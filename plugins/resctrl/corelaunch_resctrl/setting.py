"""Writing the schemata of a container's CLOS, unless it is one that others share."""

from __future__ import annotations

import time

from corelaunch.api import ConfigError, KernelError

from . import groups, schemata
from .lock import SECONDS, Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corelaunch.api import RdtPlacement, RdtRequest


def set_schemata(root: str, placement: RdtPlacement, request: RdtRequest) -> None:
    """Write what is asked, all of it or nothing.

    The CLOS of a closID got its schemata when it was made, and whoever joins it wants what it has: at a launch
    (``request.clos_id``) they are compared once more. An update may change it only for the container that made it.

    Raises:
        ConfigError: the CLOS is shared, and is not as it is asked for.
        KernelError: the kernel refused, with its words.
    """
    if not request.schemata:
        return
    with Lock(root, time.monotonic() + SECONDS):
        if request.clos_id:
            schemata.require_same(root, placement.clos, request.schemata)
            return
        if placement.extra.get("clos_id"):
            _require_maker(placement, request)
        groups.write_schemata(root, placement, request)


def _require_maker(placement: RdtPlacement, request: RdtRequest) -> None:
    try:
        maker = groups.mark_of(placement.clos).partition(" ")[2]
    except OSError as error:
        raise KernelError.of("cannot set schemata", error, where=placement.clos) from error
    if maker == request.container_id:
        return
    raise ConfigError(
        "cannot update the schemata of a shared CLOS",
        where=placement.clos,
        why=f"container {maker} made it" if maker else "it was there before the container",
        hint=f"write them to {placement.clos}/schemata, for all who share it, or create the container anew",
    )
