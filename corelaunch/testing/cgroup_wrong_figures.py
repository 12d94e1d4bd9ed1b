"""More deliberately wrong cgroup managers: those that get figures, versions and events wrong (see cgroup_wrong)."""

from __future__ import annotations

import os

from corelaunch.api import CgroupPlacement, CgroupRequest, CgroupStats, LaunchContext, ProcessHandle

from .cgroup_reference import ReferenceCgroupManager


class CountsTwiceByCpu(ReferenceCgroupManager):
    """Gives every CPU the whole."""

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        """The same figure everywhere."""
        changes = {"cpu_usage_ns": 1000, "cpu_usage_per_cpu_ns": (1000, 1000)}
        stats: CgroupStats = super().stats(placement).replace(**changes)
        return stats


class ShoutsOperations(ReferenceCgroupManager):
    """Hands the words of cgroup v1 on."""

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        """ "Read" instead of "read"."""
        stats: CgroupStats = super().stats(placement).replace(io_bytes=[(8, 0, "Read", 4096)])
        return stats


class HearsNothing(ReferenceCgroupManager):
    """Opens something to wait for, whatever becomes of the cgroup."""

    features = ReferenceCgroupManager.features | {"oom-events"}

    def open_oom_events(self, placement: CgroupPlacement) -> tuple[int, int]:
        """An eventfd that nobody writes to."""
        return os.eventfd(0), 1


class ClaimsVersions(ReferenceCgroupManager):
    """Claims every version of cgroups, and uses one."""

    features = ReferenceCgroupManager.features | {"cgroup-v1", "cgroup-v2"}

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """The unified hierarchy alone."""
        placement = super().place(request)
        return CgroupPlacement({name: path for name, path in placement.paths.items() if not name})


class HasMoreThanDirectories(ReferenceCgroupManager):
    """Says that its directories are all, and has something else beside them."""

    features = ReferenceCgroupManager.features | {"plain-directories"}

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        """The cgroup, and a note of it."""
        super().create(placement, request, process, ctx)
        ctx.done(ctx.intend("note", request.container_id, absent=True, path="/nowhere"), written=True)
