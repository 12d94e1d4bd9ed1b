"""Id-mapped mounts: the owners of a bind's files are shown through the maps of a user namespace.

The kernel wants that user namespace as a descriptor. The container's own is that of its init; for other maps one is
made: by a stage 0 that is told to make a user namespace, is given its maps, and is killed as soon as we hold the
namespace open. If we are killed before that, it sees the end of its socket and exits: nothing of it needs a record.
"""

from __future__ import annotations

import os
from _signal import SIGKILL

from ..errors import KernelError
from ..kernel import native, pidfd
from ..plan.plan import Plan
from ..spec.namespaces import CLONE_NEWUSER
from .id_maps import write_maps
from .parent_process import PHASE_SECONDS, ParentProcess
from .stdio import ProcessIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..plan.operation import IdMap


def map_source(mount: int, path: str, id_map: IdMap, init: int, log: Callable[[str, str], None]) -> None:
    """Map the owners of a detached mount.

    Args:
        mount: its descriptor.
        path: where it was cloned from, for errors.
        id_map: the maps.
        init: pid of the container's init, our child.
        log: takes (level, message).

    Raises:
        KernelError: the filesystem cannot be mapped, or we may not.
    """
    try:
        if id_map.uid_map:
            namespace = _new_user_namespace(id_map, log)
        else:
            namespace = os.open(f"/proc/{init}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            native.map_mount(mount, namespace, recursive=id_map.tree)
        finally:
            os.close(namespace)
    except OSError as error:
        hint = "its filesystem must know id-mapped mounts, and we must be the first root of this host"
        raise KernelError.of("cannot map the owners of a mount", error, where=path, hint=hint) from error


def _new_user_namespace(id_map: IdMap, log: Callable[[str, str], None]) -> int:
    plan = Plan((), CLONE_NEWUSER, uid_map=id_map.uid_map, gid_map=id_map.gid_map)
    maker = ParentProcess(plan, log)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        stage0 = maker.spawn(ProcessIO(null, null, null))
        try:
            maker.greet()
            maker.channel.send("BOOTSTRAP", plan.bootstrap())
            maker.channel.expect("MAPPINGS_WANTED")
            write_maps(stage0, id_map.uid_map, id_map.gid_map)
            return os.open(f"/proc/{stage0.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            # It has not forked: stage 0 is all there is of it.
            pidfd.send_signal(stage0.pidfd, SIGKILL)
            pidfd.wait(stage0.pidfd, PHASE_SECONDS)
            maker.close()
    finally:
        os.close(null)
