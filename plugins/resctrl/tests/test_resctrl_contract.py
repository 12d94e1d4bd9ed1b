"""resctrl keeps every promise of an RDT manager: on the files of this host, if any, and on those of FUSE."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from corelaunch_resctrl.manager import ResctrlManager

from corelaunch.testing import fuse_resctrl, resctrl_machine
from corelaunch.testing.host import host_lacks
from corelaunch.testing.rdt_contract import RdtManagerContract
from corelaunch.testing.rdt_stage import KernelResctrl


class TestResctrl(RdtManagerContract):
    @pytest.fixture
    def manager(self) -> ResctrlManager:
        return ResctrlManager()


@pytest.fixture(scope="class")
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the machine of a class is mounted."""
    lacks = fuse_resctrl.lacks()
    if lacks:
        host_lacks(lacks)
    with fuse_resctrl.mounted(tmp_path_factory.mktemp("resctrl"), request.cls.machine) as mounted:
        yield mounted


class OnFuse(RdtManagerContract):
    """The same, on a CPU that this host has not."""

    machine = resctrl_machine.RDT

    @pytest.fixture
    def resctrl_files(self, root: str) -> KernelResctrl:  # type: ignore[override]
        return KernelResctrl(root)

    @pytest.fixture
    def manager(self, root: str) -> ResctrlManager:  # type: ignore[override]
        return ResctrlManager(root)


class TestOnRdt(OnFuse):
    pass


class TestOnHaswell(OnFuse):
    machine = resctrl_machine.HASWELL


class TestOnEverything(OnFuse):
    machine = resctrl_machine.EVERYTHING
