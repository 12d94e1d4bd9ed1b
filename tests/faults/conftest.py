"""Fault tests: import paths, and the marker of the full matrix."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "host"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "faults_full: the whole kill matrix, many minutes (script/test --faults, or -m faults_full)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "faults_full" in (config.option.markexpr or ""):
        return
    for item in items:
        if item.get_closest_marker("faults_full"):
            item.add_marker(pytest.mark.skip(reason="not asked for: script/test --faults, or -m faults_full"))
