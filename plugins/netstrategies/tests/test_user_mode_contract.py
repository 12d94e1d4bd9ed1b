"""pasta and slirp4netns keep every promise of a network strategy."""

from __future__ import annotations

import shutil

import pytest
from corelaunch_netstrategies.pasta import Pasta
from corelaunch_netstrategies.slirp4netns import Slirp4netns

from corelaunch.testing.host import host_lacks
from corelaunch.testing.network_contract import NetworkStrategyContract


class TestPasta(NetworkStrategyContract):
    @pytest.fixture
    def strategy(self) -> Pasta:
        if shutil.which("pasta") is None:
            host_lacks("pasta (apt install passt)")
        return Pasta()


class TestSlirp4netns(NetworkStrategyContract):
    @pytest.fixture
    def strategy(self) -> Slirp4netns:
        if shutil.which("slirp4netns") is None:
            host_lacks("slirp4netns (apt install slirp4netns)")
        return Slirp4netns()
