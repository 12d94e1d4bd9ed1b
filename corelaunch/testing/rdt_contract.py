"""What every RDT manager promises, as tests: subclass :class:`RdtManagerContract` and say which manager.

    class TestMine(RdtManagerContract):
        @pytest.fixture
        def manager(self):
            return MyRdtManager()

Or without a line of code: ``pytest --corelaunch-contract rdt_manager:NAME``. The test names are promises: one is
renamed only after a release that warns. Groups are called ``cl-rdt-…`` and are removed again. ``placement.clos`` and
``placement.monitoring`` are the directories of the groups.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from corelaunch.api import RdtManager
from corelaunch.plugins.guard import CALL_SECONDS

from .guest_promises import Behaving, Guest, play_once
from .rdt_promises_down import ComingDown
from .rdt_promises_refusing import Refusing
from .rdt_promises_sharing import Sharing
from .rdt_promises_up import Creating, Placing, Using
from .rdt_stage import KernelResctrl, ResctrlFiles, Stage


class RdtManagerContract(Placing, Creating, Sharing, Using, Refusing, ComingDown, Behaving):
    """Promises of ``corelaunch.api.RdtManager``. Fixtures: ``manager`` must be overridden, ``resctrl_files`` may."""

    @pytest.fixture
    def manager(self) -> RdtManager:
        """A fresh manager."""
        pytest.fail(f"{type(self).__name__} must define a `manager` fixture that returns a fresh RDT manager")

    @pytest.fixture
    def resctrl_files(self) -> ResctrlFiles:
        """The resctrl files that the manager works on: this host's, or a ``fake_resctrl.FakeResctrl``."""
        return KernelResctrl()

    @pytest.fixture
    def call_seconds(self) -> float:
        """How long one call may take before it counts as one that does not return."""
        return CALL_SECONDS

    @pytest.fixture
    def guest(self, manager: RdtManager, resctrl_files: ResctrlFiles, call_seconds: float) -> Guest:
        """The manager, where it may misbehave."""
        return Guest(Stage(manager, resctrl_files), call_seconds)

    @pytest.fixture
    def stage(
        self, manager: RdtManager, resctrl_files: ResctrlFiles, guest: Guest, request: pytest.FixtureRequest
    ) -> Iterator[Stage]:
        """The manager, and what the tests do to it."""
        play_once(request, manager, guest.trial)
        stage = Stage(manager, resctrl_files)
        yield stage
        stage.close()
