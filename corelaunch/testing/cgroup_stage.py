"""The stage on which one promise of a cgroup manager is played: the manager, the cgroup files, and processes."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import pytest

from corelaunch.api import (
    CgroupManager,
    CgroupPlacement,
    CgroupRequest,
    KernelError,
    Unsupported,
)

from .cgroup_probe import OWN_FEATURES, missing_for, missing_for_any_cgroup
from .cgroup_subject import PATIENCE, LaterProcess, Subject, wait_until
from .context import RecordingContext, names_of
from .guest_child import Child
from .guest_watched import Watched
from .host import NOT_CLAIMED, host_lacks, not_claimed

_SERIAL = itertools.count(1)


class CgroupFiles(Protocol):
    """What :class:`corelaunch.testing.cgroup_kernel.KernelCgroups` and ``fake_cgroup.FakeCgroups`` have in common."""

    enforces: bool

    def roots(self) -> Mapping[str, str]: ...  # noqa: D102
    def mkdir(self, path: str) -> None: ...  # noqa: D102
    def rmdir(self, path: str) -> None: ...  # noqa: D102
    def children(self, path: str) -> list[str]: ...  # noqa: D102
    def read(self, path: str) -> str: ...  # noqa: D102
    def write(self, path: str, value: str) -> None: ...  # noqa: D102
    def processes(self, path: str) -> list[int]: ...  # noqa: D102


class Made:
    """A cgroup that the manager made.

    Attributes:
        first: the process that it was made around, None if the manager needs none.
    """

    def __init__(
        self, request: CgroupRequest, placement: CgroupPlacement, ctx: RecordingContext, first: Subject | None
    ) -> None:
        self.request = request
        self.placement = placement
        self.ctx = ctx
        self.first = first

    @property
    def directories(self) -> list[str]:
        """The directories of the placement, each once."""
        return list(dict.fromkeys(self.placement.paths.values()))


#: Feature -> what a round calls of it, in this order.
_ROUND = {"stats": ("stats",), "oom": ("oom_kill_count",), "freeze": ("freeze", "frozen", "thaw"), "kill": ("kill",)}


class Stage:
    """One manager and the cgroup files that it works on.

    Attributes:
        manager: the one under test.
        files: the cgroup files of this host, or a fake.
    """

    def __init__(self, manager: CgroupManager, files: CgroupFiles) -> None:
        self.manager = manager
        self.files = files
        self._serial = next(_SERIAL)
        self._subjects: list[Subject] = []
        self._directories: list[str] = []
        self._made: list[Made] = []
        self._later: list[LaterProcess] = []

    def request(self, number: int = 0) -> CgroupRequest:
        """The request of one of our containers; no other stage's have its name, so that none fails for another."""
        return CgroupRequest(f"cl-cg-contract-{os.getpid()}-{self._serial}-{number}")

    def place(self, number: int = 0) -> CgroupPlacement:
        """Place a container; skip if this host is not for such a manager."""
        try:
            placement = self.manager.place(self.request(number))
        except Unsupported as error:
            missing = missing_for_any_cgroup(self.files, self.manager.features)
            if missing:
                host_lacks(missing)
            pytest.fail(f"place refuses a container that asks for nothing, on a host that has all it needs: {error}")
        if not isinstance(placement, CgroupPlacement):
            pytest.fail(f"place returned {placement!r}, which is no CgroupPlacement")
        for path in placement.paths.values():
            while not os.path.isdir(path):
                self._directories.append(path)
                if self.makes_units:
                    break  # what is above it is the service manager's, and others may move in
                path = os.path.dirname(path)
        return placement

    def create(self, number: int = 0, ctx: RecordingContext | None = None, owner_uid: int = -1) -> Made:
        """Place and create; skip if the user of the tests may not make cgroups here."""
        ctx = ctx or RecordingContext(self.request(number).container_id)
        placement = self.place(number)
        first = self.subject() if self.manager.needs_process else None
        made = Made(self.request(number).replace(owner_uid=owner_uid), placement, ctx, first)
        self._made.append(made)  # also if it fails half-way: close() goes by what was announced
        try:
            self.manager.create(placement, made.request, first.handle if first else None, ctx)
        except KernelError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and os.geteuid() != 0:
                host_lacks(f"the right to make cgroups ({error})")
            raise
        return made

    def subject(self, script: str = "exec sleep 1000", pass_fds: Sequence[int] = ()) -> Subject:
        """Start a process; it is killed after the test."""
        subject = Subject(script, pass_fds)
        self._subjects.append(subject)
        return subject

    def join(self, made: Made, script: str = "exec sleep 1000") -> Subject:
        """Start a process that runs the script as soon as it is in the cgroup."""
        subject = self.subject(f"read go; {script}")
        self.manager.add_process(made.placement, subject.handle)
        subject.tell("go")
        return subject

    def lose(self, made: Made) -> None:
        """Let a cgroup without processes go some other way than by ``destroy``."""
        if self.makes_units:
            # The service manager removes its directories itself, and those of a stranger if it comes too late.
            ours = {name for effect in made.ctx.all_effects for name in effect.facts.get("directories") or ()}
            # It removes in every hierarchy, also where it has made nothing, and is done when it forgets the unit.
            homes = ("/run", os.environ.get("XDG_RUNTIME_DIR") or "/run")
            units = [effect.name for effect in made.ctx.all_effects if effect.kind == "unit"]
            ours |= {f"{home}/systemd/transient/{unit}" for home in homes for unit in units}
            if not wait_until(lambda: not any(map(os.path.lexists, ours))):
                host_lacks("a service manager that notices when a unit is empty")
            self._await_trimming()
        for path in made.directories:
            with suppress(FileNotFoundError):
                self.files.rmdir(path)

    def _await_trimming(self) -> None:
        """Wait until systemd has done what it does after the end of a unit.

        With the last unit that needs a controller of v1 it removes every empty cgroup below the slice there, also those
        of strangers (src/core/cgroup.c, cg_trim_v1_controllers for the slice, queued by unit_free). Its queue comes
        before the next message: an answer says that it is empty.
        """
        whose = "--system" if "systemd" in self.manager.features else "--user"
        words = ["systemctl", whose, "show", "--property=Version"]
        try:
            subprocess.run(words, stdout=subprocess.DEVNULL, timeout=PATIENCE, check=True)
        except FileNotFoundError:
            host_lacks("systemctl")

    def move_inside(self, made: Made, subject: Subject) -> None:
        """Nest a cgroup, as a container may do, and move a process of the container into it, in every hierarchy."""
        for path in made.directories:
            self.files.mkdir(f"{path}/inside")
            if os.path.exists(f"{path}/inside/cpuset.cpus"):
                for name in ("cpuset.cpus", "cpuset.mems"):  # a new cpuset of v1 takes no process without these
                    self.files.write(f"{path}/inside/{name}", self.files.read(f"{path}/{name}"))
            self.files.write(f"{path}/inside/cgroup.procs", str(subject.pid))

    def make_foreign(self, path: str) -> None:
        """Make a cgroup, and its parents, as somebody else would."""
        if not os.path.isdir(os.path.dirname(path)):
            self.make_foreign(os.path.dirname(path))
        try:
            self.files.mkdir(path)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and os.geteuid() != 0:
                host_lacks(f"the right to make cgroups ({path})")
            raise

    def end_processes(self) -> None:
        """Kill every process of the test."""
        for subject in self._subjects:
            subject.end()
        self._subjects.clear()

    def left(self, made: Made) -> list[str]:
        """What is still there of all that was announced or placed."""
        announced = [name for effect in made.ctx.all_effects for name in names_of(effect)]
        return sorted({path for path in [*made.directories, *announced] if os.path.lexists(path)})

    def round(self, number: int, child: Child) -> None:
        """One container, used as far as the manager claims, and destroyed."""
        self.manager, claimed = Watched(self.manager, child), self.manager.features  # type: ignore[assignment]
        resources: dict[str, Any] = {"pids": {"limit": 17}}
        try:
            made = self.create(number)
            self.join(made)
            for feature, method in (("limits", "set_resources"), ("update", "update_resources")):
                if feature in claimed:
                    with suppress(Unsupported):  # no such controller here
                        getattr(self.manager, method)(made.placement, resources)
            for feature, methods in _ROUND.items():
                for method in methods if feature in claimed else ():
                    getattr(self.manager, method)(made.placement)
            self.manager.processes(made.placement)
            self.end_processes()
            for _ in range(2):
                self.manager.destroy(made.placement, made.ctx.effects)
        finally:
            self.close()
            self._made.clear()

    @property
    def makes_units(self) -> bool:
        """Whether a service manager makes and removes the cgroups, also without being asked."""
        return bool({"systemd", "systemd-user"} & self.manager.features)

    def later_process(self) -> LaterProcess:
        """A process that has seen nothing of what the test does from here on."""
        self._later.append(LaterProcess(self.manager))
        return self._later[-1]

    def need(self, *features: str) -> None:
        """Skip unless the manager claims all of these."""
        for feature in features:
            if feature not in self.manager.features:
                not_claimed(feature)

    def need_kernel(self) -> None:
        """Skip unless limits are enforced here."""
        if not self.files.enforces:
            host_lacks("a kernel behind its cgroup files")

    def set(self, made: Made, resources: Mapping[str, Any]) -> None:
        """Set limits; skip if this host has no such controller, or the manager does not claim it."""
        self._limit("set_resources", made, resources)

    def update(self, made: Made, resources: Mapping[str, Any]) -> None:
        """Change limits; skip if this host has no such controller, or the manager does not claim it."""
        self._limit("update_resources", made, resources)

    def _limit(self, method: str, made: Made, resources: Mapping[str, Any]) -> None:
        claimed = self.manager.limits_of
        for member in resources:
            if claimed is not None and member not in claimed and member not in OWN_FEATURES:
                pytest.skip(f"limits of {member} {NOT_CLAIMED}")
        try:
            getattr(self.manager, method)(made.placement, resources)
        except Unsupported as error:
            missing = missing_for(self.files, made.placement.paths, resources)
            if missing:
                host_lacks(missing)
            pytest.fail(
                f"{method} refuses {json.dumps(resources)}, which its features promise and this host has "
                f"(limits_of says which limits are not promised): {error}"
            )

    def control(self, made: Made, controller: str, v1: str, v2: str) -> str:
        """The value of a control file, whichever version of cgroups holds it."""
        paths = made.placement.paths
        path = f"{paths[controller]}/{v1}" if controller in paths else f"{paths.get('', '')}/{v2}"
        try:
            return self.files.read(path)
        except FileNotFoundError:
            host_lacks(f"the controller {controller}")

    def close(self) -> None:
        """End all processes, and remove what a broken manager has left."""
        for later in self._later:
            later.close()
        for path in dict.fromkeys(self._directories):
            for pid in self._below(path, self.files.processes):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            with suppress(OSError):  # there is none, or the service manager was faster
                self.files.write(f"{path}/freezer.state", "THAWED")
        self.end_processes()
        for path in dict.fromkeys(self._directories):  # what they have forked may take longer to die
            wait_until(lambda path=path: not self._below(path, self.files.processes))  # type: ignore[misc]
        for made in self._made:
            with suppress(Exception):  # tests say whether it can; this is for what is more than directories
                self.manager.destroy(made.placement, made.ctx.effects)
        for path in sorted(dict.fromkeys(self._directories), key=len, reverse=True):
            self._remove(path)

    def _below(self, path: str, found: Callable[[str], list[int]]) -> list[int]:
        if not os.path.isdir(path):
            return []
        return found(path) + [pid for name in self.files.children(path) for pid in self._below(f"{path}/{name}", found)]

    def _remove(self, path: str) -> None:
        if os.path.isdir(path):
            for name in self.files.children(path):
                self._remove(f"{path}/{name}")
            with suppress(FileNotFoundError):  # the service manager was faster
                self.files.rmdir(path)
