"""Tests that boot the 6.1 guest: part of CI (CI=true) and of ``script/test --vm``, otherwise not asked for."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = (
        os.environ.get("CI") == "true"
        or os.environ.get("CORELAUNCH_VM") == "1"
        or "vm" in (config.option.markexpr or "").split()
    )
    for item in items:
        if item.get_closest_marker("vm") and not asked:
            item.add_marker(pytest.mark.skip(reason="not asked for: script/test --vm, CI=true, or -m vm"))
