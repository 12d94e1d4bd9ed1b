"""resctrl keeps every promise of an RDT manager, where this host has the filesystem mounted."""

from __future__ import annotations

import pytest
from corelaunch_resctrl.manager import ResctrlManager

from corelaunch.testing.rdt_contract import RdtManagerContract


class TestResctrl(RdtManagerContract):
    @pytest.fixture
    def manager(self) -> ResctrlManager:
        return ResctrlManager()
