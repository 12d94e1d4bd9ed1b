"""What a backend may do in the process that it is a guest in: a reference with one mistake breaks one promise.

All of them run in one pytest of their own; the tests here read its report.
"""

from __future__ import annotations

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from bites import Report, failed, play

from corelaunch.testing import guest_wrong

#: Whichever test comes first waits for all of them.
pytestmark = [pytest.mark.bites, pytest.mark.timeout(300)]

#: Kind -> its reference; a strategy needs the right to make network namespaces.
KINDS = {"cgroup": "ReferenceCgroupManager", "rdt": "ReferenceRdtManager", "network": "ReferenceVeth"}

CONTRACTS = """
import os
import pytest
from corelaunch.testing import CgroupManagerContract, NetworkStrategyContract, RdtManagerContract, guest_wrong
from corelaunch.testing.cgroup_reference import ReferenceCgroupManager
from corelaunch.testing.fake_cgroup import FakeCgroups
from corelaunch.testing.fake_resctrl import FakeResctrl
from corelaunch.testing.network_reference import ReferenceVeth
from corelaunch.testing.rdt_reference import ReferenceRdtManager

class Cgroup(CgroupManagerContract):
    @pytest.fixture
    def cgroup_files(self, tmp_path):
        return FakeCgroups(tmp_path)

    @pytest.fixture
    def manager(self, cgroup_files):
        return self.backend(cgroup_files)

class Rdt(RdtManagerContract):
    @pytest.fixture
    def resctrl_files(self, tmp_path):
        return FakeResctrl(tmp_path)

    @pytest.fixture
    def manager(self, resctrl_files):
        return self.backend(resctrl_files)

class Network(NetworkStrategyContract):
    @pytest.fixture
    def strategy(self):
        return self.backend()

KINDS = {ReferenceCgroupManager: Cgroup, ReferenceRdtManager: Rdt, ReferenceVeth: Network}
for reference, contract in KINDS.items():
    every = {name for name in dir(contract) if name.startswith("test_")}
    for mistake, (promise, _) in guest_wrong.MISTAKES.items():
        backend = guest_wrong.misbehaving(reference, mistake)
        asked = {f"test_{promise}", "test_every_call_returns"}
        members = dict.fromkeys(every - asked) | {"backend": backend}
        if promise == "every_call_returns":  # another promise is not played then
            members.pop(next(name for name in sorted(every) if name.startswith("test_destroy")))
        members["call_seconds"] = pytest.fixture(lambda self: 2.0, name="call_seconds")
        if mistake is not guest_wrong.hangs:
            del members["call_seconds"]
        globals()[f"Test{backend.__name__}"] = type(f"Test{backend.__name__}", (contract,), members)
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Class of the backend -> promise -> "" (kept), "skipped", or the failure's text."""
    directory = tmp_path_factory.mktemp("contract")
    (directory / "test_contracts.py").write_text(CONTRACTS)
    return play(directory)


@pytest.mark.parametrize("mistake", guest_wrong.MISTAKES, ids=lambda mistake: mistake.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_guest_breaks_the_promise_that_it_was_made_to_break(report: Report, kind: str, mistake: object) -> None:
    if kind == "network" and os.geteuid() != 0:
        pytest.skip("needs root")
    promise, reason = guest_wrong.MISTAKES[mistake]  # type: ignore[index]
    name = mistake.__name__.title().replace("_", "")  # type: ignore[attr-defined]
    outcomes = report[f"{KINDS[kind]}{name}"]
    assert set(failed(outcomes)) == {promise}, outcomes
    assert reason in outcomes[promise]
    if promise == "every_call_returns":
        assert "skipped" in outcomes.values(), "the others cannot be played"
