"""flat keeps every promise of a cgroup manager that it makes."""

import pytest
from corelaunch_flat import FlatCgroupManager

from corelaunch.testing import CgroupManagerContract


class TestFlat(CgroupManagerContract):
    @pytest.fixture
    def manager(self):
        return FlatCgroupManager()
