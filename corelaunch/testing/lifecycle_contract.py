"""What every lifecycle plugin promises, as tests: subclass :class:`LifecycleContract` and say which plugin.

    class TestAudit(LifecycleContract):
        @pytest.fixture
        def plugin(self):
            return corelaunch_audit      # the module or object of the entry point

Or without a line of code: ``pytest --corelaunch-contract lifecycle:NAME``. The test names are promises: one is renamed
only after a release that warns. No container is made and no root needed: the hooks are called as core calls them. A
plugin that refuses most configs overrides the fixture ``config`` with one that it accepts; the fixture ``call_seconds``
says how long one call may take.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from corelaunch.plugins.guard import CALL_SECONDS

from .bundles import config as default_config
from .lifecycle_promises_answers import Adjusting, Declaring, Extending
from .lifecycle_promises_guest import Behaving
from .lifecycle_promises_moments import Observing
from .lifecycle_stage import Stage


class LifecycleContract(Declaring, Adjusting, Observing, Behaving, Extending):
    """Promises of a lifecycle plugin. Fixtures: ``plugin`` must be overridden, ``config`` and ``call_seconds`` may."""

    @pytest.fixture
    def plugin(self) -> Any:
        """The module or object of the entry point."""
        pytest.fail(f"{type(self).__name__} must define a `plugin` fixture that returns the lifecycle plugin")

    @pytest.fixture
    def config(self) -> Mapping[str, Any]:
        """A config.json that the plugin accepts."""
        return default_config("true")

    @pytest.fixture
    def call_seconds(self) -> float:
        """How long one call of a hook may take before it counts as one that does not return."""
        return CALL_SECONDS

    @pytest.fixture
    def stage(
        self,
        plugin: Any,
        config: Mapping[str, Any],
        call_seconds: float,
        tmp_path: Path,
        request: pytest.FixtureRequest,
    ) -> Stage:
        """The plugin, and what the tests do to it; one that does not return or ends the process is played once."""
        stage = Stage(plugin, config, tmp_path, call_seconds)
        trials: dict[Any, str] = request.cls.__dict__.get("_trials") or {}
        type.__setattr__(request.cls, "_trials", trials)
        key = stage.identity
        if key not in trials:
            trials[key] = stage.trial()
        if trials[key] and request.function.__name__ != "test_every_call_returns":
            pytest.skip(f"not played: {trials[key]}")
        return stage
