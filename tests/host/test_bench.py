"""script/bench runs: three rounds, every subject that is installed, table, JSON and plot. No number is asserted."""

from __future__ import annotations

import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(300)]


def test_bench_quick_measures_every_series_and_leaves_nothing(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    done = subprocess.run(
        [str(CHECKOUT / "script/bench"), "--quick", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "bench.json").read_text())
    for subject in ("corelaunch", "runc"):
        for series in ("run", "create", "start", "exec", "state", "kill", "delete", "create+start"):
            assert document["series"][f"{subject} {series}"]["wall"]["count"] == 3, document["skipped"]
    for row in ("corelaunch warm", "corelaunch run + veth", "bare run"):
        assert document["series"][row]["cpu"]["median"] > 0, document["skipped"]
    assert {goal["verdict"] for goal in document["goals"]} <= {
        "met",
        "missed",
        "met (wall only)",
        "met (cpu only)",
        "not measured",
    }
    assert document["interpreter"].startswith("/")
    assert ElementTree.parse(tmp_path / "bench.svg").getroot().tag.endswith("svg")
    assert not [name for name in os.listdir("/tmp") if name.startswith("cl-f-bench.") and os.path.isdir(f"/tmp/{name}")]


def test_a_container_of_ours_sees_what_runcs_container_sees():
    """The series compare like with like: what differs is named in docs/measuring.md, and only that."""
    import sys
    import tempfile

    if os.geteuid() != 0:
        pytest.skip("needs root")
    sys.path.insert(0, str(CHECKOUT / "script/bench.d"))
    import probe
    import subjects
    from bundle import Bundle

    with tempfile.TemporaryDirectory(prefix="cl-f-probe.") as name:
        bundle = Bundle(Path(name) / "bundle", f"cl-f-probe-{os.getpid()}")
        bundle.write(probe.PROGRAM)
        ours, theirs = (make(Path(name)) for make in (subjects.corelaunch, subjects.runc))
        reference = probe.look(theirs.run(bundle, "cl-f-probe"))
        assert probe.differences(probe.look(ours.run(bundle, "cl-f-probe")), reference) == {}
