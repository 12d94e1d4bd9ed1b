"""What every network strategy promises, as tests: subclass :class:`NetworkStrategyContract` and say which strategy.

    class TestBridge(NetworkStrategyContract):
        @pytest.fixture
        def strategy(self):
            return Bridge()

Or without a line of code: ``pytest --corelaunch-contract network_strategy:NAME``. The test names are promises: one is
renamed only after a release that warns. Root is needed; the host's own network is not touched (network_host.py).

A feature brings options of the same word, so that all strategies are asked alike: ``addresses`` means ``address``
(CIDR, several by comma), ``routes`` means ``route`` (``DESTINATION via GATEWAY``) and ``gateway``, ``dns`` means
``dns``, ``search``, ``dns-option`` and ``add-host``, ``bridge`` means ``bridge`` and ``bridge-address``, ``nat`` the
option of a bridge with an address, ``move`` means ``device``; ``mtu``, ``mac``, ``name`` and ``accept-ra`` mean the
option of that name.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from corelaunch.api import NetworkStrategy
from corelaunch.plugins.guard import CALL_SECONDS

from .guest_promises import Behaving, Guest, play_once
from .host import host_lacks
from .network_host import LaterProcess, private_network
from .network_promises_bridge import Sharing
from .network_promises_companion import Accompanied
from .network_promises_down import ComingDown
from .network_promises_move import Moving
from .network_promises_nat import FORWARDING, Translating, write
from .network_promises_refusing import Refusing
from .network_promises_running import Running
from .network_promises_up import GoingUp, Placing
from .network_stage import Stage


class NetworkStrategyContract(
    Placing, GoingUp, Running, Refusing, Sharing, Translating, Moving, Accompanied, ComingDown, Behaving
):
    """Promises of ``corelaunch.api.NetworkStrategy``. Fixtures to override: ``strategy``, and ``options`` if needed."""

    @pytest.fixture
    def strategy(self) -> NetworkStrategy:
        """A fresh strategy."""
        pytest.fail(f"{type(self).__name__} must define a `strategy` fixture that returns a fresh network strategy")

    @pytest.fixture
    def options(self) -> Mapping[str, str] | Callable[[str, int], Mapping[str, str]]:
        """Options that every request needs; they must not fix a host-side name.

        A strategy that takes what is there, like a device, gives a function of container id and index in their place.
        What they name on the host is made here, in ``private_host``: ask for that fixture, too.
        """
        return {}

    @pytest.fixture
    def private_host(self) -> Iterator[None]:
        """The test's own network, in place of the host's; as a host that does not forward, whatever this one does.

        What a program of somebody else's turns on by itself (CNI's ptp does), an ``options`` turns on before.
        """
        context = private_network()
        try:
            context.__enter__()
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL, errno.ENOSPC):
                raise
            host_lacks(f"a network namespace of the test's own ({os.strerror(error.errno)})")
        try:
            write(FORWARDING, "0")
            yield
        finally:
            context.__exit__(None, None, None)

    @pytest.fixture
    def later_process(self, strategy: NetworkStrategy, private_host: None) -> Iterator[LaterProcess]:
        """A process that has seen nothing of what the test does."""
        process = LaterProcess(strategy)
        yield process
        process.close()

    @pytest.fixture
    def call_seconds(self) -> float:
        """How long one call may take before it counts as one that does not return."""
        return CALL_SECONDS

    @pytest.fixture
    def guest(self, strategy: NetworkStrategy, options: Any, private_host: None, call_seconds: float) -> Guest:
        """The strategy, where it may misbehave."""
        return Guest(Stage(strategy, options), call_seconds)

    @pytest.fixture
    def stage(
        self,
        strategy: NetworkStrategy,
        options: Any,
        private_host: None,
        guest: Guest,
        request: pytest.FixtureRequest,
    ) -> Iterator[Stage]:
        """The strategy with one container."""
        play_once(request, strategy, guest.trial)
        stage = Stage(strategy, options)
        yield stage
        stage.close()
