"""update with real cgroups, beside runc: the same options leave the same numbers in the same control files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import RUNC, Bundles, Cli

from corelaunch.errors import Unsupported
from corelaunch.runtime import Runtime

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
MARK = f"cl-update-{os.getpid()}"
MIB = 1 << 20

V1 = Path("/sys/fs/cgroup/memory").is_dir()

#: On v1 below its controller's hierarchy; on pure v2 without.
FILES = (
    "memory.max memory.swap.max memory.low cpu.weight cpu.max cpu.max.burst cpu.idle cpuset.cpus cpuset.mems pids.max "
    "cpu/cpu.shares cpu/cpu.idle cpu/cpu.cfs_period_us cpu/cpu.cfs_quota_us cpu/cpu.cfs_burst_us cpuset/cpuset.cpus "
    "cpuset/cpuset.mems memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes "
    "memory/memory.soft_limit_in_bytes pids/pids.max devices/devices.list"
).split()


@pytest.fixture
def runc(tmp_path: Path) -> Iterator[Cli]:
    made = Cli(RUNC, tmp_path / "runc", f"{MARK}-r")
    yield made
    made.delete_all()


def limited(config: dict[str, Any]) -> None:
    config["linux"]["resources"] |= {
        "memory": {"limit": 64 * MIB, "swap": 128 * MIB},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000},
        "pids": {"limit": 50},
    }


class Limited:
    """A running container, and what its control files say."""

    def __init__(self, cli: Cli, bundles: Bundles, change: Callable[[dict[str, Any]], None] = limited) -> None:
        self.cli = cli
        self.id = cli.new_id()
        bundle = bundles("sleep", "1000", change=change)
        self.cgroup = json.loads((Path(bundle) / "config.json").read_text())["linux"]["cgroupsPath"]
        with open(os.devnull, "r+b") as null:
            words = cli.words("run", "--detach", "--bundle", bundle, self.id)
            subprocess.run(words, check=True, stdin=null, stdout=null, stderr=null)

    def controls(self) -> dict[str, str]:
        found = {}
        for file in FILES:
            controller, _, name = file.rpartition("/")
            path = Path("/sys/fs/cgroup", controller, self.cgroup.lstrip("/"), name)
            if path.exists():
                found[name] = "\n".join(sorted(path.read_text().split("\n"))).strip()
        assert len(found) > 3, "this host has no controllers to compare"
        return found


UPDATES = [
    "--memory 32m",
    "--memory 33554432 --memory-swap 64m",
    "--memory 96M",
    "--memory 200m --memory-swap 400m",
    "--memory 16m --memory-swap -1",
    "--memory -1",
    *(["--memory-swap 256m"] if V1 else []),  # on v2 runc asks for the limit of memory, too
    "--memory-reservation 24MiB",
    "--memory 33.5m",
    "--cpu-share 256",
    "--cpu-quota 30000",
    "--cpu-period 50000 --cpu-quota 20000",
    "--cpu-period 200000",
    "--cpu-quota -1",
    "--cpuset-cpus 0",
    "--cpuset-mems 0",
    "--pids-limit 77",
    "--pids-limit -1",
    "--kernel-memory 50m --kernel-memory-tcp 50m --pids-limit 60",
    "--memory 40m --cpu-share 300 --cpu-quota 40000 --cpu-period 80000 --pids-limit 33 --cpuset-cpus 0",
]


def compared(container: Limited) -> dict[str, str]:
    """All that runc 1.1.5 does not see another way on v2.

    It maps shares to cpu.weight on a straight line, by which the default is 39 in place of 100; and when the limit of
    memory alone changes, it leaves swap as it is, and we the sum of both, which is what ``memory.swap`` says.
    """
    other = ("cpu.weight", "memory.swap.max")
    return {name: value for name, value in container.controls().items() if name not in other}


@pytest.mark.parametrize("options", UPDATES)
def test_the_same_options_leave_the_same_limits_as_under_runc(
    cli: Cli, runc: Cli, bundles: Bundles, options: str
) -> None:
    ours, theirs = Limited(cli, bundles), Limited(runc, bundles)
    before = ours.controls()
    assert compared(ours) == compared(theirs)
    cli.ok("update", *options.split(), ours.id)
    assert runc("update", *options.split(), theirs.id).code == 0
    assert compared(ours) == compared(theirs)
    assert ours.controls() != before or options in ("--cpuset-mems 0",)


RESOURCES: list[dict[str, Any]] = [
    {"memory": {"limit": 48 * MIB, "swap": 96 * MIB}, "cpu": {"shares": 200}, "pids": {"limit": 21}},
    {"cpu": {"quota": 25000, "period": 50000, "cpus": "0", "mems": "0"}},
    {"memory": {"limit": 0, "swap": 0}, "cpu": {"shares": 0, "quota": 0, "cpus": ""}, "blockIO": {"weight": 0}},
    {"cpu": {"shares": 300}, "pids": {"limit": 0}},
    {"cpu": {"shares": 300}, "devices": [{"allow": True, "access": "rwm"}]},
    {"cpu": {"shares": 300}, "devices": None, "somethingNew": {"a": 1}},
]


@pytest.mark.parametrize(("version", "limit"), [("1.0.2-dev", "max"), ("1.2.0", "max"), ("1.3.0", "0")])
def test_a_pids_limit_of_0_is_one_since_runtime_spec_1_3_at_create_and_in_an_update(
    cli: Cli, bundles: Bundles, tmp_path: Path, version: str, limit: str
) -> None:
    """podman 4.3 writes 0 for ``--pids-limit -1`` into a config of 1.0.2-dev; runc 1.1 reads it so."""

    def change(config: dict[str, Any]) -> None:
        config["ociVersion"] = version
        config["linux"]["resources"] |= {"pids": {"limit": 0}}

    one = Limited(cli, bundles, change)
    assert one.controls()["pids.max"] == limit
    (tmp_path / "r.json").write_text('{"pids": {"limit": 0}}')
    for words in (["-r", str(tmp_path / "r.json")], ["--pids-limit", "0"]):
        cli.ok("update", "--pids-limit", "70", one.id)
        cli.ok("update", *words, one.id)
        assert one.controls()["pids.max"] == ("0" if limit == "0" else "70")


@pytest.mark.parametrize("how", ["file", "stdin", "stdin-equals"])
@pytest.mark.parametrize("resources", RESOURCES)
def test_a_resources_file_or_stdin_does_what_it_does_under_runc_and_never_touches_device_rules(
    cli: Cli, runc: Cli, bundles: Bundles, tmp_path: Path, resources: dict[str, Any], how: str
) -> None:
    (tmp_path / "r.json").write_text(json.dumps(resources))
    answers = []
    for one in (Limited(cli, bundles), Limited(runc, bundles)):
        words = {
            "file": ("-r", str(tmp_path / "r.json")),
            "stdin": ("--resources", "-"),
            "stdin-equals": ("--resources=-",),
        }[how]
        with open(tmp_path / "r.json", "rb") as stdin:
            outcome = one.cli("update", *words, one.id, stdin=stdin)
        assert outcome.code == 0, outcome
        answers.append(compared(one))
    assert answers[0] == answers[1]


def test_with_a_resources_file_the_other_options_are_ignored(cli: Cli, bundles: Bundles, tmp_path: Path) -> None:
    one = Limited(cli, bundles)
    (tmp_path / "r.json").write_text('{"pids": {"limit": 22}}')
    cli.ok("update", "--resources", str(tmp_path / "r.json"), "--memory", "nonsense", "--pids-limit", "5", one.id)
    assert one.controls()["pids.max"] == "22"
    assert one.controls()["memory.limit_in_bytes" if V1 else "memory.max"] == str(64 * MIB)


@pytest.mark.skipif(not V1, reason="this host lacks cgroup v1, whose controls are named here")
@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--memory 48m --cpuset-cpus 4096 --pids-limit 9", r"cannot set cpuset.cpus to '4096'"),
        ("--cpu-share 300 --memory 100k --pids-limit 9", r"cannot set memory\.\S+ to '102400'.*bytes are in use"),
        ("--memory 300m", "less than memory.limit|invalid argument"),
        ("--memory 30m --cpu-quota 10 --cpu-share 400", "cannot set cpu.cfs_quota_us to '10'"),
        ("--memory 30m --cpu-burst 60000", "cannot set cpu.cfs_burst_us to '60000'"),
        ("--cpu-share 400 --cpu-idle 7", "cannot set cpu.idle to '7'"),
        ("--memory 30m --cpu-rt-runtime 99999999", "cpu.rt_runtime_us"),
        ("--memory 30m --pids-limit 99999999999", "cannot set pids.max to '99999999999'"),
        ("--memory 30m --blkio-weight 5000", "no control blkio|cannot set blkio"),
        ("--cpu-share 1 --memory 30m", r"linux.resources.cpu.shares.*2 to 262144"),
    ],
)
def test_an_update_that_is_refused_is_one_line_and_all_limits_are_as_before(
    cli: Cli, bundles: Bundles, options: str, line: str
) -> None:
    one = Limited(cli, bundles)
    before = one.controls()
    outcome = cli("update", *options.split(), one.id)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1), outcome
    assert re.search(line, outcome.err), outcome.err
    assert one.controls() == before
    # And the next update works on what is in force, not on what was refused.
    cli.ok("update", "--pids-limit", "12", one.id)
    assert one.controls() == {**before, "pids.max": "12"}


def test_a_later_update_knows_what_an_earlier_one_has_set(cli: Cli, bundles: Bundles) -> None:
    one = Limited(cli, bundles)
    cli.ok("update", "--memory", "32m", "--memory-swap", "48m", one.id)
    ledger = Runtime(str(cli.root)).load(one.id).ledger
    assert ledger.resources["memory"] == {"limit": 32 * MIB, "swap": 48 * MIB}
    assert ledger.resources["cpu"] == {"shares": 512, "quota": 50000, "period": 100000}
    refused = cli("update", "--memory", "56m", one.id)
    assert "less than memory.limit" in refused.err
    assert Runtime(str(cli.root)).load(one.id).ledger.resources["memory"] == {"limit": 32 * MIB, "swap": 48 * MIB}
    cli.ok("update", "--memory", "-1", one.id)
    assert Runtime(str(cli.root)).load(one.id).ledger.resources["memory"] == {"limit": -1}
    cli.ok("update", "--cpu-idle", "1", one.id)
    assert "shares" not in Runtime(str(cli.root)).load(one.id).ledger.resources["cpu"]


def test_idle_can_be_set_and_taken_back(cli: Cli, bundles: Bundles) -> None:
    one = Limited(cli, bundles)
    cli.ok("update", "--cpu-idle", "1", one.id)
    assert one.controls()["cpu.idle"] == "1"
    cli.ok("update", "--cpu-idle", "0", one.id)
    assert one.controls()["cpu.idle"] == "0"
    cli.ok("update", "--cpu-burst", "20000", one.id)
    assert one.controls()["cpu.cfs_burst_us" if V1 else "cpu.max.burst"] == "20000"


def test_a_refused_update_that_made_it_idle_gives_it_its_shares_back(cli: Cli, bundles: Bundles) -> None:
    one = Limited(cli, bundles)
    before = one.controls()
    assert cli("update", "--cpu-idle", "1", "--cpu-quota", "10", one.id).code == 1
    assert one.controls() == before


def test_created_and_paused_containers_can_be_updated_and_stopped_ones_not(cli: Cli, bundles: Bundles) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "1000", change=limited), one)
    cli.ok("update", "--pids-limit", "20", one)
    cli.ok("start", one)
    cli.ok("pause", one)
    cli.ok("update", "--memory", "40m", one)
    cli.ok("resume", one)
    cli.ok("kill", one, "KILL")
    cli.wait_for(one, "stopped")
    refused = cli("update", "--memory", "32m", one)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "container not running" in refused.err


def test_rdt_of_a_container_without_it_is_refused(cli: Cli, bundles: Bundles) -> None:
    one = Limited(cli, bundles)
    before = one.controls()
    for option in ("--l3-cache-schema=L3:0=f", "--mem-bw-schema=MB:0=50"):
        outcome = cli("update", option, "--pids-limit", "5", one.id)
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "created without linux.intelRdt" in outcome.err
    assert one.controls() == before


def test_the_api_updates(runtime: Runtime, bundle: object) -> None:
    container = runtime.create(f"{MARK}-api", str(bundle("sleep", "1000")))  # type: ignore[operator]
    container.update({"pids": {"limit": 31}})
    paths = container.cgroup_paths
    assert Path(paths.get("pids") or paths[""], "pids.max").read_text() == "31\n"
    container.update({})
    with pytest.raises(Unsupported):
        container.update({}, l3_cache_schema="L3:0=f")
