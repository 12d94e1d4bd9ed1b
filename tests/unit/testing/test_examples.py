"""The tests of the examples, run as an outsider runs them: from their own directory, with the example installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((CHECKOUT / "examples").glob("*/pyproject.toml"))


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("project", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_passes_its_own_tests(project: Path, tmp_path: Path) -> None:
    path = [str(project.parent), *map(os.path.abspath, sys.path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", str(project.parent / "tests")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": ":".join(path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "broken: 0" in done.stdout or "passed" in done.stdout


@pytest.mark.parametrize("project", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_examples_entry_points_lead_to_its_modules(project: Path) -> None:
    metadata = tomllib.loads(project.read_text())["project"]
    for group, names in metadata["entry-points"].items():
        assert group.startswith("corelaunch.")
        for value in names.values():
            assert (project.parent / f"{value.partition(':')[0]}.py").exists()


def test_the_audit_example_has_less_than_60_lines_of_code() -> None:
    text = (CHECKOUT / "examples/corelaunch-audit/corelaunch_audit.py").read_text()
    assert len([line for line in text.split("\n") if line.strip()]) < 60
