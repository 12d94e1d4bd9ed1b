"""An RDT manager that keeps every promise in as few lines as possible; it runs on real resctrl files and on fakes."""

# ruff: noqa: D102 -- the methods are documented where they are declared, in corelaunch.api

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import Any

from corelaunch.api import (
    AlreadyExists,
    ConfigError,
    Effect,
    KernelError,
    LaunchContext,
    ProcessHandle,
    RdtManager,
    RdtPlacement,
    RdtRequest,
    is_gone,
    start_time,
)

from .rdt_stage import ResctrlFiles

_FIXED = frozenset({".", "..", "info", "mon_groups", "mon_data"})


class ReferenceRdtManager(RdtManager):
    """One group for each closID, or for each container that names none.

    Args:
        files: the resctrl files of this host, or a fake.
    """

    features = frozenset({"schemata", "monitoring", "stats"})

    #: The kernel rounds bandwidth up; ten per cent is the step of most CPUs.
    bandwidth_step = 10

    def __init__(self, files: ResctrlFiles) -> None:
        self.files = files

    def place(self, request: RdtRequest) -> RdtPlacement:
        name = request.clos_id or request.container_id
        if request.monitoring and "monitoring" not in self.features:
            raise self.unsupported("linux.intelRdt.enableMonitoring", "monitoring")
        if request.schemata and "schemata" not in self.features:
            raise self.unsupported("linux.intelRdt.schemata", "schemata")
        if name != "/" and ("/" in name or "\n" in name or name in _FIXED):
            raise ConfigError("invalid closID", where="linux.intelRdt.closID", why=f"{name!r} cannot name a group")
        clos = self.files.root() if name == "/" else f"{self.files.root()}/{name}"
        monitoring = f"{clos}/mon_groups/{request.container_id}" if request.monitoring else ""
        return RdtPlacement(clos, monitoring, {"shared": bool(request.clos_id)})

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        there = os.path.isdir(placement.clos)
        if there and not request.clos_id:
            raise AlreadyExists("CLOS exists already", where=placement.clos, why="it is not of this container")
        if not there and request.clos_id and not request.schemata:
            why = "no such group, and no schemata to make it with"
            raise ConfigError("cannot join CLOS", where=placement.clos, why=why)
        if not there:
            try:
                # A class is whole before anybody may rely on it: only then it is confirmed.
                self.make("clos", placement.clos, ctx, request.schemata if request.clos_id else ())
            except AlreadyExists:
                if not request.clos_id:
                    raise
                there = True
        if there:
            self.require_same(placement, request)
        if placement.monitoring:
            self.make("monitoring", placement.monitoring, ctx)

    def make(self, kind: str, path: str, ctx: LaunchContext, schemata: Sequence[str] = ()) -> None:
        """Announce, make, fill and confirm one group."""
        effect = ctx.intend(kind, path, absent=not os.path.lexists(path), path=path)
        before = self.status()
        try:
            self.files.mkdir(path)
        except FileExistsError:
            raise AlreadyExists(f"{kind} exists already", where=path) from None
        except OSError as error:
            # mkdir adds to what the status said before.
            raise self.error(f"cannot make {kind}", path, error, words=self.status().removeprefix(before)) from error
        if schemata:
            self.write(f"{path}/schemata", "".join(f"{line}\n" for line in combined(schemata)))
        made = os.stat(path)
        ctx.done(effect, dev=made.st_dev, ino=made.st_ino)

    def add_process(self, placement: RdtPlacement, process: ProcessHandle) -> None:
        if start_time(process.pid) != process.start_time:
            raise KernelError("cannot add process to CLOS", where=placement.clos, errno=errno.ESRCH)
        for path in filter(None, (placement.clos, placement.monitoring)):
            self.write(f"{path}/tasks", f"{process.pid}\n")

    def set(self, placement: RdtPlacement, request: RdtRequest) -> None:
        if request.clos_id:
            self.require_same(placement, request)
        elif request.schemata:
            self.write(f"{placement.clos}/schemata", "".join(f"{line}\n" for line in combined(request.schemata)))

    def stats(self, placement: RdtPlacement) -> Mapping[str, Any]:
        path = f"{placement.clos}/schemata"
        try:
            return {"schemata": self.files.read(path).split()}
        except OSError as error:
            raise self.error("cannot read", path, error) from error

    def destroy(self, placement: RdtPlacement, effects: Sequence[Effect]) -> None:
        for effect in effects:
            path = effect.args["path"]
            try:
                found = os.stat(path)
                if effect.done and (found.st_dev, found.st_ino) != (effect.facts["dev"], effect.facts["ino"]):
                    continue
                if not self.stays(placement, effect):
                    self.files.rmdir(path)
            except OSError as error:
                if not is_gone(error):
                    raise self.error("cannot remove group", path, error) from error

    def stays(self, placement: RdtPlacement, effect: Effect) -> bool:
        """A class that is whole belongs to nobody, nor does one that others use before it is."""
        if effect.kind != "clos" or not placement.extra["shared"]:
            return False
        return effect.done or bool(self.files.read(f"{placement.clos}/tasks").split())

    def require_same(self, placement: RdtPlacement, request: RdtRequest) -> None:
        """Refuse a shared group whose schemata mean something else (config-linux.md, IntelRdt)."""
        now = meaning(self.files.read(f"{placement.clos}/schemata").splitlines(), self.bandwidth_step)
        for key, value in meaning(request.schemata, self.bandwidth_step).items():
            if now.get(key) != value:
                why = f"the group has {key[0]} {key[1]}={now.get(key)}, asked for is {value}"
                raise ConfigError("cannot share CLOS", where=placement.clos, why=why)

    def write(self, path: str, value: str) -> None:
        """Write a file in one write(2)."""
        try:
            self.files.write(path, value)
        except OSError as error:
            # Of a group that is gone the kernel says nothing new.
            words = "" if is_gone(error) and error.errno != errno.ESRCH else self.status()
            raise self.error("cannot write", path, error, value, words) from error

    def status(self) -> str:
        """The kernel's words about the last command."""
        return self.files.read(f"{self.files.root()}/info/last_cmd_status")

    def error(self, what: str, path: str, error: OSError, value: str = "", words: str = "") -> KernelError:
        """The kernel's error, its words about it, and who has the CLOSIDs if there are no more."""
        why = f"{error.strerror}" + (f" for {value.strip()!r}" if value else "")
        if words.strip():
            why += f": {words.strip().replace(chr(10), '; ')}"
        hint = ""
        if error.errno == errno.ENOSPC:
            root = self.files.root()
            users = [f"{name}: {self.files.read(f'{root}/{name}/tasks').split()}" for name in self.files.children(root)]
            hint = f"in use by {', '.join(users)}"
        return KernelError(what, where=path, why=why, hint=hint, errno=error.errno or 0)


def meaning(lines: Sequence[str], bandwidth_step: int) -> dict[tuple[str, str], int]:
    """(resource, domain) -> value, whatever zeros, blanks and order it is written with; the last one counts."""
    found = {}
    for line in lines:
        resource, _, values = line.partition(":")
        bandwidth = resource.strip() == "MB"
        for item in values.split(";"):
            domain, _, value = item.partition("=")
            number = int(value.strip(), 10 if bandwidth else 16)
            step = bandwidth_step if bandwidth else 1
            found[resource.strip(), str(int(domain))] = -(-number // step) * step
    return found


def combined(lines: Sequence[str]) -> list[str]:
    """One line for each resource: in one write the kernel takes a domain only once."""
    values: dict[str, dict[str, str]] = {}
    for line in lines:
        resource, _, rest = line.partition(":")
        values.setdefault(resource, {}).update(dict(item.split("=") for item in rest.split(";")))
    return [f"{name}:" + ";".join(f"{domain}={value}" for domain, value in one.items()) for name, one in values.items()]
