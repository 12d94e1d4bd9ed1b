"""Plays contracts against implementations in a pytest of its own, and reads what became of each promise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

PLUGIN = "corelaunch.testing.pytest_plugin"

#: Class of the implementation -> promise -> "" (kept), "skipped", or the failure's text.
Report = dict[str, dict[str, str]]


def play(directory: Path) -> Report:
    """Run the tests in ``directory``; some of them must fail."""
    xml = directory / "report.xml"
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:corelaunch", "-p", PLUGIN]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": ":".join(map(os.path.abspath, sys.path))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--rootdir={directory}", f"--junitxml={xml}", str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment,
        cwd=directory,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    found: dict[str, dict[str, str]] = {}
    for case in ElementTree.parse(xml).iter("testcase"):
        promises = found.setdefault(case.get("classname", "").rpartition(".Test")[2], {})
        promise = case.get("name", "").removeprefix("test_")
        for child in case:
            skipped = child.tag == "skipped"
            promises[promise] = "skipped" if skipped else (child.get("message") or "") + (child.text or "")
        promises.setdefault(promise, "")
    return found


def failed(promises: Mapping[str, str]) -> dict[str, str]:
    return {promise: outcome for promise, outcome in promises.items() if outcome not in ("", "skipped")}
