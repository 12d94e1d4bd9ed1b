"""cgroupfs keeps the contract on pure cgroup v2, too: Debian's 6.1 with every controller."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap needs root"),
    pytest.mark.timeout(1500),
]

CONTRACT = f"""
export PYTHONPATH={CHECKOUT}:{CHECKOUT}/plugins/cgroupfs
cd /tmp && exec {CHECKOUT}/.venv/bin/python -m pytest -q -p no:cacheprovider -p no:corelaunch \
    -p corelaunch.testing.pytest_plugin --corelaunch-host=require --corelaunch-contract cgroup_manager:cgroupfs
"""

#: Tests that the hybrid development host skips.
ON_PURE_V2 = (
    "tests/host/test_cgroup_v2.py",
    "tests/host/test_reboot.py",
    "tests/host/test_cgroup_contract_bites.py",
    "plugins/cgroupfs/tests/test_devices_v2.py::TestInTheKernel",
)

LAUNCHES = f"""
export PYTHONPATH={CHECKOUT}:{CHECKOUT}/plugins/cgroupfs HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis
cd {CHECKOUT} && exec .venv/bin/python -m pytest -q -p no:cacheprovider -o addopts=--import-mode=importlib \
    --confcutdir=tests/host -rs {" ".join(ON_PURE_V2)}
"""


def test_what_a_config_limits_is_limited_on_cgroup_v2_and_nothing_is_left() -> None:
    vm = [str(CHECKOUT / "script/vm"), "sh", "-c", LAUNCHES]
    seen = subprocess.run(vm, capture_output=True, text=True, timeout=1400, check=False)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert "skipped" not in seen.stdout, seen.stdout


@pytest.mark.parametrize("options", [["--no-systemd"], []], ids=["without systemd", "with systemd"])
def test_cgroupfs_keeps_every_promise_on_cgroup_v2_and_claims_all_but_self_join(options: list[str]) -> None:
    vm = [str(CHECKOUT / "script/vm"), *options, "sh", "-c", CONTRACT]
    seen = subprocess.run(vm, capture_output=True, text=True, timeout=1400, check=False)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert "broken: 0" in seen.stdout
    assert "not claimed: 1" in seen.stdout
    assert "host lacks: 0" in seen.stdout
