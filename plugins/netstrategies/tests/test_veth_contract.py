"""veth keeps every promise of a network strategy."""

from __future__ import annotations

import pytest
from corelaunch_netstrategies.veth import Veth

from corelaunch.testing.network_contract import NetworkStrategyContract


class TestVeth(NetworkStrategyContract):
    @pytest.fixture
    def strategy(self) -> Veth:
        return Veth()
