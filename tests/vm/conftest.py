"""Tests that run in a guest: part of CI (CI=true), of ``script/test --vm`` and ``--real``, otherwise not asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    words = (config.option.markexpr or "").split()
    bounded = os.environ.get("CI") == "true" or os.environ.get("CORELAUNCH_VM") == "1" or "vm" in words
    everything = os.environ.get("CORELAUNCH_REAL") == "1" or "real" in words
    for item in items:
        if item.get_closest_marker("vm") and not (bounded or everything):
            item.add_marker(pytest.mark.skip(reason="not asked for: script/test --vm or --real, CI=true, or -m vm"))


_REPORTS = pytest.StashKey[list[tuple[str, Any]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_REPORTS] = []


@pytest.fixture(scope="session")
def _guests(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Any]]]:
    """The runs of all tests whose module has ``run_in_guest``, by test.

    They begin with the first of them, as many at once as there are processors: a guest keeps one busy.
    """
    pool = ThreadPoolExecutor(os.cpu_count())
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    items = [item for item in items if hasattr(item.module, "run_in_guest") and not item.get_closest_marker("skip")]
    yield {item.nodeid: pool.submit(item.module.run_in_guest, **item.callspec.params) for item in items}
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def report(request: pytest.FixtureRequest, _guests: dict[str, Future[Any]]) -> Any:
    """What became of this test's run of pytest in a guest; also told at the end."""
    found = _guests[request.node.nodeid].result()
    request.config.stash[_REPORTS].append((request.node.callspec.id, found))
    return found


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.stash[_REPORTS]:
        terminalreporter.section("in guests")
        for name, report in config.stash[_REPORTS]:
            terminalreporter.write_line(f"{name}: {report}")
