"""bridge keeps every promise of a network strategy."""

from __future__ import annotations

import pytest
from corelaunch_netstrategies.bridge import Bridge

from corelaunch.testing.network_contract import NetworkStrategyContract


class TestBridge(NetworkStrategyContract):
    @pytest.fixture
    def strategy(self) -> Bridge:
        return Bridge()
