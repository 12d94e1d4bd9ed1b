"""Deliberately wrong cgroup managers for promises that only a kernel can break: each wraps a right one.

They need real cgroups, so what they break depends on the host: device rules everywhere, the rest on pure cgroup v2.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from corelaunch.api import (
    CgroupManager,
    CgroupPlacement,
    CgroupRequest,
    CgroupStats,
    ConfigError,
    KernelError,
    LaunchContext,
    ProcessHandle,
    Unsupported,
)


class WrongOnKernel:
    """Does what the right manager does, but for one mistake.

    Args:
        right: a manager that keeps its promises.
    """

    def __init__(self, right: CgroupManager) -> None:
        self.right = right

    def __getattr__(self, name: str) -> Any:
        return getattr(self.right, name)


class DropsDevices(WrongOnKernel):
    """Takes device rules and does nothing about them."""

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """All but the devices."""
        self.right.set_resources(placement, {key: value for key, value in resources.items() if key != "devices"})


class IgnoresAccess(WrongOnKernel):
    """Thinks that who may read may do everything."""

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """Every rule is about every access."""
        rules = [{**rule, "access": "rwm"} for rule in resources.get("devices") or ()]
        self.right.set_resources(placement, {**resources, "devices": rules} if rules else resources)


class AddsDevices(WrongOnKernel):
    """Keeps what earlier rules allowed: it remembers them per cgroup."""

    def __init__(self, right: CgroupManager) -> None:
        super().__init__(right)
        self._rules: dict[str, list[Any]] = {}

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """The first rules."""
        if resources.get("devices"):
            self._rules[next(iter(placement.paths.values()))] = list(resources["devices"])
        self.right.set_resources(placement, resources)

    def update_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """The new rules, then the old ones again, of which the last counts."""
        old = self._rules.get(next(iter(placement.paths.values())), [])
        allowed = [rule for rule in old if rule["allow"]]
        more = {"devices": [*resources["devices"], *allowed]} if resources.get("devices") else {}
        self.right.update_resources(placement, {**resources, **more})


class UpdatesDevicesFirst(WrongOnKernel):
    """Does not take the device rules back when something else fails."""

    def update_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """One after the other."""
        if resources.get("devices"):
            self.right.update_resources(placement, {"devices": resources["devices"]})
        self.right.update_resources(placement, {key: value for key, value in resources.items() if key != "devices"})


class UnifiedFirst(WrongOnKernel):
    """Lets what has a name of its own have the last word."""

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """In the wrong order."""
        self.right.set_resources(placement, {"unified": resources.get("unified") or {}})
        self.right.set_resources(placement, {key: value for key, value in resources.items() if key != "unified"})


class DropsUnknown(WrongOnKernel):
    """Leaves out of ``unified`` what cannot be written."""

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """One by one, and no error."""
        for name, value in (resources.get("unified") or {}).items():
            with suppress(Unsupported, ConfigError, KernelError):
                self.right.set_resources(placement, {"unified": {name: value}})
        self.right.set_resources(placement, {key: value for key, value in resources.items() if key != "unified"})


class SparesTheGroup(WrongOnKernel):
    """Does not know memory.oom.group."""

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """Without it."""
        unified = {k: v for k, v in (resources.get("unified") or {}).items() if k != "memory.oom.group"}
        self.right.set_resources(placement, {**resources, "unified": unified})


class PressureInSeconds(WrongOnKernel):
    """Gives the totals in another unit."""

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        """Microseconds, divided by a million."""
        stats = self.right.stats(placement)
        some = {
            kind: {**figures, "total_us": figures["total_us"] / 1e6} for kind, figures in stats.cpu_pressure.items()
        }
        changed: CgroupStats = stats.replace(cpu_pressure=some)
        return changed


class DelegatesLimits(WrongOnKernel):
    """Gives everything in the directory away."""

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        """All files."""
        self.right.create(placement, request, process, ctx)
        if request.owner_uid >= 0:
            for name in os.listdir(placement.paths[""]):
                os.chown(f"{placement.paths['']}/{name}", request.owner_uid, -1)


class DelegatesTheDirectory(WrongOnKernel):
    """Thinks that who has the directory has its files."""

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        """The directory alone."""
        self.right.create(placement, request.replace(owner_uid=-1), process, ctx)
        if request.owner_uid >= 0:
            os.chown(placement.paths[""], request.owner_uid, -1)


class HidesBusy(WrongOnKernel):
    """Takes a cgroup that takes nobody for joined."""

    def add_process(self, placement: CgroupPlacement, process: ProcessHandle) -> None:
        """As far as it goes."""
        try:
            self.right.add_process(placement, process)
        except KernelError as error:
            if error.errno != errno.EBUSY:
                raise


class ListsTheTopOfNested(WrongOnKernel):
    """Does not look into the cgroups that a container made."""

    def processes(self, placement: CgroupPlacement) -> list[int]:
        """Those in the first directory."""
        with open(f"{next(iter(placement.paths.values()))}/cgroup.procs", encoding="ascii") as procs:
            return sorted(map(int, procs))
