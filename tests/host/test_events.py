"""events with real cgroups, beside runc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import RUNC, Bundles, Cli

from corelaunch.runtime import Runtime

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
MARK = f"cl-events-{os.getpid()}"
MIB = 1 << 20
V1 = Path("/sys/fs/cgroup/memory").is_dir()


def run(cli: Cli, bundles: Bundles, *args: str, options: tuple[str, ...] = (), **more: Any) -> str:
    one = cli.new_id()
    with open(os.devnull, "r+b") as null:
        words = cli.words("run", "--detach", *options, "--bundle", bundles(*args, **more), one)
        subprocess.run(words, check=True, stdin=null, stdout=null, stderr=null)
    return one


def limited(config: dict[str, Any]) -> None:
    config["linux"]["resources"] |= {"memory": {"limit": 32 * MIB, "swap": 32 * MIB}, "pids": {"limit": 40}}


def shape(value: Any) -> Any:
    """Members and types, without the figures: raw's members depend on the kernel alone, so they stay."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


def test_stats_have_the_members_of_runcs_with_the_figures_of_the_same_files(
    cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    runc = Cli(RUNC, tmp_path / "runc", f"{MARK}-r")
    try:
        answers = []
        busy = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000"
        for one in (cli, runc):
            container_id = run(one, bundles, "sh", "-c", busy, change=limited)
            time.sleep(0.5)
            text = one.ok("events", "--stats", container_id)
            assert text.endswith("}\n") and text.count("\n") == 1
            event = json.loads(text)
            assert (event["type"], event["id"], list(event)) == ("stats", container_id, ["type", "id", "data"])
            answers.append(event["data"])
        ours, theirs = answers
        for data in answers:  # what is left out when it is 0
            for member in ("percpu_kernel", "percpu_user"):
                data["cpu"]["usage"].pop(member, None)
            for name in ("throttling", "blkio", "hugetlb"):
                data.get(name, data["cpu"].get(name)).clear()
            for name in ("cpu", "memory"):
                data[name].pop("psi", None)  # since runc 1.2
            # Pages are charged to who reads them first; and runc reads memory.peak of v2 since 1.2.
            data["memory"].pop("cache", None)
            for name in () if V1 else ("usage", "swap"):
                data["memory"][name].pop("max", None)
        assert shape(ours) == shape(theirs)
        assert list(ours) == list(theirs)
        for path in (("memory", "usage", "limit"), ("memory", "swap", "limit"), ("memory", "kernel", "limit")):
            a, b = ours, theirs
            for key in path:
                a, b = a[key], b[key]
            assert a == b
        assert ours["pids"] == theirs["pids"]
        assert ours["cpuset"] == theirs["cpuset"]
    finally:
        runc.delete_all()


@pytest.mark.parametrize("interval", ["100ms", "0.1s", "100000us"])
def test_the_stream_has_a_line_each_interval_and_ends_with_the_container(
    cli: Cli, bundles: Bundles, interval: str
) -> None:
    one = run(cli, bundles, "sleep", "1000")
    words = cli.words("events", f"--interval={interval}", one)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as events:
        assert events.stdout is not None and events.stderr is not None
        lines = [json.loads(events.stdout.readline()) for _ in range(3)]
        cli.ok("kill", one, "KILL")
        rest = events.stdout.read()
        assert events.wait(60) == 0
        assert events.stderr.read() == ""
    assert {line["type"] for line in lines} == {"stats"}
    assert all(json.loads(line)["id"] == one for line in rest.splitlines())


def test_out_of_memory_is_an_event_without_data_that_comes_before_the_end(cli: Cli, bundles: Bundles) -> None:
    hungry = "read x </tmp/go; tail /dev/zero; sleep 0.5"

    def change(config: dict[str, Any]) -> None:
        limited(config)
        config["root"]["readonly"] = False

    one = cli.new_id()
    bundle = bundles("sh", "-c", hungry, change=change, own_rootfs=True)
    go = Path(bundle) / "rootfs/tmp/go"
    (Path(bundle) / "rootfs/bin/tail").symlink_to("busybox")
    os.mkfifo(go)
    with open(os.devnull, "r+b") as null:
        words = cli.words("run", "--detach", "--bundle", bundle, one)
        subprocess.run(words, check=True, stdin=null, stdout=null, stderr=null)
    with subprocess.Popen(cli.words("events", "--interval=100ms", one), stdout=subprocess.PIPE, text=True) as events:
        assert events.stdout is not None
        lines = [json.loads(events.stdout.readline())]  # it is listening
        go.write_text("go\n")
        lines += [json.loads(line) for line in events.stdout]
        assert events.wait(60) == 0
    oom = [line for line in lines if line["type"] == "oom"]
    assert oom == [{"type": "oom", "id": one}]


def test_a_paused_container_has_stats(cli: Cli, bundles: Bundles) -> None:
    one = run(cli, bundles, "sleep", "1000")
    cli.ok("pause", one)
    assert json.loads(cli.ok("events", "--stats", one))["data"]["pids"]["current"] == 1


def test_interfaces_that_a_strategy_counts_are_listed_as_the_container_sees_them(cli: Cli, bundles: Bundles) -> None:
    one = run(cli, bundles, "sleep", "1000", options=("--network", "veth"))
    [interface] = json.loads(cli.ok("events", "--stats", one))["data"]["network_interfaces"]
    names = "Name RxBytes RxPackets RxErrors RxDropped TxBytes TxPackets TxErrors TxDropped"
    assert list(interface) == names.split()
    assert interface["Name"] == "eth0"
    assert all(isinstance(value, int) for name, value in interface.items() if name != "Name")


@pytest.mark.parametrize("options", [("--stats",), ()])
def test_a_stopped_container_has_no_events(cli: Cli, bundles: Bundles, options: tuple[str, ...]) -> None:
    one = run(cli, bundles, "true")
    cli.wait_for(one, "stopped")
    outcome = cli("events", *options, one)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert "not running" in outcome.err


def test_whoever_stops_reading_ends_the_stream(cli: Cli, bundles: Bundles) -> None:
    one = run(cli, bundles, "sleep", "1000")
    words = cli.words("events", "--interval=50ms", one)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as events:
        assert events.stdout is not None and events.stderr is not None
        events.stdout.readline()
        events.stdout.close()
        assert events.wait(60) == 1
        assert events.stderr.read().count("\n") == 1


def test_the_api_gives_records(cli: Cli, bundles: Bundles) -> None:
    one = run(cli, bundles, "sleep", "1000", change=limited)
    container = Runtime(str(cli.root)).load(one)
    stats = container.stats()
    assert stats.cgroup is not None
    assert (stats.cgroup.pids_current, stats.cgroup.pids_limit) == (1, 40)
    stream = container.watch(0.05)
    assert next(stream) is not None
    stream.close()
    container.close()
