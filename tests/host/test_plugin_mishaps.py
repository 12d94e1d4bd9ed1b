"""What befalls an installed plugin after a container was made with it: what each command then does and says.

The matrix is kinds of plugins by mishaps. Without a name ``script/test`` takes one kind for each mishap, so that each
of both is there; ``--faults`` takes all. docs/operators.md has the table of what an operator sees, with the same rows.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import CHECKOUT, Bundles, Cli, Outcome
from plugin_mishaps import MISHAPS, NAME, Installation, Kind
from residue import Scope, cgroup_directories, settle, snapshot

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(200)]

MARK = f"cl-pm-{os.getpid()}"
KINDS = ("cgroup_manager", "network_strategy", "rdt_manager", "lifecycle")


@dataclass(frozen=True)
class Seen:
    """What an operator sees: the row of ``plugins`` (health, a part of the reason), and of what ``delete`` says."""

    health: str = "broken"
    reason: str = ""
    delete: str = ""
    #: The container can be deleted all the same.
    deletes: bool = False
    #: The plugin stands still until its deadline.
    hangs: bool = False
    #: Kinds that have such a thing.
    kinds: tuple[str, ...] = field(default=KINDS)


BACKENDS = KINDS[:3]
SEEN = {
    "uninstalled": Seen("", "", rf"no .* called '{NAME}' is installed: .*\(pip install corelaunch-{NAME}-\S+==1.0\)"),
    "no Python": Seen(reason="SyntaxError", delete="SyntaxError: .*pip uninstall"),
    "lacks a module": Seen(reason="No module named 'corelaunch_nowhere'", delete="corelaunch_nowhere is missing"),
    "ends itself": Seen(reason="SystemExit: 0", delete="SystemExit: 0 .*pip uninstall"),
    "ends the process": Seen(reason="SystemExit: os._exit(0)", delete=r"SystemExit: os._exit\(0\) .*pip uninstall"),
    "slow": Seen("slow", "which every launch that chooses it waits for", deletes=True),
    "never imported": Seen(delete="does not return: import: after 1 s .*another version", hangs=True),
    "leads nowhere": Seen(reason="has no attribute 'nothing'", delete="its entry point leads to .*: correct it"),
    "in a wrong group": Seen(reason="is no entry-point group", delete=r"is installed: .*\(pip install"),
    "of a wrong type": Seen(reason=" int", delete=r"int.*\((return an object|let it lead to the module)"),
    "without its hook": Seen(reason="is not marked as a hook", delete=r"\(write @corelaunch.api.hookimpl"),
    "twice": Seen(reason=f"two plugins are called '{NAME}'", delete="pip uninstall corelaunch-mishap-again or"),
    "of another API": Seen(reason="was written for API 2, this is API 1", delete="install another version of"),
    "fails": Seen("ok", "", "failed: .*RuntimeError: no"),
    "hangs": Seen("ok", "", "does not return: .*after 1 s .*another version", hangs=True),
    "features hang": Seen("", "", "does not return: features", hangs=True, kinds=BACKENDS),
}


def cells() -> Iterator[object]:
    for number, (mishap, seen) in enumerate(SEEN.items()):
        for kind in seen.kinds:
            # One kind of each mishap, another one each time; what stands still for half a minute is for --faults.
            chosen = kind == seen.kinds[number % len(seen.kinds)] and mishap not in ("never imported", "features hang")
            yield pytest.param(kind, mishap, marks=() if chosen else pytest.mark.faults, id=f"{kind}-{mishap}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, place: Path) -> Installation:
    return Installation(tmp_path_factory.mktemp("installation"), str(place))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("bundles"), MARK)


@pytest.fixture
def cli(installation: Installation, tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(str(installation.program), tmp_path / "root", f"{MARK}-{os.path.basename(tmp_path)}")
    yield cli
    installation.repair()
    cli.delete_all()


def create(cli: Cli, kind: Kind, bundles: Bundles, config: Path, seconds: int) -> str:
    """A container that runs, made with the plugin, whose calls may take so long."""
    config.write_text(f"[deadlines]\nplugin_call = {seconds}\n")
    with_rdt = (lambda config: config["linux"].update(intelRdt={})) if kind.kind == "rdt_manager" else None
    network = ("--network", NAME) if kind.kind == "network_strategy" else ()
    one = cli.new_id()
    bundle = bundles("sleep", "100", change=with_rdt)
    cli.ok("create", "--bundle", bundle, *network, one, options=(*kind.options, "--config", str(config)))
    cli.ok("start", one)
    return one


def check_words(outcome: Outcome, kind: Kind) -> None:
    """Each line is about one thing that failed, and names the plugin; none is a traceback."""
    for line in outcome.err.splitlines():
        assert re.match(r"corelaunch: |time=.* level=warning ", line), outcome
        assert NAME in line or kind.distribution in line, outcome
    assert "Traceback" not in outcome.err + outcome.out
    assert outcome.code == 0 or outcome.err.count("\n") == 1, outcome


def check_listing(cli: Cli, kind: Kind, seen: Seen, mishap: str) -> None:
    """``plugins`` and ``doctor`` show what is wrong, and what to do."""
    listed = cli("plugins", "--json", timeout=100)
    if listed.code:
        check_words(listed, kind)  # it stood still
        assert seen.hangs, listed
        return
    rows = [row for row in json.loads(listed.out) if kind.distribution == row["distribution"]]
    assert [row["health"] for row in rows] == ([seen.health] if seen.health else []), rows
    for row in rows:
        assert seen.reason in row["reason"], row
        assert bool(row["hint"]) == (seen.health != "ok"), row
    told = cli("doctor", timeout=100)
    assert (told.err, "Traceback" in told.out) == ("", False), told
    assert seen.health != "broken" or (told.code == 1 and seen.reason.split(" (")[0] in told.out), told


@pytest.mark.parametrize(("kind", "mishap"), list(cells()))
def test_what_befalls_a_plugin_stops_no_more_than_it_must(
    cli: Cli, installation: Installation, bundles: Bundles, place: Path, tmp_path: Path, kind: str, mishap: str
) -> None:
    scope = Scope((cli.mark,), link_prefixes=(NAME,), trees=(str(place), str(cli.root)))
    plugin, seen = installation.kinds[kind], SEEN[mishap]
    installation.repair()
    cli.root.mkdir(mode=0o700)
    before = snapshot(scope)
    one = create(cli, plugin, bundles, tmp_path / "config.toml", 1 if seen.hangs else 30)
    MISHAPS[mishap](installation, plugin)
    assert cli.state(one)["status"] == "running"
    assert one in cli.ok("list")
    shown = cli("ps", one)
    check_words(shown, plugin)
    assert shown.code == 0 or kind == "cgroup_manager", shown
    cli.ok("kill", one, "KILL")
    cli.wait_for(one, "stopped")
    check_listing(cli, plugin, seen, mishap)
    assert cli.ok("gc") == ""
    assert cli.state(one)["status"] == "stopped"
    outcomes = [cli("delete", one), cli("delete", "--force", one)]
    for outcome in outcomes:
        check_words(outcome, plugin)
    if seen.deletes:
        assert [outcome.code for outcome in outcomes] == [0, 0], outcomes
    elif outcomes[0].code or outcomes[0].err:
        assert re.search(seen.delete, outcomes[0].err), outcomes[0]
    kept = os.path.lexists(cli.root / one)
    if kept:
        assert cli("list").code == 0
        assert all(outcome.code or outcome.err for outcome in outcomes), "it says nothing of what is left"
        if not seen.hangs:
            assert not [path for path in cgroup_directories() if one in path] or kind == "cgroup_manager"
        installation.repair()
        cli.ok("delete", "--force", one)
    residue = settle(scope, before, seconds=20)  # the kernel takes keyrings in its own time
    if kind == "lifecycle" and mishap == "fails":
        # What such a plugin makes is its own: it was told "deleted", and has failed.
        (place / one).rmdir()
        residue = settle(scope, before, seconds=20)
    assert not residue, residue


def test_the_operators_table_has_each_mishap() -> None:
    text = (CHECKOUT / "docs/operators.md").read_text()
    section = text.partition("\n## When a plugin is gone or broken\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in section.splitlines() if line.startswith("| ")]
    named = {name.strip() for row in rows[1:] for name in row.split(",")}
    assert named == {*SEEN}
    assert {*SEEN} == {*MISHAPS}
