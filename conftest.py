"""Rules for all suites: tests/, plugins/*/tests and examples/."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

import pytest

#: Suites that make cgroups and links of fixed names, so that two runs on one machine would disturb each other.
_ALONE = ("/tests/host/", "/plugins/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what only root can do; CI runs as root, so nothing is skipped there."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("needs_root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session", autouse=True)
def _alone_on_this_machine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Wait until no other run of these suites is under way on this machine."""
    alone = os.geteuid() == 0 and any(part in str(item.path) for item in request.session.items for part in _ALONE)
    if not alone:
        yield
        return
    with open("/run/corelaunch-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
