"""Tests with a real systemd: part of CI (CI=true) and of ``script/test --real``, otherwise not asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "host")]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    words = (config.option.markexpr or "").split()
    asked = os.environ.get("CI") == "true" or os.environ.get("CORELAUNCH_REAL") == "1" or "systemd_host" in words
    for item in items:
        if item.get_closest_marker("systemd_host") and not asked:
            item.add_marker(pytest.mark.skip(reason="not asked for: script/test --real, CI=true, or -m systemd_host"))
