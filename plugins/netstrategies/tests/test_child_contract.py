"""macvlan and ipvlan keep every promise of a network strategy; the kernel of the development host has no ipvlan."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from corelaunch_netstrategies.ipvlan import Ipvlan
from corelaunch_netstrategies.macvlan import Macvlan

from corelaunch.testing.network_contract import NetworkStrategyContract
from corelaunch.testing.network_host import host_links
from corelaunch.testing.network_rtnetlink import IFLA_IFNAME, Rtnetlink, attribute


class WithParent(NetworkStrategyContract):
    @pytest.fixture
    def options(self, private_host: None) -> Mapping[str, str]:
        """The parent, made on the test's own host."""
        with Rtnetlink() as netlink:
            netlink.make_veth("clnetpar", attribute(IFLA_IFNAME, "clnetpeer"))
            for name in ("clnetpar", "clnetpeer"):
                netlink.set_link(host_links()[name].index, up=True)
        return {"parent": "clnetpar"}


class TestMacvlan(WithParent):
    @pytest.fixture
    def strategy(self) -> Macvlan:
        return Macvlan()


class TestIpvlan(WithParent):
    @pytest.fixture
    def strategy(self) -> Ipvlan:
        return Ipvlan()
