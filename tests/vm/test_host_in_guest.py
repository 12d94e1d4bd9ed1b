"""Tests of tests/host and of plugins that the development host cannot run, or has another answer to, in a guest."""

from __future__ import annotations

import pytest
from guest import Mode
from guest_pytest import Report, pytest_in_guest
from vm_host import CHECKOUT, IN_GUEST

pytestmark = IN_GUEST

V2 = Mode()
#: Processes of exec may ask for a processor of their own.
TWO_CPUS = Mode(cpus=2)
#: Not in CI's bounded form; only by script/test --real.
REAL = pytest.mark.real
#: What only pure cgroup v2 can show: nothing of it is skipped there.
ONLY_V2 = (
    "tests/host/test_cgroup_v2.py",
    "tests/host/test_foreign_cgroups.py",
    "tests/host/test_reboot.py",
    "tests/host/test_rootless_v2.py",
    "plugins/cgroupfs/tests/test_devices_v2.py::TestInTheKernel",
    "plugins/cgroupfs/tests/test_stats_match.py",
    "plugins/cgroupfs/tests/test_threaded.py",
)
#: Units of systemd on pure cgroup v2 with all controllers; the whole is for script/test --real.
UNITS = "plugins/systemd/tests/test_real_launches.py"
SOME_UNITS = (
    f"{UNITS}::test_limits_reach_kernel_and_unit_and_outlive_a_reload",
    f"{UNITS}::test_devices_are_as_strict_after_a_reload_as_before",
    f"{UNITS}::test_an_update_reaches_kernel_and_unit_and_one_that_fails_neither",
)

#: guest, files, how many tests may be skipped in it
ROWS = [
    pytest.param(V2, ONLY_V2, 0, id="only-v2"),
    pytest.param(V2, SOME_UNITS, 0, id="some-units"),
    pytest.param(V2, (UNITS,), 0, id="units", marks=REAL),
    pytest.param(V2, ("tests/host/test_cgroup_contract_bites.py",), 0, id="bites", marks=REAL),
    pytest.param(V2, ("tests/host/test_pause.py", "tests/host/test_ps.py"), 0, id="pause-ps", marks=REAL),
    # What names control files of v1, its hierarchies, or their order is of v1 hosts alone.
    pytest.param(V2, ("tests/host/test_update.py",), 10, id="update", marks=REAL),
    pytest.param(TWO_CPUS, ("tests/host/test_exec.py", "tests/host/test_events.py"), 3, id="exec-events", marks=REAL),
]


def run_in_guest(mode: Mode, files: tuple[str, ...], skipped: int) -> Report:
    arguments = ["-rs", "-c", str(CHECKOUT / "pyproject.toml"), "--rootdir", str(CHECKOUT)]
    # The checkout's own conftest is for a machine that is shared, and imports hypothesis.
    arguments += [f"--confcutdir={CHECKOUT / 'tests/host'}", *(str(CHECKOUT / file) for file in files)]
    return pytest_in_guest(mode, arguments, timeout=1400)


@pytest.mark.parametrize(("mode", "files", "skipped"), ROWS)
def test_a_suite_of_the_host_holds_in_a_guest(mode: Mode, files: tuple[str, ...], skipped: int, report: Report) -> None:
    assert report.code == 0, report.output
    assert report.counts["passed"] > 0, report.output
    assert report.counts.get("skipped", 0) == skipped, report.output
