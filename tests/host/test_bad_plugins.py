"""Plugins that are gone, broken, misnamed, there twice, slow or open to others spoil nothing but themselves."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli
from plugin_site import Site

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]

HEAD = "from corelaunch.api import *\nfrom corelaunch.api import hookimpl\ncorelaunch_api = 1\n"
GOOD = HEAD + "@hookimpl\ndef corelaunch_moment(moment): pass\n"
#: The cgroup manager of this project under another name: containers that need it can be made.
MINE = HEAD + "@hookimpl\ndef corelaunch_cgroup_manager():\n    return load_manager('cgroup_manager', 'cgroupfs')\n"


def open_to_others(site: Site) -> None:
    site.add("open", GOOD)
    (site.plugins / "cl_cli_open.py").chmod(0o666)


#: What is done to an environment, and what ``corelaunch plugins`` must say: name, health, in the reason, in the hint.
MISDEEDS: dict[str, tuple[Callable[[Site], None], tuple[str, str, str, str]]] = {
    "broken": (
        lambda site: site.add("bad", "raise SystemExit('no')"),
        ("bad", "broken", "SystemExit: no", "pip uninstall corelaunch-bad"),
    ),
    "misnamed hook": (
        lambda site: site.add("typo", GOOD.replace("moment(", "momnt(")),
        ("typo", "broken", "corelaunch_momnt is no hook", "corelaunch_momnt is no hook, corelaunch_moment"),
    ),
    "misnamed group": (
        lambda site: site.add("lost", GOOD, group="lifecycles"),
        ("lost", "broken", "corelaunch.lifecycles is no entry-point group", 'write [project.entry-points."corelaunch.'),
    ),
    "misnamed module": (
        lambda site: (site.add("gone", GOOD), (site.plugins / "cl_cli_gone.py").unlink())[1],
        ("gone", "broken", "No module named 'cl_cli_gone'", "its entry point leads to cl_cli_gone"),
    ),
    "twice": (
        lambda site: site.add("again", MINE, group="cgroup_managers", called="resting"),
        ("resting", "broken", "two plugins are called 'resting'", "pip uninstall corelaunch-again or core"),
    ),
    "other API": (
        lambda site: site.add("old", GOOD.replace("= 1", "= 0")),
        ("old", "broken", "was written for API 0, this is API 1", "install another version of corelaunch-old"),
    ),
    "open to others": (open_to_others, ("open", "broken", "somebody other than root", "chown root and chmod go-w")),
    "slow": (
        lambda site: site.add("slow", f"import time; time.sleep(0.3)\n{GOOD}"),
        ("slow", "slow", "which every launch that chooses it waits for", "python3 -X importtime"),
    ),
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("bundles"), f"cl-bp-{os.getpid()}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "site")
    # Nobody chooses it: what befalls it must not matter.
    site.add("resting", MINE, group="cgroup_managers")
    return site


@pytest.fixture
def cli(site: Site, tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(str(site.program), tmp_path / "root", f"cl-bp-{os.getpid()}")
    yield cli
    cli.delete_all()


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_every_verb_of_other_containers_goes_on(site: Site, cli: Cli, bundles: Bundles, misdeed: str) -> None:
    old, new = cli.new_id(), cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "100"), old)
    do, (name, health, reason, hint) = MISDEEDS[misdeed]
    do(site)
    assert cli.state(old)["status"] == "created"
    cli.ok("start", old)
    cli.ok("kill", old, "KILL")
    cli.wait_for(old, "stopped")
    cli.ok("delete", old)
    cli.ok("run", "--bundle", bundles("true"), new)
    rows = [row for row in json.loads(cli.ok("plugins", "--json")) if row["name"] == name]
    assert rows, "it is not listed"
    for row in rows:
        assert (row["health"], reason in row["reason"], row["hint"].startswith(hint)) == (health, True, True), row
    told = f"{rows[0]['reason']} -> {rows[0]['hint']}"
    # The time of a slow import is another one each time.
    assert re.sub(r"\d+ ms", "N ms", told) in re.sub(r"\d+ ms", "N ms", cli.ok("plugins"))


def test_a_container_whose_own_manager_is_gone_can_be_seen_and_killed_and_deleted_once_it_is_back(
    site: Site, cli: Cli, bundles: Bundles
) -> None:
    site.add("mine", MINE, group="cgroup_managers")
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "100"), one, options=("--cgroup-manager", "mine"))
    cli.ok("start", one)
    site.remove("mine")
    assert cli.state(one)["status"] == "running"
    cli.ok("kill", one, "KILL")
    cli.wait_for(one, "stopped")
    outcome = cli("delete", one)
    assert outcome.code == 1
    assert "no cgroup manager called 'mine' is installed" in outcome.err
    assert "(pip install corelaunch-mine==1.0)" in outcome.err
    assert cli.state(one)["status"] == "stopped"
    (site.plugins / "cl_cli_mine.py").unlink()
    site.add("mine", MINE, group="cgroup_managers")
    cli.ok("delete", one)
    assert one not in cli.ok("list")


def test_a_trace_of_a_launch_is_on_stderr_and_the_log_is_as_ever(
    cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    outcome = cli(
        "run",
        "--bundle",
        bundles("true"),
        cli.new_id(),
        options=("--log", str(log), "--log-format", "json"),
        env={**os.environ, "CORELAUNCH_TRACE_PLUGINS": "1"},
    )
    assert outcome.code == 0, outcome
    lines = outcome.err.splitlines()
    assert all(line.startswith("corelaunch: trace: cgroup") and line.endswith(" ms") for line in lines), lines
    calls = [line.split(": ")[3] for line in lines]
    assert calls[:2] == ["import", "corelaunch_cgroup_manager"]
    assert {"place", "create"} <= set(calls)
    assert log.read_text() == ""
