"""Rules for all suites: tests/, plugins/*/tests and examples/."""

from __future__ import annotations

import fcntl
import os

import pytest
from hypothesis import HealthCheck, settings

# No test may depend on how busy the machine is: hypothesis has 200 ms for an example, and one second to draw some.
settings.register_profile("corelaunch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("corelaunch")

#: Suites that make cgroups and links of fixed names, so that two runs on one machine would disturb each other.
_ALONE = ("/tests/host/", "/tests/docs/", "/plugins/")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what only ``script/test --real`` runs, and what only root can do; CI runs as root."""
    if os.environ.get("CORELAUNCH_REAL") != "1" and "real" not in (config.option.markexpr or "").split():
        for item in items:
            if item.get_closest_marker("real"):
                item.add_marker(pytest.mark.skip(reason="not asked for: script/test --real, or -m real"))
    if os.environ.get("CI") != "true" and "bites" not in (config.option.markexpr or "").split():
        for item in items:
            if item.get_closest_marker("bites"):
                item.add_marker(pytest.mark.skip(reason="not asked for: script/test --bites, CI=true, or -m bites"))
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("needs_root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Wait until no other run of these suites is under way on this machine; here, where no test's time runs yet."""
    if os.geteuid() == 0 and any(part in str(item.path) for item in session.items for part in _ALONE):
        lock = os.open("/run/corelaunch-tests.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)  # held until this process ends
