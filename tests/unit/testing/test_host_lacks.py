"""What a host lacks is seen by the contract and not told by the plugin: one that refuses what it claims is broken."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from bites import Report, failed, play

from corelaunch.api import (
    KernelError,
    NetworkPlacement,
    NetworkRequest,
    RdtManager,
    RdtPlacement,
    RdtRequest,
    Unsupported,
)
from corelaunch.testing import cgroup_probe, network_stage, rdt_stage
from corelaunch.testing import cgroup_wrong_claims as wrong
from corelaunch.testing.fake_cgroup import FakeCgroups
from corelaunch.testing.fake_resctrl import FakeResctrl

#: Wrong manager -> promises that it breaks, words of a reason.
WRONG = {
    wrong.HidesThatItLimitsOnlyPids: (
        {
            "a_limit_reads_back_from_the_kernel",
            "a_property_that_is_absent_stays_as_it_is",
            "an_update_that_fails_leaves_the_limits_as_they_were",
            "limits_change_while_processes_run",
        },
        "this host has (limits_of says which limits are not promised): this manager limits only pids",
    ),
    wrong.PromisesWhilePlacing: (
        {"limits_that_are_not_claimed_are_refused_already_by_place"},
        "which set_resources will refuse",
    ),
    wrong.ClaimsLimitsInVain: (
        {"a_limit_reads_back_from_the_kernel", "minus_one_lifts_a_limit"},
        "it claims 'limits' and has no set_resources",
    ),
    wrong.RefusesEveryHost: ({"place_changes_nothing"}, "on a host that has all it needs"),
    wrong.AnswersWithADict: ({"place_changes_nothing"}, "which is no CgroupPlacement"),
}

CONTRACTS = """
import pytest
from corelaunch.testing import CgroupManagerContract, cgroup_wrong_claims
from corelaunch.testing.fake_cgroup import FakeCgroups

class OnFakeFiles(CgroupManagerContract):
    @pytest.fixture
    def cgroup_files(self, tmp_path):
        return FakeCgroups(tmp_path)

for name in NAMES:
    def made(self, cgroup_files, cls=getattr(cgroup_wrong_claims, name)):
        return cls(cgroup_files)
    globals()[f"Test{name}"] = type(f"Test{name}", (OnFakeFiles,), {"manager": pytest.fixture(made, name="manager")})
"""

CONFTEST = """
def pytest_collection_modifyitems(items):
    parts = ("Limiting", "Placing", "Unclaimed")
    items[:] = [i for i in items if i.function.__qualname__.split(".")[0] in parts]
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    directory = tmp_path_factory.mktemp("contract")
    names = ["LimitsOnlyPids", *(cls.__name__ for cls in WRONG)]
    (directory / "test_contracts.py").write_text(f"NAMES = {names!r}\n{CONTRACTS}")
    (directory / "conftest.py").write_text(CONFTEST)
    return play(directory)


@pytest.mark.parametrize("manager", WRONG, ids=lambda cls: cls.__name__)
def test_a_manager_that_refuses_what_it_claims_is_broken(report: Report, manager: type) -> None:
    broken = failed(report[manager.__name__])
    promises, words = WRONG[manager]
    assert promises <= broken.keys(), broken.keys()
    assert words in broken[sorted(promises)[0]]


def test_a_manager_that_says_which_limits_it_has_keeps_all(report: Report) -> None:
    promises = report["LimitsOnlyPids"]
    assert failed(promises) == {}
    assert promises["limits_that_are_not_claimed_are_refused_already_by_place"] == ""
    assert promises["minus_one_lifts_a_limit"] == ""
    assert promises["a_limit_reads_back_from_the_kernel"] == "skipped", "memory is not claimed"


def test_what_is_missing_is_looked_up_in_the_hierarchies(tmp_path: Path) -> None:
    files = FakeCgroups(tmp_path)
    everywhere = files.roots()
    assert cgroup_probe.missing_for(files, everywhere, {"pids": {"limit": 1}, "memory": {"limit": 1}}) == ""
    assert cgroup_probe.missing_for(files, everywhere, {"cpu": {"shares": 1}}) == "the controller cpu"
    unified = {"": everywhere[""]}
    assert cgroup_probe.missing_for(files, unified, {"pids": {"limit": 1}}) == "the controller pids in cgroup v2"
    assert cgroup_probe.missing_for(files, unified, {"unified": {"io.max": ""}}) == "the controller io in cgroup v2"


class OneVersion(FakeCgroups):
    """A host with v1 alone."""

    def roots(self) -> dict[str, str]:
        return {name: path for name, path in super().roots().items() if name}


def test_a_version_of_cgroups_is_missing_only_where_it_is_not_mounted(tmp_path: Path) -> None:
    hybrid, v1 = FakeCgroups(tmp_path), OneVersion(tmp_path)
    for features in ((), ("cgroup-v1",), ("cgroup-v1", "cgroup-v2")):
        assert cgroup_probe.missing_for_any_cgroup(hybrid, frozenset(features)) == ""
    assert cgroup_probe.missing_for_any_cgroup(v1, frozenset({"cgroup-v1", "cgroup-v2"})) == ""
    missing = "a mounted hierarchy of cgroup-v2"
    assert cgroup_probe.missing_for_any_cgroup(v1, frozenset({"cgroup-v2"})) == missing
    assert cgroup_probe.missing_for_any_cgroup(v1, frozenset()) == missing, "who does not say what it needs"


class RefusingRdt(RdtManager):
    features = frozenset({"schemata", "monitoring"})

    def place(self, request: RdtRequest) -> RdtPlacement:
        raise Unsupported("no RDT for you")


def test_rdt_is_missing_only_where_resctrl_has_it_not(tmp_path: Path) -> None:
    stage = rdt_stage.Stage(RefusingRdt(), FakeResctrl(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="this host has: no RDT for you"):
        stage.place(stage.request(schemata=[stage.line()]))
    with pytest.raises(pytest.skip.Exception, match="this host lacks the resource L9 in resctrl"):
        stage.place(stage.request(schemata=["L9:0=1"]))


class FailingStrategy:
    """As far as a stage needs one."""

    features = frozenset[str]()

    def __init__(self, error: BaseException, cause: BaseException | None = None) -> None:
        self.error, self.cause = error, cause

    def place(self, request: NetworkRequest) -> NetworkPlacement:
        return NetworkPlacement(container_name="eth0")

    def create(self, *_: object) -> None:
        raise self.error from self.cause


class NetlinkError(Exception):
    """As pyroute2 has it."""

    code = errno.EOPNOTSUPP


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (KernelError("cannot make link", errno=errno.EOPNOTSUPP), None),
        (Unsupported("no such links"), NetlinkError()),
        (Unsupported("no such links"), OSError(errno.EOPNOTSUPP, "no")),
    ],
)
def test_a_link_is_missing_where_the_kernel_has_said_eopnotsupp(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, cause: BaseException | None
) -> None:
    with pytest.raises(pytest.skip.Exception, match="this host lacks this type of link"):
        _create(monkeypatch, error, cause)


def test_a_strategy_that_only_says_unsupported_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"create refuses: no such links \(if this kernel has no such"):
        _create(monkeypatch, Unsupported("no such links"), None)
    with pytest.raises(KernelError, match="busy"):
        _create(monkeypatch, KernelError("cannot make link", errno=errno.EBUSY), None)


def _create(monkeypatch: pytest.MonkeyPatch, error: BaseException, cause: BaseException | None) -> None:
    stage = network_stage.Stage(FailingStrategy(error, cause), {})  # type: ignore[arg-type]
    monkeypatch.setattr(network_stage.Stage, "container", type("", (), {"process": None}))
    stage.create(stage.place())
