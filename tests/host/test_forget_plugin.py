"""``delete --force --forget-plugin``: the way out when a plugin is gone for good, or cannot undo what it made."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli
from plugin_site import Site

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]

MARK = f"cl-fg-{os.getpid()}"

#: The cgroup manager of this project, but for its end.
BUGGY = """
from corelaunch.api import hookimpl, load_manager
corelaunch_api = 1
class Buggy:
    def __init__(self):
        self._files = load_manager("cgroup_manager", "cgroupfs")
        self.features = self._files.features - {"plain-directories"}
    def __getattr__(self, name):
        return getattr(self._files, name)
    def destroy(self, placement, effects):
        raise KeyError("flavour")
@hookimpl
def corelaunch_cgroup_manager():
    return Buggy()
"""
OBSERVER = "from corelaunch.api import hookimpl\ncorelaunch_api = 1\n@hookimpl\ndef corelaunch_moment(moment): pass\n"
LEFT = re.compile(r"^left behind by cgroup_manager:buggy \(corelaunch-buggy 1\.0\): cgroup (/\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("bundles"), MARK)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "site")
    site.add("buggy", BUGGY, group="cgroup_managers")
    site.add("seer", OBSERVER)
    return site


@pytest.fixture
def cli(site: Site, tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(str(site.program), tmp_path / "root", MARK)
    yield cli
    cli.delete_all()


def remove_left(told: str) -> list[str]:
    """What the command says is left behind is there, and nothing is in it; the test removes it."""
    paths = LEFT.findall(told)
    for path in paths:
        assert Path(path, "cgroup.procs").read_text() == ""
        os.rmdir(path)
    return paths


def own_pids(config: dict[str, Any]) -> None:
    config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "pid"]


@pytest.mark.parametrize("fate", ["buggy", "gone"])
def test_the_refusal_names_the_way_out_and_that_leaves_nothing_but_what_it_tells(
    site: Site, cli: Cli, bundles: Bundles, fate: str
) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "1000"), one, options=("--cgroup-manager", "buggy"))
    cli.ok("start", one)
    if fate == "gone":
        site.remove("buggy")
    for _ in range(2):
        refused = cli("delete", "--force", one)
        assert refused.code == 1
        why = "KeyError: 'flavour'" if fate == "buggy" else "pip install corelaunch-buggy==1.0"
        way_out = f"delete --force --forget-plugin cgroup_manager:buggy {one}"
        assert (why in refused.err, f"{way_out})" in refused.err) == (True, True), refused.err
    outcome = cli(*way_out.split())
    assert (outcome.code, outcome.out) == (0, "")
    assert remove_left(outcome.err), "it does not say what it has left"
    assert LEFT.sub("", outcome.err).strip() == ""
    assert os.listdir(cli.root) == []


def test_every_process_of_the_container_is_killed_though_its_manager_is_not_asked(
    site: Site, cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    one, seconds = cli.new_id(), str(100000 + os.getpid())
    bundle = bundles("sh", "-c", f"sleep {seconds} & sleep {seconds}", change=own_pids)
    cli.ok("create", "--bundle", bundle, one, options=("--cgroup-manager", "buggy"))
    cli.ok("start", one)
    deadline = time.monotonic() + 10
    while sleepers(seconds) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sleepers(seconds) == 2
    cli.ok("pause", one)
    site.remove("buggy")
    outcome = cli("delete", "--forget-plugin", "buggy", "-f", one)
    assert (outcome.code, sleepers(seconds)) == (0, 0), outcome.err
    assert remove_left(outcome.err)


def sleepers(seconds: str) -> int:
    found = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found += Path(f"/proc/{pid}/cmdline").read_bytes() == f"sleep\0{seconds}\0".encode()
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--force", "--forget-plugin", "cgroup_manager:bugy"), "it has cgroup_manager:buggy (did you mean cgroup_m"),
        (("--force", "--forget-plugin", "seer"), "called 'seer': it has cgroup_manager:buggy"),
        (("--forget-plugin", "cgroup_manager:buggy"), "it needs --force, too"),
    ],
)
def test_it_needs_force_and_a_plugin_of_the_container_or_nothing_is_done(
    site: Site, cli: Cli, bundles: Bundles, words: tuple[str, ...], why: str
) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "1000"), one, options=("--cgroup-manager", "buggy"))
    refused = cli("delete", *words, one)
    assert (refused.code, why in refused.err, cli.state(one)["status"]) == (1, True, "created"), refused.err
    remove_left(cli("delete", "--force", "--forget-plugin", "cgroup-manager:buggy", one).err)


def test_a_lifecycle_plugin_that_is_gone_is_not_waited_for(site: Site, cli: Cli, bundles: Bundles) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "1000"), one, options=("--plugin", "seer"))
    site.remove("seer")
    kept = cli("delete", "--force", one)
    assert kept.code == 0
    assert f"delete --force --forget-plugin lifecycle:seer {one}" in kept.err
    assert os.listdir(cli.root) == [one]
    outcome = cli("delete", "--force", "--forget-plugin", "lifecycle:seer", one)
    told = f"not told that container {one} is gone: lifecycle plugin 'seer' (corelaunch-seer 1.0)\n"
    assert (outcome.code, outcome.err) == (0, told)
    assert os.listdir(cli.root) == []
