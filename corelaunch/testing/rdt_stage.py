"""The stage on which one promise of an RDT manager is played: the manager, the resctrl files, and processes."""

# ruff: noqa: D102 -- the methods of a file system say what they are

from __future__ import annotations

import errno
import itertools
import json
import os
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import pytest

from corelaunch.api import Effect, KernelError, RdtManager, RdtPlacement, RdtRequest, Unsupported, mounts_of_type

from .cgroup_subject import Subject
from .context import RecordingContext
from .guest_child import Child
from .guest_watched import Watched
from .host import host_lacks, not_claimed

FEATURES = ("schemata", "monitoring", "stats")

#: More groups than any CPU has.
_MANY = 64
#: How long the RMID of a group that is gone may take to be free again.
_LIMBO_SECONDS = 10.0

_SERIAL = itertools.count(1)


class ResctrlFiles(Protocol):
    """What :class:`KernelResctrl` and ``fake_resctrl.FakeResctrl`` have in common."""

    def root(self) -> str: ...
    def mkdir(self, path: str) -> None: ...
    def rmdir(self, path: str) -> None: ...
    def children(self, path: str) -> list[str]: ...
    def read(self, path: str) -> str: ...
    def write(self, path: str, value: str) -> None: ...


class KernelResctrl:
    """A resctrl file system that is mounted: this host's, or what imitates one (``fuse_resctrl``).

    Args:
        root: where it is mounted; "" looks for that of this host.
    """

    def __init__(self, root: str = "") -> None:
        self._root = root

    def root(self) -> str:
        """Where it is mounted; skips if it is not."""
        mounts = [] if self._root else [mount.mountpoint for mount in mounts_of_type("resctrl") if mount.root == "/"]
        if not self._root and not mounts:
            host_lacks("a mounted resctrl file system")
        return self._root or mounts[0]

    def mkdir(self, path: str) -> None:
        os.mkdir(path)

    def rmdir(self, path: str) -> None:
        os.rmdir(path)

    def children(self, path: str) -> list[str]:
        fixed = {"info", "mon_groups", "mon_data"}
        try:
            return sorted(one.name for one in os.scandir(path) if one.is_dir() and one.name not in fixed)
        except FileNotFoundError:  # mon_groups of a CPU that does not monitor
            return []

    def read(self, path: str) -> str:
        with open(path, encoding="ascii") as file:
            return file.read()

    def write(self, path: str, value: str) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)


class Made:
    """What the manager made for one container."""

    def __init__(self, request: RdtRequest, placement: RdtPlacement, ctx: RecordingContext) -> None:
        self.request = request
        self.placement = placement
        self.ctx = ctx


class Stage:
    """One manager and the resctrl files that it works on.

    Attributes:
        manager: the one under test.
        files: the resctrl files of this host, or a fake.
        root: where they are.
    """

    def __init__(self, manager: RdtManager, files: ResctrlFiles) -> None:
        self.manager = manager
        self.files = files
        self.root = files.root()
        self._serial = next(_SERIAL)
        self._before = set(files.children(self.root))
        self._subjects: list[Subject] = []

    def request(self, number: int = 0, **more: object) -> RdtRequest:
        """The request of one of our containers; no other stage's have its name."""
        return RdtRequest(f"cl-rdt-contract-{os.getpid()}-{self._serial}-{number}", **more)  # type: ignore[arg-type]

    def place(self, request: RdtRequest) -> RdtPlacement:
        """Place; skip if this host cannot do what is asked. Whether it can is seen here: the manager may be wrong."""
        try:
            placement = self.manager.place(request)
        except Unsupported as error:
            missing = self._missing(request)
            if missing:
                host_lacks(missing)
            pytest.fail(f"place refuses what its features promise and this host has: {error}")
        if not isinstance(placement, RdtPlacement):
            pytest.fail(f"place returned {placement!r}, which is no RdtPlacement")
        return placement

    def _missing(self, request: RdtRequest) -> str:
        """What resctrl here has not of what is asked (Documentation/filesystems/resctrl.rst, "Info directory")."""
        there = {line.strip().partition(":")[0] for line in self.files.read(f"{self.root}/schemata").splitlines()}
        asked = {line.partition(":")[0] for line in request.schemata}
        if asked - there:
            return f"the resource {' and '.join(sorted(asked - there))} in resctrl"
        if request.monitoring:
            try:
                self.files.read(f"{self.root}/info/L3_MON/mon_features")
            except OSError:
                return "monitoring in resctrl"
        return ""

    def create(self, request: RdtRequest | None = None, ctx: RecordingContext | None = None) -> Made:
        """Place and create."""
        request = request or self.request()
        made = Made(request, self.place(request), ctx or RecordingContext(request.container_id))
        try:
            self.manager.create(made.placement, request, made.ctx)
        except KernelError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and os.geteuid() != 0:
                host_lacks(f"the right to make groups ({error})")
            raise
        return made

    def make_group(self, name: str, schemata: str = "") -> str:
        """Make a group as somebody else would; its path."""
        path = f"{self.root}/{name}"
        if not self._made(path):
            host_lacks("a free CLOSID")
        if schemata:
            self.files.write(f"{path}/schemata", schemata)
        return path

    def fill(self) -> list[str]:
        """Make groups until no CLOSID is left; their names."""
        names: list[str] = []
        while len(names) < _MANY and self._made(f"{self.root}/cl-rdt-full-{len(names)}"):
            names.append(f"cl-rdt-full-{len(names)}")
        return names

    def _made(self, path: str) -> bool:
        """Make a group, after waiting for RMIDs that are in limbo; False: no CLOSID is left."""
        deadline = time.monotonic() + _LIMBO_SECONDS
        while True:
            try:
                self.files.mkdir(path)
                return True
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    return False
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def line(self) -> str:
        """A schemata line that this host takes: the L3 line of the root group, or that of MB."""
        return self.line_of("L3", "MB")

    def line_of(self, *resources: str) -> str:
        """The root group's line of the first of these resources that this host has."""
        lines = [line.strip() for line in self.files.read(f"{self.root}/schemata").splitlines()]
        for resource in resources:
            for line in lines:
                if line.startswith(f"{resource}:"):
                    return ";".join(item.replace("= ", "=").strip() for item in line.split(";"))
        host_lacks(f"the resource {' or '.join(resources)}")

    def meant(self, line: str) -> dict[str, str]:
        """Domain -> value of a line, as :meth:`in_force` has them."""
        items = [item.partition("=") for item in line.partition(":")[2].split(";")]
        return {domain: value.strip().lstrip("0") for domain, _, value in items}

    def smaller(self) -> str:
        """Another line of the same resource that asks for less."""
        resource, _, values = self.line().partition(":")
        domains = [item.partition("=")[0] for item in values.split(";")]
        return f"{resource}:" + ";".join(f"{domain}={'3' if resource == 'L3' else '50'}" for domain in domains)

    def in_force(self, group: str, resource: str) -> dict[str, str]:
        """Domain -> value of a group, without the blanks and zeros in front."""
        for line in self.files.read(f"{group}/schemata").splitlines():
            name, _, values = line.strip().partition(":")
            if name == resource:
                return {one.partition("=")[0]: one.partition("=")[2].strip().lstrip("0") for one in values.split(";")}
        return {}

    def subject(self) -> Subject:
        """A process; it is killed after the test."""
        self._subjects.append(Subject("exec sleep 1000"))
        return self._subjects[-1]

    def tasks(self, group: str) -> list[int]:
        """Pids of a group."""
        return [int(word) for word in self.files.read(f"{group}/tasks").split()]

    def groups(self, made: Made) -> list[str]:
        """The directories of a placement."""
        return [path for path in (made.placement.clos, made.placement.monitoring) if path]

    def need(self, *features: str) -> None:
        """Skip unless the manager claims all of these."""
        for feature in features:
            if feature not in self.manager.features:
                not_claimed(feature)

    def round(self, number: int, child: Child) -> None:
        """One container, used as far as the manager claims, and destroyed."""
        manager: Any = Watched(self.manager, child)
        claimed = self.manager.features
        schemata = [self.smaller()] if "schemata" in claimed else []
        request = self.request(number, monitoring="monitoring" in claimed, schemata=schemata)
        ctx, subject = RecordingContext(request.container_id), self.subject()
        try:
            placement = manager.place(request)
            manager.create(placement, request, ctx)
            manager.add_process(placement, subject.handle)
            if "schemata" in claimed:
                manager.set(placement, request)
            if "stats" in claimed:
                manager.stats(placement)
            for _ in range(2):
                manager.destroy(placement, ctx.effects)
        except Unsupported as error:
            host_lacks(f"what the manager needs ({error})")
        finally:
            self.close()

    def end_processes(self) -> None:
        """Kill every process of the test."""
        while self._subjects:
            self._subjects.pop().end()

    def destroy_later(self, later: LaterProcess, made: Made) -> str:
        """Destroy in another process; "" or its exception as text."""
        return later.destroy(made.placement, made.ctx.effects)

    def close(self) -> None:
        """End all processes, and remove what a broken manager has left."""
        self.end_processes()
        for name in self.files.children(self.root):
            if name not in self._before:
                with suppress(OSError):
                    self.files.rmdir(f"{self.root}/{name}")
        for name in self.files.children(f"{self.root}/mon_groups"):
            if name.startswith("cl-rdt-"):
                with suppress(OSError):
                    self.files.rmdir(f"{self.root}/mon_groups/{name}")


class LaterProcess:
    """A process that was forked before the manager did anything; it stands for the ``delete`` months later."""

    def __init__(self, manager: RdtManager) -> None:
        read, self._write = os.pipe()
        self._result, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the child takes no lock of a thread
            self._pid = os.fork()
        if self._pid == 0:
            os.close(self._write)
            self._serve(manager, read, write)
        os.close(read)
        os.close(write)

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> str:
        """Have it call ``destroy`` with what a journal holds; "" or the exception as text."""
        message = {"placement": placement.as_dict(), "effects": [effect.as_dict() for effect in effects]}
        os.write(self._write, json.dumps(message).encode())
        os.close(self._write)
        os.waitpid(self._pid, 0)
        with open(self._result, "rb") as result:
            return result.read().decode()

    def _serve(self, manager: RdtManager, read: int, write: int) -> None:
        try:
            with open(read, "rb") as messages:
                message = json.loads(messages.read())
            manager.destroy(RdtPlacement(**message["placement"]), [Effect(**one) for one in message["effects"]])
        except BaseException as error:  # noqa: BLE001 -- the test that asked reads it
            os.write(write, f"{type(error).__name__}: {error}".encode()[:4096])
        finally:
            os._exit(0)  # not sys.exit: the test runner's own clean-up must not run twice
