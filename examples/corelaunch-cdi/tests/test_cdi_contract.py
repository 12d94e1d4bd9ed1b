"""cdi keeps every promise of a lifecycle plugin, for a container that asks for a device."""

import pytest
from corelaunch_cdi import plugin as cdi

from corelaunch.testing import LifecycleContract
from corelaunch.testing.bundles import config as default_config


class TestCdi(LifecycleContract):
    @pytest.fixture
    def plugin(self, vendor):
        null = {"path": "/dev/vendor0", "hostPath": "/dev/null"}
        vendor({"0": {"deviceNodes": [null], "env": ["A=b"], "hooks": [{"hookName": "poststop", "path": "/bin/true"}]}})
        return cdi

    @pytest.fixture
    def config(self):
        return {**default_config("true"), "annotations": {"cdi.k8s.io/test": "vendor.com/gpu=0"}}
