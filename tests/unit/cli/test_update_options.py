"""update: from its options to a resources object."""

from __future__ import annotations

from pathlib import Path

import pytest

from corelaunch.cli.update import size
from corelaunch.errors import UsageError

from .conftest import Cli
from .fake_runtime import FakeRuntime

NO_RDT = {"l3_cache_schema": "", "mem_bw_schema": ""}


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("0", 0), ("1024", 1024), ("-1", -1), ("10k", 10240), ("10K", 10240), ("10kb", 10240), ("10KiB", 10240),
        ("5m", 5 << 20), ("5 m", 5 << 20), ("1.5g", 3 << 29), ("2t", 2 << 40), ("1p", 1 << 50), ("33b", 33),
        ("0.5k", 512),
    ],
)  # fmt: skip
def test_sizes_are_read_as_runc_reads_them(text: str, bytes_: int) -> None:
    assert size("memory", text) == bytes_


WRONG = ["", "k", "-2", "+5", "1.5.5k", "5x", "5 k m", "1e3", "5i", "0x10", "\u0663", "9" * 40, ".5g", "5."]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid value for memory"):
        size("memory", text)


def test_every_option_reaches_its_property(cli: Cli) -> None:
    runtime = FakeRuntime("one")
    words = (
        "--blkio-weight 500 --cpu-period 1 --cpu-quota -2 --cpu-burst 3 --cpu-share 4 --cpu-rt-period 5 "
        "--cpu-rt-runtime 6 --cpu-idle 1 --pids-limit 8 --cpuset-cpus 0-1 --cpuset-mems 0 --memory 1k "
        "--memory-reservation 2k --memory-swap 3k --l3-cache-schema L3:0=f --mem-bw-schema MB:0=50 "
        "--kernel-memory 1g --kernel-memory-tcp=1g"
    )
    assert cli("update", *words.split(), "one", runtime=runtime).code == 0
    resources = {
        "blockIO": {"weight": 500},
        "cpu": {
            "period": 1,
            "quota": -2,
            "burst": 3,
            "shares": 4,
            "realtimePeriod": 5,
            "realtimeRuntime": 6,
            "idle": 1,
            "cpus": "0-1",
            "mems": "0",
        },
        "pids": {"limit": 8},
        "memory": {"limit": 1024, "reservation": 2048, "swap": 3072},
    }
    schemata = {"l3_cache_schema": "L3:0=f", "mem_bw_schema": "MB:0=50"}
    assert runtime.calls == [("update", "one", resources, schemata)]


def test_without_options_nothing_is_asked(cli: Cli) -> None:
    runtime = FakeRuntime("one")
    assert cli("update", "one", runtime=runtime).code == 0
    assert runtime.calls == [("update", "one", {}, NO_RDT)]


def test_a_file_comes_before_the_options(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "r").write_text('{"pids": {"limit": 3}}')
    runtime = FakeRuntime("one")
    words = ("-r", str(tmp_path / "r"), "--mem-bw-schema", "x", "--memory", "y", "one")
    assert cli("update", *words, runtime=runtime).code == 0
    assert runtime.calls == [("update", "one", {"pids": {"limit": 3}}, NO_RDT)]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--memory abc", "invalid value for memory: abc"),
        ("--cpu-share -5", "invalid value for cpu-share: -5"),
        ("--cpu-quota 1.5", "invalid value for cpu-quota: 1.5"),
        ("--pids-limit many", "invalid value for pids-limit: many"),
        ("--kernel-memory abc", "invalid value for kernel-memory: abc"),
        ("--memory", "flag needs an argument: -memory"),
        ("--resources /nonexistent", "cannot read resources: /nonexistent: no such file or directory"),
        ("--resources {tmp}/list", "the file must hold an object"),
        ("--resources {tmp}/broken", "broken:1:"),
        ("--resources {tmp}", "not a regular file"),
    ],
)
def test_a_bad_value_is_one_line(cli: Cli, tmp_path: Path, words: str, text: str) -> None:
    (tmp_path / "list").write_text("[]")
    (tmp_path / "broken").write_text("{]")
    outcome = cli("update", *words.format(tmp=tmp_path).split(), *(() if words == "--memory" else ("one",)))
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert text in outcome.err


def test_hidden_options_work_and_are_in_no_help(cli: Cli) -> None:
    assert "kernel-memory" not in cli("update", "--help").out
    assert "--memory-swap" in cli("update", "--help").out
