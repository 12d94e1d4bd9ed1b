"""The RDT manager of the entry point ``resctrl``. What is not needed by every command is imported when it is."""

from __future__ import annotations

import os

from corelaunch.api import ConfigError, RdtManager, RdtPlacement, Unsupported, boot_id, hookimpl

from . import mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from corelaunch.api import Effect, LaunchContext, ProcessHandle, RdtRequest

corelaunch_api = 1

#: What resctrl itself has in the root group, and what names no group.
_FIXED = frozenset((".", "..", "info", "mon_groups", "mon_data"))
_ALL = frozenset(("schemata", "monitoring", "stats"))


class ResctrlManager(RdtManager):
    """CLOS and monitoring groups through the kernel's resctrl filesystem.

    Args:
        root: where it is mounted; "" looks for the mount each time.
    """

    def __init__(self, root: str = "") -> None:
        self._root = root

    @property
    def features(self) -> frozenset[str]:  # type: ignore[override]
        """What the kernel shows; all that the manager can do where nothing is mounted, and ``place`` refuses there."""
        mounted = self._mounted()
        return mount.features(mounted.root) if mounted else _ALL

    def place(self, request: RdtRequest) -> RdtPlacement:
        """Name the groups, after checking what this host can do of what is asked; see :mod:`check`."""
        mounted = self._mounted()
        if mounted is None:
            raise mount.missing()
        if mounted.read_only:
            why = "the resctrl filesystem is mounted read-only"
            hint = f"mount -o remount,rw {mounted.root}, or leave linux.intelRdt out"
            raise Unsupported("Intel RDT is not available", where=mounted.root, why=why, hint=hint)
        shown = mount.features(mounted.root)
        for asked, feature in ((request.schemata, "schemata"), (request.monitoring, "monitoring")):
            if asked and feature not in shown:
                raise self._not_shown(feature)
        name = request.clos_id or request.container_id
        if request.clos_id != "/" and ("/" in name or "\n" in name or name in _FIXED):
            where = "linux.intelRdt.closID" if request.clos_id else "container id"
            raise ConfigError("cannot name a CLOS", where=where, why=f"{name!r} is not the name of a group")
        if request.monitoring and request.container_id in _FIXED:
            why = f"{request.container_id!r} is not the name of a group"
            raise ConfigError("cannot name a monitoring group", where="container id", why=why)
        if request.schemata:
            from . import check

            check.request(mounted, request)
        clos = mounted.root if request.clos_id == "/" else f"{mounted.root}/{name}"
        monitoring = f"{clos}/mon_groups/{request.container_id}" if request.monitoring else ""
        extra = {"root": mounted.root, "clos_id": request.clos_id, "boot_id": boot_id()}
        return RdtPlacement(clos, monitoring, extra)

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        """See :func:`groups.create`."""
        from . import groups

        groups.create(*self._here(placement), request, ctx)

    def add_process(self, placement: RdtPlacement, process: ProcessHandle) -> None:
        """See :func:`membership.add_process`."""
        from . import membership

        membership.add_process(*self._here(placement), process)

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        """See :func:`setting.set_schemata`."""
        from . import setting

        if "schemata" not in self.features:
            raise self.unsupported("set", "schemata")
        setting.set_schemata(*self._here(placement), request)

    def stats(self, placement: RdtPlacement) -> Mapping[str, Any]:
        """See :func:`stats.read`."""
        from . import stats

        return stats.read(*self._here(placement))

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
        """See :func:`removal.destroy`."""
        from . import removal

        mounted = self._mounted()
        removal.destroy(mounted.root if mounted else "", placement, effects)

    def _mounted(self) -> mount.Mounted | None:
        return mount.Mounted(self._root) if self._root else mount.find()

    def _here(self, placement: RdtPlacement) -> tuple[str, RdtPlacement]:
        """Where the filesystem is now, and the placement there: it may have been bound to another place since."""
        before: str = placement.extra.get("root") or os.path.dirname(placement.clos)
        mounted = self._mounted()
        if mounted is None or mounted.root == before:
            return before, placement
        clos, monitoring = (mount.moved(path, before, mounted.root) for path in (placement.clos, placement.monitoring))
        return mounted.root, RdtPlacement(clos, monitoring, placement.extra)

    def _not_shown(self, feature: str) -> Unsupported:
        member = "schemata" if feature == "schemata" else "enableMonitoring"
        why = f"this kernel shows no {'resource to allocate' if feature == 'schemata' else 'monitoring'} in resctrl"
        return Unsupported(
            f"{member} is not supported", where=f"linux.intelRdt.{member}", why=why, hint="leave it out on this host"
        )


@hookimpl
def corelaunch_rdt_manager() -> RdtManager:
    """The manager for this host; it keeps no state per container."""
    return ResctrlManager()
