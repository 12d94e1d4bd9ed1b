"""cni keeps every promise of a network strategy, with Debian's plugins."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from corelaunch_netstrategies.cni import Cni

from corelaunch.testing.network_contract import NetworkStrategyContract

sys.path.insert(0, os.path.dirname(__file__))
import cni_host


class TestCni(NetworkStrategyContract):
    @pytest.fixture
    def strategy(self) -> Cni:
        return Cni()

    @pytest.fixture
    def options(self, tmp_path: Path, private_host: None) -> Mapping[str, str]:
        # ptp turns it on by itself (EnableForward() of its main.go) and leaves it on.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        return {"conf": str(cni_host.write_list(tmp_path, cni_host.ptp(tmp_path)))}
