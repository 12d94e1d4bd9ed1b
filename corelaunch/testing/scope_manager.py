"""A cgroup manager in the way of systemd's scopes, for tests: a cgroup is made around a process that exists already.

It proves the other order of a launch: with ``needs_process`` the child is started first, blocked, and put into its
cgroup by ``create``. The cgroups are real ones, below one directory. As an entry point of the group
``corelaunch.cgroup_managers`` (``scope = corelaunch.testing.scope_manager``) it can be chosen by name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from corelaunch.api import (
    AlreadyExists,
    CgroupManager,
    CgroupPlacement,
    CgroupRequest,
    Effect,
    LaunchContext,
    PluginError,
    ProcessHandle,
    Unsupported,
    hookimpl,
)

from .cgroup_kernel import KernelCgroups
from .cgroup_reference import ReferenceCgroupManager

corelaunch_api = 1

#: The directory that all scopes are in, in each hierarchy.
SLICE = "cl-cg-scopes.slice"


class ScopeManager(ReferenceCgroupManager):
    """``/SLICE/CONTAINER.scope``. The slice is made when the first scope needs it, and goes with the last."""

    needs_process = True

    def __init__(self) -> None:
        super().__init__(KernelCgroups(), ("pids", "memory", "freezer", ""))

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """The unit's name goes into ``extra``, as a real one's would."""
        unit = f"{request.container_id}.scope"
        paths = {
            controller: f"{os.path.dirname(path)}/{SLICE}/{unit}"
            for controller, path in super().place(request).paths.items()
        }
        if not paths:
            raise Unsupported("cannot make a scope", why="no cgroup hierarchy is mounted")
        return CgroupPlacement(paths, {"unit": unit})

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        """Make the scope and move the process into it."""
        if process is None:
            raise PluginError("a scope is made around a process", where=type(self).__name__, why="none was given")
        for path in placement.paths.values():
            if os.path.lexists(path):
                raise AlreadyExists("scope exists already", where=path)
        for path in placement.paths.values():
            if not os.path.isdir(os.path.dirname(path)):
                try:
                    ctx.directory("slice", os.path.dirname(path))
                except AlreadyExists:
                    pass  # another scope made it just now
            ctx.directory("scope", path)
        self.add_process(placement, process)

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        """The scope with all that is in it; the slice only if no other scope is left in it."""
        super().destroy(placement, [effect for effect in effects if effect.kind == "scope"])
        for effect in effects:
            if effect.kind == "slice" and os.path.isdir(effect.name) and not self.files.children(effect.name):
                os.rmdir(effect.name)


@hookimpl
def corelaunch_cgroup_manager() -> CgroupManager:
    """The manager."""
    return ScopeManager()
