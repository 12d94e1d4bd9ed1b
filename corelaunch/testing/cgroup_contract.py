"""What every cgroup manager promises, as tests: subclass :class:`CgroupManagerContract` and say which manager.

    class TestFlat(CgroupManagerContract):
        @pytest.fixture
        def manager(self):
            return FlatCgroupManager()

Or without a line of code: ``pytest --corelaunch-contract cgroup_manager:NAME``. The test names are promises: one is
renamed only after a release that warns. What needs the kernel makes cgroups called ``cl-cg-contract-…`` and removes
them. A feature that the manager claims is tested; the operations of one that it does not claim must be refused.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from corelaunch.api import CgroupManager
from corelaunch.plugins.guard import CALL_SECONDS

from .cgroup_kernel import KernelCgroups
from .cgroup_promises_devices import Devices
from .cgroup_promises_down import ComingDown
from .cgroup_promises_features import Limiting, Measuring, Unclaimed
from .cgroup_promises_running import Freezing, Joining, Killing
from .cgroup_promises_up import Creating, Placing
from .cgroup_promises_v2 import Delegating, Nesting, Pressure, Unified
from .cgroup_stage import CgroupFiles, Stage
from .guest_promises import Behaving, Guest, play_once


class CgroupManagerContract(
    Placing,
    Creating,
    Delegating,
    Joining,
    Freezing,
    Killing,
    Nesting,
    Limiting,
    Devices,
    Unified,
    Measuring,
    Pressure,
    Unclaimed,
    ComingDown,
    Behaving,
):
    """Promises of ``corelaunch.api.CgroupManager``. Fixtures: ``manager`` must be overridden, ``cgroup_files`` may."""

    @pytest.fixture
    def manager(self) -> CgroupManager:
        """A fresh manager."""
        pytest.fail(f"{type(self).__name__} must define a `manager` fixture that returns a fresh cgroup manager")

    @pytest.fixture
    def cgroup_files(self) -> CgroupFiles:
        """The cgroup files that the manager works on: this host's, or a ``fake_cgroup.FakeCgroups``."""
        return KernelCgroups()

    @pytest.fixture
    def call_seconds(self) -> float:
        """How long one call may take before it counts as one that does not return."""
        return CALL_SECONDS

    @pytest.fixture
    def guest(self, manager: CgroupManager, cgroup_files: CgroupFiles, call_seconds: float) -> Guest:
        """The manager, where it may misbehave."""
        return Guest(Stage(manager, cgroup_files), call_seconds)

    @pytest.fixture
    def stage(
        self, manager: CgroupManager, cgroup_files: CgroupFiles, guest: Guest, request: pytest.FixtureRequest
    ) -> Iterator[Stage]:
        """The manager, and what the tests do to it."""
        play_once(request, manager, guest.trial)
        stage = Stage(manager, cgroup_files)
        yield stage
        stage.close()
