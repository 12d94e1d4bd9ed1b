"""The reference managers keep the contract: on fake cgroup files, on those of this host, with a process first."""

from __future__ import annotations

from pathlib import Path

import pytest

from corelaunch.testing.cgroup_contract import CgroupManagerContract
from corelaunch.testing.cgroup_kernel import KernelCgroups
from corelaunch.testing.cgroup_reference import ReferenceCgroupManager
from corelaunch.testing.cgroup_stage import CgroupFiles
from corelaunch.testing.fake_cgroup import FakeCgroups
from corelaunch.testing.scope_manager import ScopeManager


class TestOnFakeFiles(CgroupManagerContract):
    @pytest.fixture
    def cgroup_files(self, tmp_path: Path) -> CgroupFiles:
        return FakeCgroups(tmp_path)

    @pytest.fixture
    def manager(self, cgroup_files: CgroupFiles) -> ReferenceCgroupManager:
        return ReferenceCgroupManager(cgroup_files)


@pytest.mark.needs_root
class TestOnTheKernelsFiles(CgroupManagerContract):
    @pytest.fixture
    def manager(self) -> ReferenceCgroupManager:
        return ReferenceCgroupManager(KernelCgroups())


@pytest.mark.needs_root
class TestScopes(CgroupManagerContract):
    @pytest.fixture
    def manager(self) -> ScopeManager:
        return ScopeManager()
