"""A cgroup manager that keeps every promise in as few lines as possible; it runs on real cgroup files and on fakes.

For tests: it knows two limits (pids.limit and memory.limit). Real ones are in corelaunch-cgroupfs.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from corelaunch.api import (
    CgroupManager,
    CgroupPlacement,
    CgroupRequest,
    CgroupStats,
    ConfigError,
    CorelaunchError,
    DeadlineExceeded,
    Effect,
    KernelError,
    LaunchContext,
    ProcessHandle,
    Unsupported,
    is_gone,
)

from .cgroup_stage import CgroupFiles

_GONE = (errno.ENOENT, errno.ENODEV)


class ReferenceCgroupManager(CgroupManager):
    """One directory per hierarchy, named after the container.

    Args:
        files: the cgroup files of this host, or a fake.
        controllers: hierarchies to use, those that are not there are left out.
    """

    features = frozenset({"limits", "update", "freeze", "stats", "oom", "kill"})

    def __init__(self, files: CgroupFiles, controllers: Sequence[str] = ("pids", "memory", "freezer", "")) -> None:
        self.files = files
        self.controllers = controllers

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        """``/CONTAINER`` in each hierarchy; the container cannot choose."""
        if request.path not in ("", f"/{request.container_id}"):
            raise ConfigError("cannot choose the path", where="linux.cgroupsPath", why=repr(request.path))
        roots = self.files.roots()
        chosen = [controller for controller in self.controllers if controller in roots]
        return CgroupPlacement({controller: f"{roots[controller]}/{request.container_id}" for controller in chosen})

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        """Each directory through ``ctx.directory``, which announces, makes and confirms it."""
        for path in self._directories(placement):
            ctx.directory("cgroup", path)

    def add_process(self, placement: CgroupPlacement, process: ProcessHandle) -> None:
        """Write the pid everywhere."""
        for path in self._directories(placement):
            self._write(f"{path}/cgroup.procs", str(process.pid))

    def set_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """pids.limit and memory.limit; anything else is refused."""
        known = {"pids": {"limit"}, "memory": {"limit", "swap"}}
        for section, content in resources.items():
            if section not in known or set(content) - known[section]:
                raise Unsupported("cannot limit this", where=f"linux.resources.{section}")
        for section, v1, v2 in (("memory", "memory.limit_in_bytes", "memory.max"), ("pids", "pids.max", "pids.max")):
            limit = resources.get(section, {}).get("limit")
            if limit is not None:
                name = v1 if section in placement.paths else v2
                value = "max" if limit < 0 and name.endswith("max") else str(limit)
                self._write(f"{self._of(placement, section)}/{name}", value)
        self._swap(placement, resources.get("memory", {}))

    def update_resources(self, placement: CgroupPlacement, resources: Mapping[str, Any]) -> None:
        """set_resources; when it fails, what the controls said before is written back."""
        controls = [("memory", "memory.limit_in_bytes", "memory.max"), ("pids", "pids.max", "pids.max")]
        paths = [f"{self._of(placement, c)}/{v1 if c in placement.paths else v2}" for c, v1, v2 in controls]
        before = {path: self._read(path) for (section, _, _), path in zip(controls, paths) if section in resources}
        try:
            self.set_resources(placement, resources)
        except CorelaunchError:
            for path, value in before.items():
                self._write(path, value)
            raise

    def freeze(self, placement: CgroupPlacement) -> None:
        """Freeze and wait; thawed for a moment now and then: a parent in vfork(2) else waits for its frozen child."""
        deadline = time.monotonic() + 5
        while True:
            self._set_frozen(placement, True)
            for _ in range(20):
                if self.frozen(placement):
                    return
                time.sleep(0.001)
            self._set_frozen(placement, False)
            if time.monotonic() > deadline:
                raise DeadlineExceeded("cannot freeze cgroup", where=self._of(placement, "freezer"))

    def thaw(self, placement: CgroupPlacement) -> None:
        """Thaw."""
        self._set_frozen(placement, False)

    def frozen(self, placement: CgroupPlacement) -> bool:
        """Ask the freezer."""
        path = self._of(placement, "freezer")
        name, word = ("freezer.state", "FROZEN") if "freezer" in placement.paths else ("cgroup.events", "frozen 1")
        try:
            return word in self.files.read(f"{path}/{name}").split("\n")
        except OSError as error:
            if error.errno in _GONE:
                return False
            raise

    def processes(self, placement: CgroupPlacement) -> list[int]:
        """Here and in everything below."""
        found: set[int] = set()
        for path in self._directories(placement):
            found.update(self._below(path))
        return sorted(found)

    def kill(self, placement: CgroupPlacement) -> None:
        """cgroup.kill, and thaw, as v1 kills no frozen process; again until nobody is left."""
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            try:
                self.files.write(f"{placement.paths['']}/cgroup.kill", "1")
                self.thaw(placement)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
            except KernelError as error:
                if error.errno not in _GONE:
                    raise
            if not self.processes(placement):
                return
            time.sleep(0.002)
        raise DeadlineExceeded("cannot kill processes of cgroup", where=next(iter(placement.paths.values())))

    def stats(self, placement: CgroupPlacement) -> CgroupStats:
        """What the two controllers tell."""
        v1 = "memory" in placement.paths
        limit = self._read(f"{self._of(placement, 'memory')}/{'memory.limit_in_bytes' if v1 else 'memory.max'}")
        pids = self._of(placement, "pids")
        most = self._read(f"{pids}/pids.max")
        return CgroupStats(
            memory_limit_bytes=-1 if limit == "max" or int(limit) > 1 << 62 else int(limit),
            pids_current=int(self._read(f"{pids}/pids.current")),
            pids_limit=-1 if most == "max" else int(most),
        )

    def oom_kill_count(self, placement: CgroupPlacement) -> int:
        """Read the counter."""
        name = "memory.oom_control" if "memory" in placement.paths else "memory.events"
        try:
            lines = self.files.read(f"{self._of(placement, 'memory')}/{name}").split("\n")
        except OSError as error:
            if error.errno in _GONE:
                return 0
            raise
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> None:
        """Remove what the effects say is ours, if it still is."""
        for effect in effects:
            path = effect.args["path"]
            try:
                found = os.stat(path)
                if not effect.done:
                    if not self._below(path):
                        self.files.rmdir(path)
                elif (found.st_dev, found.st_ino) == (effect.facts["dev"], effect.facts["ino"]):
                    self._remove(path)
            except OSError as error:
                if not is_gone(error):
                    raise KernelError.of("cannot remove cgroup", error, where=path) from error

    def _directories(self, placement: CgroupPlacement) -> list[str]:
        return list(dict.fromkeys(placement.paths.values()))

    def _of(self, placement: CgroupPlacement, controller: str) -> str:
        return placement.paths.get(controller) or placement.paths[""]

    def _set_frozen(self, placement: CgroupPlacement, frozen: bool) -> None:
        path = self._of(placement, "freezer")
        if "freezer" in placement.paths:
            self._write(f"{path}/freezer.state", "FROZEN" if frozen else "THAWED")
        else:
            self._write(f"{path}/cgroup.freeze", str(int(frozen)))

    def _swap(self, placement: CgroupPlacement, memory: Mapping[str, Any]) -> None:
        """``swap`` is memory and swap together; v2 has a limit for swap alone."""
        swap = memory.get("swap")
        if swap is None:
            return
        if "memory" in placement.paths:
            self._write(f"{placement.paths['memory']}/memory.memsw.limit_in_bytes", str(swap))
        elif "limit" in memory:
            self._write(f"{placement.paths['']}/memory.swap.max", str(swap - memory["limit"]))
        else:
            why = "no limit of memory is given"
            raise Unsupported("cannot limit this", where="linux.resources.memory.swap", why=why)

    def _below(self, path: str) -> list[int]:
        try:
            children = self.files.children(path)
        except OSError as error:
            if is_gone(error):
                return []
            raise
        return self.files.processes(path) + [pid for name in children for pid in self._below(f"{path}/{name}")]

    def _remove(self, path: str) -> None:
        for name in self.files.children(path):
            self._remove(f"{path}/{name}")
        for attempt in range(200):
            try:
                return self.files.rmdir(path)
            except OSError as error:
                if error.errno != errno.EBUSY or attempt == 199:
                    raise
                time.sleep(0.005)  # v1 lets a cgroup go a moment after its last process

    def _read(self, path: str) -> str:
        try:
            return self.files.read(path)
        except OSError as error:
            raise KernelError.of("cannot read cgroup", error, where=path) from error

    def _write(self, path: str, value: str) -> None:
        try:
            self.files.write(path, value)
        except OSError as error:
            raise KernelError.of(f"cannot set {os.path.basename(path)} to {value!r}", error, where=path) from error
