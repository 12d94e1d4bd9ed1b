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

#: guest, kind of plugin, name of the plugin, promises that it does not claim (features that it has not)
ROWS = [
    pytest.param(V2_BARE, "cgroup_manager", "cgroupfs", 1),
    pytest.param(V2, "cgroup_manager", "cgroupfs", 1, marks=REAL),
    pytest.param(HYBRID, "cgroup_manager", "cgroupfs", 9, marks=REAL),
    pytest.param(V1, "cgroup_manager", "cgroupfs", 9, marks=REAL),
    pytest.param(V2, "cgroup_manager", "systemd", 2),
    pytest.param(HYBRID, "cgroup_manager", "systemd", 10, marks=REAL),
    pytest.param(V1, "cgroup_manager", "systemd", 10, marks=REAL),
    pytest.param(RDT, "rdt_manager", "resctrl", 0),
    pytest.param(HASWELL, "rdt_manager", "resctrl", 0, marks=REAL),
]


@pytest.mark.parametrize(("mode", "kind", "name", "unclaimed"), ROWS, ids=lambda value: str(value))
def test_a_backend_keeps_every_promise_that_it_claims(
    mode: Mode, kind: str, name: str, unclaimed: int, guest_reports: list[tuple[str, Report]]
) -> None:
    alone = f"--confcutdir={CHECKOUT / 'corelaunch/testing'}"  # the tests' own conftest costs seconds of imports
    arguments = [alone, "--corelaunch-host=require", "--corelaunch-contract", f"{kind}:{name}"]
    report = pytest_in_guest(mode, arguments, timeout=900)
    guest_reports.append((f"{mode}: {kind} {name}", report))
    assert report.code == 0, report.output
    assert report.counts["kept"] > 20, report.output
    assert (report.counts["broken"], report.counts["host lacks"]) == (0, 0), report.output
    assert report.counts["not claimed"] == unclaimed, report.output
