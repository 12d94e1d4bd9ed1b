"""cgroupfs keeps every promise of a cgroup manager."""

from __future__ import annotations

import pytest
from corelaunch_cgroupfs.manager import CgroupfsManager

from corelaunch.testing.cgroup_contract import CgroupManagerContract


class TestCgroupfs(CgroupManagerContract):
    @pytest.fixture
    def manager(self) -> CgroupfsManager:
        return CgroupfsManager()
