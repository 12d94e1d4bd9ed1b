"""Rates between two looks, and containers about which something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from corelaunch.api import CgroupStats
from corelaunch.errors import KernelError, PluginError, StateError
from corelaunch.statistics import Statistics
from corelaunch.usage import Counters, Sampler, Usage, counters_of, usage

SECOND = 1_000_000_000
ROW = Usage("one", "running")


def figures(cpu: int = -1, read: int = -1, rx: int = -1, **more: Any) -> Statistics:
    io = [(8, 0, "read", read), (8, 16, "write", 7), (8, 0, "total", 99)] if read >= 0 else []
    networks: list[tuple[str, Mapping[str, int]]] = [("eth0", {"rx_bytes": rx, "tx_bytes": 0})] if rx >= 0 else []
    return Statistics(CgroupStats(cpu_usage_ns=cpu, io_bytes=io, **more), {}, networks)


def rates(first: Statistics, second: Statistics, seconds: float = 2) -> Usage:
    before = counters_of(first, 5 * SECOND)
    now = counters_of(second, 5 * SECOND + int(seconds * SECOND))
    return usage(ROW, second, before, now)


def test_a_rate_is_the_difference_over_the_time_between_the_looks() -> None:
    row = rates(figures(SECOND, 1000, 10), figures(4 * SECOND, 3000, 20))
    assert (row.cpu_percent, row.read_bytes_per_s, row.written_bytes_per_s) == (150, 1000, 0)
    assert (row.received_bytes_per_s, row.sent_bytes_per_s) == (5, 0)


def test_a_counter_that_went_back_gives_no_rate_and_the_others_do() -> None:
    row = rates(figures(9 * SECOND, 5000, 10), figures(1, 3000, 5))
    assert (row.cpu_percent, row.read_bytes_per_s, row.received_bytes_per_s) == (None, None, None)
    assert row.written_bytes_per_s == 0


def test_the_first_look_gives_no_rates_and_all_the_rest() -> None:
    stats = figures(5, memory_usage_bytes=3, memory_limit_bytes=-1, pids_current=2, pids_limit=9, oom_kills=0)
    row = usage(ROW, stats, None, counters_of(stats, 1))
    assert (row.cpu_percent, row.memory_bytes, row.memory_limit_bytes, row.pids, row.pids_limit, row.oom_kills) == (
        None,
        3,
        None,
        2,
        9,
        0,
    )


def test_two_looks_at_the_same_moment_give_no_rate() -> None:
    assert rates(figures(1), figures(5), seconds=0).cpu_percent is None


def test_what_was_never_counted_is_unknown_and_the_first_bytes_count() -> None:
    assert rates(figures(1), figures(2)).read_bytes_per_s is None
    assert rates(figures(1), figures(2, read=100)).read_bytes_per_s == 50
    assert counters_of(Statistics(), 7) == Counters(7)


def test_a_container_without_figures_says_so() -> None:
    assert "no cgroup" in usage(ROW, Statistics(), None, Counters(1)).reason


def test_pressure_is_that_of_some_processes_in_the_last_ten_seconds() -> None:
    pressure = {"some": {"avg10_percent": 2.5, "avg60_percent": 9.0}, "full": {"avg10_percent": 1.0}}
    row = rates(figures(1), figures(2, cpu_pressure=pressure, io_pressure={}))
    assert (row.cpu_percent, row.cpu_pressure_percent, row.io_pressure_percent) == (pytest.approx(5e-8), 2.5, None)


class Root:
    """A state root with these directories."""

    def __init__(self, directory: Path) -> None:
        self.directory_ = directory

    def ids(self) -> list[str]:
        return sorted(path.name for path in self.directory_.iterdir())

    def directory(self, container_id: str) -> str:
        return str(self.directory_ / container_id)

    existing = directory


class Fake:
    """A container and the runtime that finds it; ``stats`` and ``load`` do what is put there."""

    def __init__(self, directory: Path) -> None:
        self.root = Root(directory)
        self.status = "running"
        self.created = "2026-01-02T03:04:05Z"
        self.loads = 0
        self.cpu = 0
        self.failure: Exception | None = None
        self.load_failure: Exception | None = None

    def load(self, container_id: str) -> Fake:
        self.loads += 1
        if self.load_failure is not None:
            raise self.load_failure
        self.id = container_id
        return self

    def stats(self) -> Statistics:
        if self.failure is not None:
            raise self.failure
        self.cpu += SECOND
        return figures(self.cpu)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    (tmp_path / "one").mkdir()
    return Fake(tmp_path)


def sampler(fake: Fake, *ids: str) -> Sampler:
    return Sampler(fake, ids)  # type: ignore[arg-type]


def test_a_container_is_read_once_and_again_when_another_one_has_its_id(fake: Fake, tmp_path: Path) -> None:
    looks = sampler(fake)
    assert looks.sample()[0].cpu_percent is None
    assert looks.sample()[0].cpu_percent is not None
    assert fake.loads == 1
    (tmp_path / "one").rename(tmp_path.parent / "old-one")
    (tmp_path / "one").mkdir()
    fake.created = "2026-01-02T03:04:06Z"
    fake.load_failure = None
    other = looks.sample()[0]
    assert fake.loads == 2
    assert other.created.endswith("06Z")


@pytest.mark.parametrize("error", [PluginError("no plugin 'x' is installed"), KernelError("cannot read")])
def test_what_is_wrong_with_figures_is_the_rows_reason_and_comes_right_again(fake: Fake, error: Exception) -> None:
    looks = sampler(fake)
    looks.sample()
    fake.failure = error
    assert [(row.status, row.reason) for row in looks.sample()] == [("running", str(error))]
    fake.failure = None
    assert [(row.reason, row.cpu_percent) for row in looks.sample()] == [("", None)]
    assert looks.sample()[0].cpu_percent is not None


def test_what_cannot_be_read_at_all_is_a_row(fake: Fake) -> None:
    fake.load_failure = StateError("cannot read the journal", where="one")
    assert [(row.id, row.status, row.reason) for row in sampler(fake).sample()] == [
        ("one", "", "cannot read the journal: one")
    ]


def test_what_stops_or_vanishes_stays_for_one_interval_and_for_ever_if_it_was_named(fake: Fake, tmp_path: Path) -> None:
    unnamed, named = sampler(fake), sampler(fake, "one", "one", "none")
    assert [row.id for row in unnamed.sample()] == ["one"]
    assert [(row.id, row.status) for row in named.sample()] == [("one", "running"), ("none", "gone")]
    fake.status = "stopped"
    assert [row.status for row in unnamed.sample()] == ["stopped"]
    loads = fake.loads
    assert unnamed.sample() == []
    assert fake.loads == loads, "a stopped container is not read anew each time"
    fake.status = "running"
    assert [row.status for row in unnamed.sample()] == ["running"]
    (tmp_path / "one").rename(tmp_path.parent / "gone-one")
    assert [row.status for row in unnamed.sample()] == ["gone"]
    assert unnamed.sample() == []
    assert [row.status for row in named.sample()] == ["gone", "gone"]


def test_one_that_ends_between_two_questions_is_no_failure(fake: Fake, tmp_path: Path) -> None:
    looks = sampler(fake)
    looks.sample()

    def ends() -> Statistics:
        (tmp_path / "one").rename(tmp_path.parent / "ended-one")
        raise KernelError("cannot read figures of cgroup", errno=2)

    fake.stats = ends  # type: ignore[method-assign]
    assert [(row.status, row.reason) for row in looks.sample()] == [("gone", "")]


def test_the_order_is_that_of_the_ids(fake: Fake, tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    assert [row.id for row in sampler(fake).sample()] == ["a", "b", "one"]
    assert [row.id for row in sampler(fake, "one", "a").sample()] == ["one", "a"]
