"""The fixture of the tests that need a real systemd."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from unit_host import Host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose units of this test are gone afterwards."""
    host = Host(tmp_path)
    yield host
    host.close()
