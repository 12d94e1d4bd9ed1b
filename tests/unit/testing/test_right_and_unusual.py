"""No contract calls the unusual broken if it is right: names by hash, programs, threads, tuples, no interface."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from corelaunch.api import (
    CgroupPlacement,
    CgroupRequest,
    ConfigError,
    Effect,
    KernelError,
    LaunchContext,
    NetworkPlacement,
    NetworkRequest,
    NetworkStrategy,
    ProcessHandle,
    RdtPlacement,
    RdtRequest,
    SetAnnotation,
    hookimpl,
    start_time,
)
from corelaunch.testing.cgroup_contract import CgroupManagerContract
from corelaunch.testing.cgroup_reference import ReferenceCgroupManager
from corelaunch.testing.fake_cgroup import FakeCgroups
from corelaunch.testing.fake_resctrl import FakeResctrl
from corelaunch.testing.lifecycle_contract import LifecycleContract
from corelaunch.testing.network_contract import NetworkStrategyContract
from corelaunch.testing.network_reference import ReferenceVeth
from corelaunch.testing.network_rtnetlink import Rtnetlink
from corelaunch.testing.rdt_contract import RdtManagerContract
from corelaunch.testing.rdt_reference import ReferenceRdtManager

pytestmark = pytest.mark.bites
needs_root = pytest.mark.needs_root


def talk(ctx: LaunchContext) -> None:
    """Say much, and have a program do something."""
    for number in range(1000):
        ctx.log(("debug", "info", "warning", "error")[number % 4], f"line {number}")
    subprocess.run(["true"], check=True)


class UnusualCgroups(ReferenceCgroupManager):
    """Names by hash in an ordered mapping; programs, threads for the length of a call, and a long log."""

    def place(self, request: CgroupRequest) -> CgroupPlacement:
        placed = super().place(request)
        name = sha256(request.container_id.encode()).hexdigest()[:20]
        paths = OrderedDict((c, f"{os.path.dirname(path)}/{name}") for c, path in placed.paths.items())
        return CgroupPlacement(paths)

    def create(
        self, placement: CgroupPlacement, request: CgroupRequest, process: ProcessHandle | None, ctx: LaunchContext
    ) -> None:
        talk(ctx)
        super().create(placement, request, process, ctx)

    def add_process(self, placement: CgroupPlacement, process: ProcessHandle) -> None:
        with ThreadPoolExecutor(4) as pool:
            controls = [f"{path}/cgroup.procs" for path in placement.paths.values()]
            list(pool.map(lambda path: self._write(path, str(process.pid)), controls))


class TestUnusualCgroups(CgroupManagerContract):
    @pytest.fixture
    def cgroup_files(self, tmp_path: Path) -> FakeCgroups:
        return FakeCgroups(tmp_path)

    @pytest.fixture
    def manager(self, cgroup_files: FakeCgroups) -> UnusualCgroups:
        return UnusualCgroups(cgroup_files)


class UnusualRdt(ReferenceRdtManager):
    """Names by hash, a program, a long log."""

    def place(self, request: RdtRequest) -> RdtPlacement:
        if request.clos_id:
            return super().place(request)
        name = sha256(request.container_id.encode()).hexdigest()[:16]
        clos = f"{self.files.root()}/{name}"
        monitoring = f"{clos}/mon_groups/{name}" if request.monitoring else ""
        return RdtPlacement(clos, monitoring, super().place(request).extra)

    def create(self, placement: RdtPlacement, request: RdtRequest, ctx: LaunchContext) -> None:
        talk(ctx)
        super().create(placement, request, ctx)


class TestUnusualRdt(RdtManagerContract):
    @pytest.fixture
    def resctrl_files(self, tmp_path: Path) -> FakeResctrl:
        return FakeResctrl(tmp_path)

    @pytest.fixture
    def manager(self, resctrl_files: FakeResctrl) -> UnusualRdt:
        return UnusualRdt(resctrl_files)


class UnusualVeth(ReferenceVeth):
    """Tuples for lists, other mappings, a program, a long log."""

    features = frozenset({"addresses", "dns", "stats"})

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        placed: NetworkPlacement = super().place(request)
        lists = ("addresses", "nameservers", "search", "resolver_options", "hosts")
        members = {name: tuple(getattr(placed, name)) for name in lists}
        return placed.replace(options=OrderedDict(placed.options), **members)  # type: ignore[no-any-return]

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        talk(ctx)
        super().create(placement, process, ctx)

    def stats(self, placement: NetworkPlacement) -> Mapping[str, int]:
        return MappingProxyType(super().stats(placement))


@needs_root
class TestUnusualVeth(NetworkStrategyContract):
    @pytest.fixture
    def strategy(self) -> UnusualVeth:
        return UnusualVeth()


class Linkless(NetworkStrategy):
    """Makes no interface: the loopback is all that its containers have."""

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        for option in request.options:
            raise ConfigError("there are no options", where=option)
        return NetworkPlacement(container_name="lo")

    def create(self, placement: NetworkPlacement, process: ProcessHandle, ctx: LaunchContext) -> None:
        if start_time(process.pid) != process.start_time:
            raise KernelError("the process is gone", where=str(process.pid))

    def initialize(self, placement: NetworkPlacement, netlink_fd: int, ctx: LaunchContext) -> None:
        with Rtnetlink(netlink_fd) as netlink:
            netlink.set_link(netlink.links()["lo"].index, up=True)

    def destroy(self, placement: NetworkPlacement, effects: Sequence[Effect]) -> None:
        pass


@needs_root
class TestLinkless(NetworkStrategyContract):
    @pytest.fixture
    def strategy(self) -> Linkless:
        return Linkless()


class EveryMoment:
    """A pool for the length of each call, and a lock around it; tuples; a long log."""

    corelaunch_api = 1

    def __init__(self) -> None:
        self._lock = threading.RLock()

    @hookimpl
    def corelaunch_adjust_config(self, config: Mapping[str, Any], container_id: str, bundle: str) -> Any:
        return (SetAnnotation("org.example.unusual", container_id),)

    @hookimpl
    def corelaunch_adjust_plan(self, plan: Any, config: Any, container_id: str, bundle: str) -> Any:
        return ()

    @hookimpl
    def corelaunch_moment(self, moment: Any, log: Any) -> None:
        with self._lock, ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: log("debug", f"{moment.name} {number}"), range(50)))

    @hookimpl
    def corelaunch_features(self) -> Mapping[str, str]:
        return MappingProxyType({"org.example.unusual": "yes"})


class TestEveryMoment(LifecycleContract):
    @pytest.fixture
    def plugin(self) -> EveryMoment:
        return EveryMoment()
