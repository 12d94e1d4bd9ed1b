"""otel keeps every promise of a lifecycle plugin."""

import pytest
from corelaunch_otel.plugin import Telemetry

from corelaunch.testing import LifecycleContract


class TestOtel(LifecycleContract):
    @pytest.fixture
    def plugin(self):
        return Telemetry()
