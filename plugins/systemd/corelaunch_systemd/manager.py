"""The cgroup manager of the entry point ``systemd``. What is not needed by every launch is imported when it is."""

from __future__ import annotations

import os
from errno import EACCES, EPERM

from corelaunch.api import CgroupManager, KernelError, hookimpl, load_manager

from .parts import BOOTED, SYSTEM, USER, of_files, which_manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from corelaunch.api import CgroupPlacement, CgroupRequest, CgroupStats, Effect, LaunchContext, ProcessHandle

corelaunch_api = 1

#: What the manager of the files claims and we do not: systemd removes the directories; a user's process is moved by
#: systemd, as nobody else may.
_NOT_OURS = frozenset({"plain-directories", "adopt"})
_NOT_OF_USERS = frozenset({"self-join", "devices"})


class SystemdManager(CgroupManager):
    """One transient unit per container; the manager of the files does what is done in its directories."""

    needs_process = True

    def __init__(self, files: CgroupManager | None = None) -> None:
        """``files``: the manager of the files, by default the one that is called ``cgroupfs``."""
        self._files_manager = files

    @property
    def _files(self) -> CgroupManager:
        if self._files_manager is None:
            self._files_manager = load_manager("cgroup_manager", "cgroupfs")
        return self._files_manager

    @property
    def features(self) -> frozenset[str]:  # type: ignore[override]
        """What the manager of the files can do here, and whose units are made; nothing where no systemd answers."""
        if which_manager() == SYSTEM:
            if not os.path.isdir(BOOTED):
                return frozenset()
            return self._files.features - _NOT_OURS | {"systemd"}
        from .bus import addresses

        if not any(os.path.exists(path) for path, _ in addresses(USER)):
            return frozenset()
        return self._files.features - _NOT_OURS - _NOT_OF_USERS | {"systemd-user"}

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """See :func:`placing.place`."""
        from . import placing

        return placing.place(request, self._files)

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        """See :func:`units.create`."""
        from . import units

        units.create(placement, request, process, ctx, self._files)

    def add_process(self, placement: CgroupPlacement, process: ProcessHandle) -> None:
        """Through the files, or by systemd where we may not write to them: a user's session is not in his systemd's."""
        try:
            self._files.add_process(of_files(placement), process)
        except KernelError as error:
            if error.errno not in (EACCES, EPERM) or placement.extra.get("manager") != USER:
                raise
            from .systemd import Systemd

            with Systemd(USER) as systemd:
                systemd.attach(placement.extra["unit"], process.pid)

    def open_join_files(self, placement: CgroupPlacement) -> list[int]:
        """As the manager of the files: what is in the unit is delegated to us."""
        if "self-join" not in self.features:
            raise self.unsupported("open_join_files", "self-join")
        return self._files.open_join_files(of_files(placement))

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """See :func:`limits.set_resources`."""
        from . import limits

        limits.set_resources(placement, of_files(placement), resources, self._files)

    def update_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """See :func:`limits.update_resources`."""
        from . import limits

        limits.update_resources(placement, of_files(placement), resources, self._files)

    # FreezeUnit is of v2 alone, and a unit that is frozen by it cannot be stopped before it is thawed: the files serve.

    def freeze(self, placement: CgroupPlacement) -> None:
        """As the manager of the files."""
        self._files.freeze(of_files(placement))

    def thaw(self, placement: CgroupPlacement) -> None:
        """As the manager of the files."""
        self._files.thaw(of_files(placement))

    def frozen(self, placement: CgroupPlacement) -> bool:
        """As the manager of the files."""
        return self._files.frozen(of_files(placement))

    def processes(self, placement: CgroupPlacement) -> list[int]:
        """As the manager of the files."""
        return self._files.processes(of_files(placement))

    def kill(self, placement: CgroupPlacement) -> None:
        """As the manager of the files."""
        self._files.kill(of_files(placement))

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        """As the manager of the files."""
        return self._files.stats(of_files(placement))

    def oom_kill_count(self, placement: CgroupPlacement) -> int:
        """As the manager of the files; 0 when systemd has removed the cgroup, with the count."""
        return self._files.oom_kill_count(of_files(placement))

    def open_oom_events(self, placement: CgroupPlacement) -> tuple[int, int]:
        """As the manager of the files."""
        return self._files.open_oom_events(of_files(placement))

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        """See :func:`units.destroy`."""
        if not effects:
            return
        from . import units

        units.destroy(placement, effects, self._files)


@hookimpl
def corelaunch_cgroup_manager() -> CgroupManager:
    """The manager for this host; it keeps no state per container."""
    return SystemdManager()
