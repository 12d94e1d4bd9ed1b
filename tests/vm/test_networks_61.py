"""Networks on Debian's 6.1, whose modules load by themselves: ipvlan, which the development host lacks, and NAT."""

from __future__ import annotations

import pytest
from guest import Mode
from guest_pytest import Report, pytest_in_guest
from vm_host import CHECKOUT, IN_GUEST

pytestmark = IN_GUEST

TESTS = CHECKOUT / "plugins/netstrategies/tests"
#: What of the contract is NAT's own: the rest of it the bridge keeps as it does on the host.
OF_NAT = "outside or unasked or with_nat or nat_stays or table or without_nat"


def run_in_guest(file: str, which: str, kept: int) -> Report:
    arguments = [f"--confcutdir={TESTS}", "--corelaunch-host=require", "-k", which, str(TESTS / file)]
    return pytest_in_guest(Mode(systemd=False), arguments, timeout=900)


@pytest.mark.parametrize(
    ("file", "which", "kept"),
    [
        ("test_child_contract.py", "TestIpvlan", 40),
        pytest.param("test_bridge_contract.py", OF_NAT, 10, marks=pytest.mark.real),
    ],
    ids=["ipvlan", "nat"],
)
def test_a_strategy_keeps_its_contract(file: str, which: str, kept: int, report: Report) -> None:
    assert report.code == 0, report.output
    assert report.counts["kept"] >= kept, report.output
    assert (report.counts["broken"], report.counts["host lacks"]) == (0, 0), report.output
