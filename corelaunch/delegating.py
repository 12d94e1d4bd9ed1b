"""Managers that do what another one does, for plugins that change one thing of it: override that and nothing else."""

from __future__ import annotations

from .api import CgroupManager, RdtManager, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .api import (
        CgroupPlacement,
        CgroupRequest,
        CgroupStats,
        Effect,
        LaunchContext,
        ProcessHandle,
        RdtPlacement,
        RdtRequest,
    )

#: Members of linux.resources that a feature of the same word brings.
_OWN_FEATURES = ("devices", "rdma", "unified")


class DelegatingCgroupManager(CgroupManager):
    """A cgroup manager that hands every call to ``inner``.

    It claims what ``inner`` claims, or what of that is in ``keeps``; operations of other features are refused, and so
    are limits that ``limits_of`` of the subclass does not name.

    Attributes:
        inner: the manager that does the work: ``load_manager("cgroup_manager", "cgroupfs")``.
    """

    #: The features of ``inner`` that are claimed; None: all of them.
    keeps: frozenset[str] | None = None

    def __init__(self, inner: CgroupManager) -> None:
        self.inner = inner
        self.needs_process = inner.needs_process
        if self.limits_of is None:
            self.limits_of = inner.limits_of

    @property
    def features(self) -> frozenset[str]:  # type: ignore[override]
        """What both claim; asked anew each time, because it may depend on the host."""
        return self.inner.features if self.keeps is None else self.inner.features & self.keeps

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """Where ``inner`` places it; limits that are not claimed are refused."""
        if "limits" in self.features:
            self._check(request.resources)
        return self.inner.place(request)

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        """See :meth:`CgroupManager.create`."""
        self.inner.create(placement, request, process, ctx)

    def adopt(self, placement: CgroupPlacement, request: CgroupRequest) -> None:
        """See :meth:`CgroupManager.adopt`."""
        self._need("adopt", "adopt")
        self.inner.adopt(placement, request)

    def add_process(self, placement: CgroupPlacement, process: ProcessHandle) -> None:
        """See :meth:`CgroupManager.add_process`."""
        self.inner.add_process(placement, process)

    def open_join_files(self, placement: CgroupPlacement) -> list[int]:
        """See :meth:`CgroupManager.open_join_files`."""
        self._need("open_join_files", "self-join")
        return self.inner.open_join_files(placement)

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """See :meth:`CgroupManager.set_resources`."""
        self._need("set_resources", "limits")
        self._check(resources)
        self.inner.set_resources(placement, resources)

    def update_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """See :meth:`CgroupManager.update_resources`."""
        self._need("update_resources", "update")
        self._check(resources)
        self.inner.update_resources(placement, resources)

    def freeze(self, placement: CgroupPlacement) -> None:
        """See :meth:`CgroupManager.freeze`."""
        self._need("freeze", "freeze")
        self.inner.freeze(placement)

    def thaw(self, placement: CgroupPlacement) -> None:
        """See :meth:`CgroupManager.thaw`."""
        self._need("thaw", "freeze")
        self.inner.thaw(placement)

    def frozen(self, placement: CgroupPlacement) -> bool:
        """See :meth:`CgroupManager.frozen`."""
        self._need("frozen", "freeze")
        return self.inner.frozen(placement)

    def processes(self, placement: CgroupPlacement) -> list[int]:
        """See :meth:`CgroupManager.processes`."""
        return self.inner.processes(placement)

    def kill(self, placement: CgroupPlacement) -> None:
        """See :meth:`CgroupManager.kill`."""
        self._need("kill", "kill")
        self.inner.kill(placement)

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        """See :meth:`CgroupManager.stats`."""
        self._need("stats", "stats")
        return self.inner.stats(placement)

    def oom_kill_count(self, placement: CgroupPlacement) -> int:
        """See :meth:`CgroupManager.oom_kill_count`."""
        self._need("oom_kill_count", "oom")
        return self.inner.oom_kill_count(placement)

    def open_oom_events(self, placement: CgroupPlacement) -> tuple[int, int]:
        """See :meth:`CgroupManager.open_oom_events`."""
        self._need("open_oom_events", "oom-events")
        return self.inner.open_oom_events(placement)

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        """See :meth:`CgroupManager.destroy`."""
        self.inner.destroy(placement, effects)

    def _need(self, operation: str, feature: str) -> None:
        if feature not in self.features:
            raise self.unsupported(operation, feature)

    def _check(self, resources: Mapping[str, Any]) -> None:
        for member in resources:
            if member in _OWN_FEATURES:
                refused = member not in self.features and self.keeps is not None
            else:
                refused = self.limits_of is not None and member not in self.limits_of
            if refused:
                why = f"{type(self).__name__} does not claim it"
                raise Unsupported("cannot limit this", where=f"linux.resources.{member}", why=why, hint="leave it out")


class DelegatingRdtManager(RdtManager):
    """An RDT manager that hands every call to ``inner``, and claims what that claims, or what of it is in ``keeps``.

    Attributes:
        inner: the manager that does the work: ``load_manager("rdt_manager", "resctrl")``.
    """

    #: The features of ``inner`` that are claimed; None: all of them.
    keeps: frozenset[str] | None = None

    def __init__(self, inner: RdtManager) -> None:
        self.inner = inner

    @property
    def features(self) -> frozenset[str]:  # type: ignore[override]
        """What both claim; asked anew each time, because it may depend on the host."""
        return self.inner.features if self.keeps is None else self.inner.features & self.keeps

    def place(self, request: RdtRequest) -> RdtPlacement:
        """Where ``inner`` places it; what is asked of features that are not kept is refused."""
        for asked, feature in ((request.schemata, "schemata"), (request.monitoring, "monitoring")):
            if asked and self.keeps is not None and feature not in self.keeps:
                raise self.unsupported("place", feature)
        return self.inner.place(request)

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        """See :meth:`RdtManager.create`."""
        self.inner.create(placement, request, ctx)

    def add_process(self, placement: RdtPlacement, process: ProcessHandle) -> None:
        """See :meth:`RdtManager.add_process`."""
        self.inner.add_process(placement, process)

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        """See :meth:`RdtManager.set`."""
        if "schemata" not in self.features:
            raise self.unsupported("set", "schemata")
        self.inner.set(placement, request)

    def stats(self, placement: RdtPlacement) -> Mapping[str, Any]:
        """See :meth:`RdtManager.stats`."""
        if "stats" not in self.features:
            raise self.unsupported("stats", "stats")
        return self.inner.stats(placement)

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
        """See :meth:`RdtManager.destroy`."""
        self.inner.destroy(placement, effects)
