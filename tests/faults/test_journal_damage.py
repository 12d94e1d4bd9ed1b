"""A damaged journal or state.json: ``delete --force`` still takes away all that was made.

Cut off at any byte, any bit flipped, a block overwritten: a choice of places in every run, every byte by name
(``-m faults``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def damage(sample: int) -> dict[str, Any]:
    seed = int(os.environ.get("CORELAUNCH_FAULTS_SEED") or time.time_ns() % 1_000_000)
    program = [sys.executable, str(Path(__file__).with_name("corrupt.py")), str(sample), str(seed)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", *program],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    print(f"seed {seed}: {result['run']}")
    return result


@pytest.mark.timeout(240)
def test_damage_at_a_sample_of_places_never_keeps_delete_force_from_its_work():
    result = damage(30)
    assert sum(result["run"].values()) > 150
    assert result["bad"] == []


@pytest.mark.faults
@pytest.mark.timeout(3000)
def test_damage_at_every_byte_never_keeps_delete_force_from_its_work():
    assert damage(0)["bad"] == []
