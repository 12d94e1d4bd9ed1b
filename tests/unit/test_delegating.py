"""A manager that hands its calls to another keeps that one's promises, and refuses what it does not keep of them."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from corelaunch import api
from corelaunch.testing import CgroupManagerContract, RdtManagerContract
from corelaunch.testing.cgroup_reference import ReferenceCgroupManager
from corelaunch.testing.fake_cgroup import FakeCgroups
from corelaunch.testing.fake_resctrl import FakeResctrl
from corelaunch.testing.rdt_reference import ReferenceRdtManager


class TestAllOfIt(CgroupManagerContract):
    @pytest.fixture
    def cgroup_files(self, tmp_path: Path) -> FakeCgroups:
        return FakeCgroups(tmp_path)

    @pytest.fixture
    def manager(self, cgroup_files: FakeCgroups) -> api.CgroupManager:
        return api.DelegatingCgroupManager(ReferenceCgroupManager(cgroup_files))


class LimitsOnly(api.DelegatingCgroupManager):
    keeps = frozenset({"limits", "cgroup-v1"})
    limits_of = frozenset({"pids"})


class TestSomeOfIt(CgroupManagerContract):
    @pytest.fixture
    def cgroup_files(self, tmp_path: Path) -> FakeCgroups:
        return FakeCgroups(tmp_path)

    @pytest.fixture
    def manager(self, cgroup_files: FakeCgroups) -> api.CgroupManager:
        manager = LimitsOnly(ReferenceCgroupManager(cgroup_files))
        assert manager.features == {"limits"}, "what inner does not claim is not claimed"
        return manager


class TestRdt(RdtManagerContract):
    @pytest.fixture
    def resctrl_files(self, tmp_path: Path) -> FakeResctrl:
        return FakeResctrl(tmp_path)

    @pytest.fixture
    def manager(self, resctrl_files: FakeResctrl) -> api.RdtManager:
        return api.DelegatingRdtManager(ReferenceRdtManager(resctrl_files))


class NoFigures(api.DelegatingRdtManager):
    keeps = frozenset({"schemata"})


class TestSomeOfRdt(RdtManagerContract):
    @pytest.fixture
    def resctrl_files(self, tmp_path: Path) -> FakeResctrl:
        return FakeResctrl(tmp_path)

    @pytest.fixture
    def manager(self, resctrl_files: FakeResctrl) -> api.RdtManager:
        return NoFigures(ReferenceRdtManager(resctrl_files))


@pytest.mark.parametrize(
    ("cls", "base"),
    [(api.DelegatingCgroupManager, api.CgroupManager), (api.DelegatingRdtManager, api.RdtManager)],
)
def test_every_method_is_handed_on(cls: type, base: type) -> None:
    """A method of a later release that was forgotten here would be refused, though ``inner`` has it."""
    methods = {name for name, value in vars(base).items() if inspect.isfunction(value) and name[0] != "_"}
    assert len(methods) > 5
    assert methods - set(vars(cls)) == set()
