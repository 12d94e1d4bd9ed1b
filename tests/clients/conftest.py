"""Tests with real clients: part of CI (CI=true) and of ``script/test --clients``, otherwise not asked for."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = os.environ.get("CI") == "true" or "clients" in (config.option.markexpr or "").split()
    for item in items:
        if item.get_closest_marker("clients") and not asked:
            item.add_marker(pytest.mark.skip(reason="not asked for: script/test --clients, CI=true, or -m clients"))
