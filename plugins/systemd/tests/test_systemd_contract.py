"""systemd keeps every promise of a cgroup manager (where systemd runs: script/with-systemd)."""

from __future__ import annotations

import pytest
from corelaunch_systemd.manager import SystemdManager

from corelaunch.testing.cgroup_contract import CgroupManagerContract


class TestSystemd(CgroupManagerContract):
    @pytest.fixture
    def manager(self) -> SystemdManager:
        return SystemdManager()
