"""systemd keeps every promise of a cgroup manager (where systemd runs: script/with-systemd)."""

from __future__ import annotations

import pytest
from corelaunch_systemd.manager import SystemdManager

from corelaunch.testing.cgroup_contract import CgroupManagerContract
from corelaunch.testing.host import host_lacks


class TestSystemd(CgroupManagerContract):
    @pytest.fixture
    def manager(self) -> SystemdManager:
        manager = SystemdManager()
        if not manager.features:  # it has none where it finds no systemd
            host_lacks("a running systemd")
        return manager
