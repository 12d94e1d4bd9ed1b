"""Tests that run in a guest: part of CI (CI=true), of ``script/test --vm`` and ``--real``, otherwise not asked for."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    words = (config.option.markexpr or "").split()
    bounded = os.environ.get("CI") == "true" or os.environ.get("CORELAUNCH_VM") == "1" or "vm" in words
    everything = os.environ.get("CORELAUNCH_REAL") == "1" or "real" in words
    for item in items:
        if item.get_closest_marker("real") and not everything:
            item.add_marker(pytest.mark.skip(reason="not asked for: script/test --real, or -m real"))
        elif item.get_closest_marker("vm") and not (bounded or everything):
            item.add_marker(pytest.mark.skip(reason="not asked for: script/test --vm or --real, CI=true, or -m vm"))


_REPORTS = pytest.StashKey[list[tuple[str, Any]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_REPORTS] = []


@pytest.fixture
def guest_reports(pytestconfig: pytest.Config) -> list[tuple[str, Any]]:
    """What ran in guests, to be told at the end."""
    return pytestconfig.stash[_REPORTS]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.stash[_REPORTS]:
        terminalreporter.section("in guests")
        for name, report in config.stash[_REPORTS]:
            terminalreporter.write_line(f"{name}: {report}")
