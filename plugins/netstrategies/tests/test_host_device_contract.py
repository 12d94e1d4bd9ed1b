"""host-device keeps every promise of a network strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from corelaunch_netstrategies.host_device import HostDevice

from corelaunch.testing.network_contract import NetworkStrategyContract
from corelaunch.testing.network_stage import lend_devices


class TestHostDevice(NetworkStrategyContract):
    @pytest.fixture
    def strategy(self) -> HostDevice:
        return HostDevice()

    @pytest.fixture
    def options(self, private_host: None) -> Callable[[str, int], Mapping[str, str]]:
        return lend_devices()
