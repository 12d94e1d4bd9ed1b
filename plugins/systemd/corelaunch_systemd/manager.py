"""The cgroup manager of the entry point ``systemd``: it refuses, clearly and before anything is made."""

from __future__ import annotations

from corelaunch.api import CgroupManager, Unsupported, hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from corelaunch.api import CgroupPlacement, CgroupRequest, Effect, LaunchContext, ProcessHandle

corelaunch_api = 1


class SystemdManager(CgroupManager):
    """Claims nothing and makes nothing; ``place`` is the first thing that is called, and the first to refuse."""

    features = frozenset()
    needs_process = True

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """Refuse: Unsupported."""
        raise _refusal("place")

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        """Refuse: Unsupported."""
        raise _refusal("create")

    def add_process(self, placement: CgroupPlacement, process: ProcessHandle) -> None:
        """Refuse: Unsupported."""
        raise _refusal("add_process")

    def processes(self, placement: CgroupPlacement) -> list[int]:
        """Refuse: Unsupported."""
        raise _refusal("processes")

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        """Refuse: Unsupported. There is nothing that this release could have made."""
        raise _refusal("destroy")


def _refusal(operation: str) -> Unsupported:
    return Unsupported(
        f"{operation} is not supported",
        where="cgroup manager 'systemd'",
        why="this release of corelaunch-systemd cannot make scopes yet",
        hint="use --cgroup-manager cgroupfs",
    )


_MANAGER = SystemdManager()


@hookimpl
def corelaunch_cgroup_manager() -> CgroupManager:
    """The one manager."""
    return _MANAGER
