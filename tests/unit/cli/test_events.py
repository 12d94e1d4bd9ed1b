"""events: durations, and figures in runc's schema."""

from __future__ import annotations

import pytest

from corelaunch.api import CgroupStats
from corelaunch.cli.events import seconds
from corelaunch.cli.stats_json import data_of
from corelaunch.errors import UsageError
from corelaunch.statistics import Statistics

from .conftest import Cli


@pytest.mark.parametrize(
    ("text", "value"),
    [("5s", 5), ("1m5s", 65), ("1.5h", 5400), ("250ms", 0.25), ("3us", 3e-6), ("2µs", 2e-6), ("7ns", 7e-9), ("0", 0)],
)
def test_durations_are_gos(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "s", "5x", "1.2.3s", "5 s", "-", "five", "1s2", ".s", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="flag -interval"):
        seconds(text)


@pytest.mark.parametrize(("words", "text"), [("--interval 0s", "greater than 0"), ("--interval=-1s", "greater than 0")])
def test_an_interval_is_positive(cli: Cli, words: str, text: str) -> None:
    outcome = cli("events", *words.split(), "one")
    assert (outcome.code, outcome.out) == (1, "")
    assert text in outcome.err


def test_figures_of_cgroup_v2_are_told_in_the_same_names() -> None:
    pressure = {"some": {"avg10_percent": 1.5, "avg60_percent": 0.5, "avg300_percent": 0.1, "total_us": 77}}
    stats = CgroupStats(
        cpu_usage_ns=9,
        cpu_periods=3,
        memory_usage_bytes=4096,
        memory_limit_bytes=-1,
        memory_and_swap_usage_bytes=8192,
        memory_and_swap_limit_bytes=10000,
        memory_stat={"file": 55, "anon": 7},
        io_bytes=[(8, 0, "read", 100), (0, 0, "", 5)],
        io_queued=[(8, 0, "sync", 1)],
        huge_pages={"2MB": {"usage_bytes": 2, "max_usage_bytes": -1, "failures": 0}},
        cpu_pressure=pressure,
        pids_limit=5,
    )
    psi = {"some": {"avg10": 1.5, "avg60": 0.5, "avg300": 0.1, "total": 77}}
    data = data_of(Statistics(stats, {"l3_cache_schema": "L3:0=f"}, [("eth0", {"rx_bytes": 3})]))
    assert data["cpu"] == {
        "usage": {"total": 9, "kernel": 0, "user": 0},
        "throttling": {"periods": 3},
        "psi": psi,
    }
    assert data["memory"]["cache"] == 55
    assert data["memory"]["usage"] == {"limit": 2**64 - 1, "usage": 4096, "failcnt": 0}
    assert data["memory"]["swap"] == {"limit": 10000, "usage": 8192, "failcnt": 0}
    assert data["memory"]["kernel"] == {"limit": 0, "failcnt": 0}
    assert data["memory"]["raw"] == {"anon": 7, "file": 55}
    assert data["blkio"] == {
        "ioServiceBytesRecursive": [{"major": 8, "op": "Read", "value": 100}, {"value": 5}],
        "ioQueueRecursive": [{"major": 8, "op": "Sync", "value": 1}],
    }
    assert data["hugetlb"] == {"2MB": {"usage": 2, "failcnt": 0}}
    assert data["pids"] == {"limit": 5}
    assert data["intel_rdt"] == {"l3_cache_schema": "L3:0=f"}
    assert data["network_interfaces"][0] == {
        "Name": "eth0", "RxBytes": 3, "RxPackets": 0, "RxErrors": 0, "RxDropped": 0,
        "TxBytes": 0, "TxPackets": 0, "TxErrors": 0, "TxDropped": 0,
    }  # fmt: skip


def test_without_a_cgroup_the_members_are_there_and_empty() -> None:
    data = data_of(Statistics())
    assert list(data) == "cpu cpuset memory pids blkio hugetlb intel_rdt network_interfaces".split()
    assert (data["pids"], data["blkio"], data["network_interfaces"]) == ({}, {}, None)
