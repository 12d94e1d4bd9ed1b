"""Network strategies that are wrong on purpose when they check and collect; see network_wrong.py."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

from collections.abc import Callable, Sequence

from corelaunch.api import Effect, KernelError, LaunchContext, NetworkPlacement, NetworkRequest, ProcessHandle

from .network_reference import ReferenceVeth
from .network_rtnetlink import Rtnetlink


class FindsAllInOrder(ReferenceVeth):
    """Claims check, and looks at nothing."""

    def check(self, placement: NetworkPlacement, effects: Sequence[Effect], process: ProcessHandle) -> None:
        return


class ChecksFromMemory(ReferenceVeth):
    """Knows in the process that has made a link alone what it should be like."""

    def __init__(self) -> None:
        self.made: set[str] = set()

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        super().create(placement, process, ctx)
        self.made.add(placement.host_name)

    def check(self, placement: NetworkPlacement, effects: Sequence[Effect], process: ProcessHandle) -> None:
        if placement.host_name not in self.made:
            raise KernelError("never made", where=placement.host_name)
        super().check(placement, effects, process)


class TakesDownWhileChecking(ReferenceVeth):
    """Takes the link down while it looks, to have a quiet look at it."""

    def check(self, placement: NetworkPlacement, effects: Sequence[Effect], process: ProcessHandle) -> None:
        super().check(placement, effects, process)
        with Rtnetlink() as netlink:
            netlink.set_link(netlink.links()[placement.host_name].index, up=False)


class PretendsCheck(ReferenceVeth):
    """Does not claim check, and answers that all is well instead of refusing."""

    features = ReferenceVeth.features - {"check"}

    def check(self, placement: NetworkPlacement, effects: Sequence[Effect], process: ProcessHandle) -> None:
        return


_Living = Callable[[], Sequence[tuple[NetworkPlacement, Sequence[Effect]]]]


class CollectsEverything(ReferenceVeth):
    """Takes for garbage what it does not know from its own memory."""

    def collect(self, request: NetworkRequest, living: _Living) -> None:
        super().collect(request, list)


class CollectsNothing(ReferenceVeth):
    """Claims gc, and leaves all there is."""

    def collect(self, request: NetworkRequest, living: _Living) -> None:
        living()
