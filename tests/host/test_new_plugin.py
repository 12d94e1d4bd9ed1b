"""What the installed ``corelaunch plugin new`` writes can be launched with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import Bundles, Cli, corelaunch_path
from plugin_site import Site

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("bundles"), f"cl-np-{os.getpid()}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


@pytest.fixture
def cli(site: Site, tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(str(site.program), tmp_path / "root", f"cl-np-{os.getpid()}")
    yield cli
    cli.delete_all()


def plain(config: dict[str, Any]) -> None:
    """Without what a small cgroup manager refuses."""
    del config["linux"]["cgroupsPath"], config["linux"]["resources"]


def sealed(config: dict[str, Any]) -> None:
    config["annotations"] = {"mine.seal": "true"}


def install_new(site: Site, tmp_path: Path, kind: str) -> None:
    """Let the installed command write a project called ``mine``, and install it."""
    installed = Cli(corelaunch_path(), tmp_path / "other-root", "none")
    project = tmp_path / "project"
    installed.ok("plugin", "new", kind, "mine", "--directory", str(project))
    site.add_project(project)


def test_a_new_cgroup_manager_holds_a_container_and_leaves_nothing(
    site: Site, cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    install_new(site, tmp_path, "cgroup-manager")
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "100", change=plain), one, options=("--cgroup-manager", "mine"))
    cgroups = Path(f"/proc/{cli.state(one)['pid']}/cgroup").read_text()
    assert f"/mine-{one}\n" in cgroups
    cli.ok("start", one)
    assert cli.ok("ps", one)
    cli.ok("delete", "--force", one)
    assert list(Path("/sys/fs/cgroup").glob(f"*/mine-{one}")) == []


def test_a_new_network_strategy_gives_a_container_its_address_and_leaves_nothing(
    site: Site, cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    install_new(site, tmp_path, "network-strategy")
    before = os.listdir("/sys/class/net")
    bundle = bundles("busybox", "ip", "addr", "show", "eth0")
    out = cli.ok("run", "--network", "mine:address=10.213.7.2/24", "--bundle", bundle, cli.new_id())
    assert "inet 10.213.7.2/24" in out and "UP" in out
    assert set(os.listdir("/sys/class/net")) <= set(before)


def test_a_new_lifecycle_plugin_tells_a_container_its_id_and_seals_it(
    site: Site, cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    install_new(site, tmp_path, "lifecycle")
    one = cli.new_id()
    bundle = bundles("sh", "-c", "echo $CONTAINER_ID; sleep 100", change=sealed)
    cli.ok("create", "--bundle", bundle, one, options=("--plugin", "mine"))
    cli.ok("start", one)
    outcome = cli("exec", one, "true")
    assert outcome.code != 0
    assert "lifecycle plugin 'mine': nobody enters this container: annotations.mine.seal: it is sealed" in outcome.err


def test_a_new_rdt_manager_says_what_this_host_lacks(site: Site, cli: Cli, tmp_path: Path) -> None:
    install_new(site, tmp_path, "rdt-manager")
    [row] = [row for row in json.loads(cli.ok("plugins", "--json")) if row["name"] == "mine"]
    assert (row["kind"], row["health"], row["features"]) == ("rdt_manager", "ok", ["schemata"])
