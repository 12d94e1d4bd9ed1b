"""The RDT manager of the entry point ``resctrl``: it refuses, clearly and before anything is made."""

from __future__ import annotations

from corelaunch.api import RdtManager, Unsupported, hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from corelaunch.api import Effect, LaunchContext, ProcessHandle, RdtPlacement, RdtRequest

corelaunch_api = 1


class ResctrlManager(RdtManager):
    """Claims nothing and makes nothing; ``place`` is the first thing that is called, and the first to refuse."""

    features = frozenset()

    def place(self, request: RdtRequest) -> RdtPlacement:
        """Refuse: Unsupported."""
        raise _refusal("place")

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        """Refuse: Unsupported."""
        raise _refusal("create")

    def add_process(self, placement: RdtPlacement, process: ProcessHandle) -> None:
        """Refuse: Unsupported."""
        raise _refusal("add_process")

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
        """Refuse: Unsupported. There is nothing that this release could have made."""
        raise _refusal("destroy")


def _refusal(operation: str) -> Unsupported:
    return Unsupported(
        f"{operation} is not supported",
        where="Intel RDT manager 'resctrl'",
        why="this release of corelaunch-resctrl cannot make groups yet",
        hint="leave linux.intelRdt out of config.json",
    )


_MANAGER = ResctrlManager()


@hookimpl
def corelaunch_rdt_manager() -> RdtManager:
    """The one manager."""
    return _MANAGER
