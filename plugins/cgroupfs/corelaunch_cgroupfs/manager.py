"""The cgroup manager of the entry point ``cgroupfs``. What is not needed by every launch is imported when it is."""

from __future__ import annotations

import os

from corelaunch.api import CgroupManager, CorelaunchError, cgroup_hierarchies, hookimpl, in_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from corelaunch.api import CgroupPlacement, CgroupRequest, CgroupStats, Effect, LaunchContext, ProcessHandle

    from .rollback import Writes

corelaunch_api = 1

_EVERYWHERE = "limits update freeze stats oom oom-events kill plain-directories adopt rdma cgroup-v1 cgroup-v2".split()


class CgroupfsManager(CgroupManager):
    """Cgroups through the kernel's files: a directory in every hierarchy that is mounted."""

    def __init__(self) -> None:
        self._features: frozenset[str] = frozenset()

    @property
    def features(self) -> frozenset[str]:  # type: ignore[override]
        """What the hierarchies of this host allow; looked up once."""
        if not self._features:
            if any(hierarchy.version == 1 for hierarchy in cgroup_hierarchies()):
                more = {"devices", "self-join"}
            else:  # nobody has to join the cgroup of v2 that it was born in
                more = {"unified"} | ({"pressure"} if os.path.exists("/proc/pressure") else set())
                if os.geteuid() == 0 and not in_user_namespace():
                    more |= {"devices", "delegate"}
            self._features = frozenset({*_EVERYWHERE, *more})
        return self._features

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """See :func:`layout.place`; what this host cannot limit is refused here, before anything is made."""
        from . import layout, needs

        placement = layout.place(request)
        needs.check(placement, request.resources)
        return placement

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        """See :func:`directories.create`."""
        from . import directories

        directories.create(placement, request, ctx)

    def adopt(self, placement: CgroupPlacement, request: CgroupRequest) -> None:
        """See :func:`directories.adopt`."""
        from . import directories

        directories.adopt(placement, request)

    def add_process(self, placement: CgroupPlacement, process: ProcessHandle) -> None:
        """See :func:`membership.add_process`."""
        from . import membership

        membership.add_process(placement, process)

    def open_join_files(self, placement: CgroupPlacement) -> list[int]:
        """See :func:`membership.open_join_files`; refused where there is no v1 hierarchy to join."""
        from . import membership

        if "self-join" not in self.features:
            raise self.unsupported("open_join_files", "self-join")
        return membership.open_join_files(placement)

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """Write limits: all properties that are there, in the order that the kernel's own rules ask for."""
        _write(placement, resources, None)

    def update_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """Write limits of a container that runs: all of them, or none (see :mod:`rollback`)."""
        from .rollback import Writes

        writes = Writes()
        try:
            _write(placement, resources, writes)
        except CorelaunchError as error:
            refused = writes.undo()
            if refused:
                error.hint = f"not set back: {', '.join(refused)}"
            raise

    def freeze(self, placement: CgroupPlacement) -> None:
        """See :func:`freezer.freeze`."""
        from . import freezer

        freezer.freeze(placement)

    def thaw(self, placement: CgroupPlacement) -> None:
        """See :func:`freezer.thaw`."""
        from . import freezer

        freezer.thaw(placement)

    def frozen(self, placement: CgroupPlacement) -> bool:
        """See :func:`freezer.frozen`."""
        from . import freezer

        return freezer.frozen(placement)

    def processes(self, placement: CgroupPlacement) -> list[int]:
        """See :func:`membership.processes`."""
        from . import membership

        return membership.processes(placement)

    def kill(self, placement: CgroupPlacement) -> None:
        """See :func:`membership.kill`."""
        from . import membership

        membership.kill(placement)

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        """Figures of every controller that the placement has."""
        from . import layout

        if layout.is_v2(placement.paths):
            from .stats_v2 import read_v2

            return read_v2(placement.paths[""])
        from .stats_v1 import read_v1

        return read_v1(placement.paths)

    def oom_kill_count(self, placement: CgroupPlacement) -> int:
        """``oom_kill`` of memory.oom_control (v1) or memory.events (v2); 0 if it is gone or not counted."""
        from .files import keys

        if "memory" in placement.paths:
            return keys(f"{placement.paths['memory']}/memory.oom_control").get("oom_kill", 0)
        return keys(f"{placement.paths.get('', '')}/memory.events").get("oom_kill", 0)

    def open_oom_events(self, placement: CgroupPlacement) -> tuple[int, int]:
        """See :func:`oom_events.open_events`."""
        from . import oom_events

        return oom_events.open_events(placement)

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        """See :func:`directories.destroy`."""
        from . import directories

        directories.destroy(placement, effects)


def _write(placement: CgroupPlacement, resources: Mapping[str, Any], writes: Writes | None) -> None:
    """``writes`` notes what was there before; None: nothing will be set back."""
    from . import layout, needs

    needs.check(placement, resources)
    if layout.is_v2(placement.paths):
        from .limits_v2 import write_v2

        write_v2(placement.paths[""], resources, writes)
    elif placement.paths:
        from .limits_v1 import write_v1

        write_v1(placement.paths, resources, writes)


@hookimpl
def corelaunch_cgroup_manager() -> CgroupManager:
    """The manager for this host; it keeps no state per container."""
    return CgroupfsManager()
