"""A config that is right, for tests that make one thing in it wrong."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from corelaunch.default_config import default_config

_CONFIG = default_config()
_CONFIG["process"]["terminal"] = False


@pytest.fixture
def config() -> dict[str, Any]:
    return copy.deepcopy(_CONFIG)
