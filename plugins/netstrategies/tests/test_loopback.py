"""loopback keeps every promise of a network strategy, and makes nothing."""

from __future__ import annotations

import pytest
from corelaunch_netstrategies import loopback
from corelaunch_netstrategies.loopback import Loopback

from corelaunch.api import ConfigError, NetworkRequest
from corelaunch.testing.network_contract import NetworkStrategyContract
from corelaunch.testing.network_host import Container, EffectRecorder, host_links, private_network


class TestLoopback(NetworkStrategyContract):
    @pytest.fixture
    def strategy(self) -> Loopback:
        return Loopback()


def test_the_hook_gives_a_strategy_and_the_module_says_which_api_it_is_for() -> None:
    assert isinstance(loopback.corelaunch_network_strategy(), Loopback)
    assert loopback.corelaunch_api == 1


@pytest.mark.needs_root
def test_nothing_is_announced_and_nothing_made_but_lo_is_up() -> None:
    with private_network(), Container() as container:
        placement, recorder = Loopback().place(NetworkRequest("clnet", 0, "loopback")), EffectRecorder()
        Loopback().create(placement, container.process, recorder)
        assert not container.links()["lo"].up
        Loopback().initialize(placement, container.netlink_fd, recorder)
        assert container.links()["lo"].up
        assert (recorder.all_effects, set(host_links())) == ([], {"lo"})


def test_an_option_of_a_pair_is_refused() -> None:
    with pytest.raises(ConfigError, match="loopback knows dns, search, dns-option, add-host"):
        Loopback().place(NetworkRequest("clnet", 0, "loopback", {"mtu": "1400"}))
