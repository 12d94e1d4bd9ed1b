"""Cgroup managers that claim what they have not, and say "not supported" where they are asked; and a right one.

A contract that took their word for it would count their promises as those of a host that lacks something.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corelaunch.api import CgroupPlacement, CgroupRequest, Unsupported

from .cgroup_reference import ReferenceCgroupManager


class LimitsOnlyPids(ReferenceCgroupManager):
    """Right: says which limits it has, and refuses the others from the start."""

    limits_of: frozenset[str] | None = frozenset({"pids"})

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """As always, if it can be kept."""
        self._refuse(request.resources)
        return super().place(request)

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """Of pids alone."""
        self._refuse(resources)
        super().set_resources(placement, resources)

    def _refuse(self, resources: Mapping[str, Any]) -> None:
        for member in resources:
            if member != "pids":
                raise Unsupported("this manager limits only pids", where=f"linux.resources.{member}")


class HidesThatItLimitsOnlyPids(LimitsOnlyPids):
    """Claims limits without a word about which."""

    limits_of = None


class PromisesWhilePlacing(LimitsOnlyPids):
    """``plan`` shows limits that ``create`` will refuse."""

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """Whatever is asked."""
        return ReferenceCgroupManager.place(self, request)


class ClaimsLimitsInVain(ReferenceCgroupManager):
    """Has the word in its features and nothing behind it."""

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """As the base class."""
        raise self.unsupported("set_resources", "limits")

    def update_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """As the base class."""
        raise self.unsupported("update_resources", "update")


class RefusesEveryHost(ReferenceCgroupManager):
    """Blames the host."""

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """Never."""
        raise Unsupported("this host is not good enough")


class AnswersWithADict(ReferenceCgroupManager):
    """Has not read what ``place`` returns."""

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """A placement's fields, and no placement."""
        return super().place(request).as_dict()  # type: ignore[return-value]
