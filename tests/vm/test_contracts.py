"""Every backend keeps its contract on every kernel that it is for: one row, one guest, one run of pytest in it."""

from __future__ import annotations

import pytest
from guest import Mode
from guest_pytest import Report, pytest_in_guest
from vm_host import CHECKOUT, IN_GUEST

pytestmark = IN_GUEST

V2, V2_BARE, HYBRID, V1 = Mode(), Mode(systemd=False), Mode("hybrid"), Mode("v1")
RDT, HASWELL = Mode(resctrl="rdt"), Mode(resctrl="hsw")
#: Not in CI's bounded form; only by script/test --real.
REAL = pytest.mark.real

#: guest, kind of plugin, name of the plugin, how many promises are not claimed (features that it has not), and how
#: many this guest cannot show
ROWS = [
    pytest.param(V2_BARE, "cgroup_manager", "cgroupfs", 1, 0),
    pytest.param(V2, "cgroup_manager", "cgroupfs", 1, 0, marks=REAL),
    pytest.param(HYBRID, "cgroup_manager", "cgroupfs", 9, 0, marks=REAL),
    pytest.param(V1, "cgroup_manager", "cgroupfs", 9, 0, marks=REAL),
    pytest.param(V2, "cgroup_manager", "systemd", 2, 0),
    pytest.param(HYBRID, "cgroup_manager", "systemd", 10, 0, marks=REAL),
    pytest.param(V1, "cgroup_manager", "systemd", 10, 0, marks=REAL),
    pytest.param(RDT, "rdt_manager", "resctrl", 0, 0),
    # A Haswell has no memory bandwidth to compare, and monitors nothing.
    pytest.param(HASWELL, "rdt_manager", "resctrl", 5, 2, marks=REAL),
]


def run_in_guest(mode: Mode, kind: str, name: str, unclaimed: int, lacking: int) -> Report:
    alone = f"--confcutdir={CHECKOUT / 'corelaunch/testing'}"  # the tests' own conftest costs seconds of imports
    host = "skip" if lacking else "require"
    arguments = [alone, f"--corelaunch-host={host}", "--corelaunch-contract", f"{kind}:{name}"]
    return pytest_in_guest(mode, arguments, timeout=1400)


@pytest.mark.parametrize(("mode", "kind", "name", "unclaimed", "lacking"), ROWS, ids=lambda value: str(value))
def test_a_backend_keeps_every_promise_that_it_claims(
    mode: Mode, kind: str, name: str, unclaimed: int, lacking: int, report: Report
) -> None:
    assert report.code == 0, report.output
    assert report.counts["kept"] > 20, report.output
    assert (report.counts["broken"], report.counts["host lacks"]) == (0, lacking), report.output
    assert report.counts["not claimed"] == unclaimed, report.output
