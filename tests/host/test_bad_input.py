"""Bad input: every row fails with one line that says what, where and why, the right exit code, and leaves nothing.

A row changes a good bundle or command line in one way. stderr must be one line that matches, the log one JSON object
with the same text, stdout empty, no traceback anywhere; and the residue oracle must see nothing new: processes,
cgroups of every hierarchy, mounts, links, network namespaces, keys, files below the state root and the bundle.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import residue
from bad_input_rows import CONFIG_FILES, EXEC_ROWS, MARK, OTHER_ROWS, ROWS, Row
from cli_host import Bundles, Cli, Outcome, corelaunch_path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    made = Cli(corelaunch_path(), tmp_path / "root", MARK)
    made.root.mkdir(mode=0o700)
    (tmp_path / "file").write_text("")
    for name, (_, _, text, mode) in CONFIG_FILES.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    yield made
    made.delete_all()


class Watched:
    """The machine before; :meth:`clean` compares."""

    def __init__(self, *trees: Path) -> None:
        self.scope = residue.Scope(marks=(MARK,), trees=tuple(map(str, trees)), shared=("/tmp", "/run"))
        self.before = residue.snapshot(self.scope)

    def clean(self) -> None:
        end = time.monotonic() + 5
        while (found := residue.diff(self.before, residue.snapshot(self.scope))).left and time.monotonic() < end:
            time.sleep(0.05)
        assert found.left == ()
        # Processes that end meanwhile are no loss: containers of the test before, not yet reaped by the host's init.
        assert [line for line in found.lost if not line.startswith("process: ")] == []


def check(cli: Cli, row: Row, words: list[str], scratch: Path) -> Outcome:
    """Run it, twice over: for people, and as an engine does."""
    options = tuple(option.format(scratch=scratch) for option in row.options)
    plain = cli(*words, options=options)
    log = scratch.parent / f"{scratch.name}-log.json"
    outcome = cli(*words, options=("--log", str(log), "--log-format", "json", *options))
    lines = log.read_text().splitlines()
    log.unlink()
    assert len(lines) == 1, lines
    message = json.loads(lines[0])["msg"]
    assert outcome.err == message + "\n"
    for one in (outcome, plain):
        assert "Traceback" not in one.out + one.err
        assert "internal error" not in one.err
        assert one.out == ""
        assert one.err.count("\n") == 1, one.err
        assert re.search(row.line, one.err), one.err
        assert one.code == row.code
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", one.err)
    assert plain.err.removeprefix("corelaunch: ").removeprefix("corelaunch-dev: ") == outcome.err
    return outcome


@pytest.mark.parametrize("row", ROWS, ids=[row.name.encode("ascii", "backslashreplace").decode() for row in ROWS])
def test_bad_input_is_one_line_and_leaves_nothing(cli: Cli, bundles: Bundles, tmp_path: Path, row: Row) -> None:
    bundle = Path(bundles("sh", "-c", "exit 99", change=row.change, own_rootfs=row.own_rootfs))
    if row.spoil is not None:
        row.spoil(bundle)
    watched = Watched(cli.root, bundle, tmp_path)
    words = [word.format(bundle=bundle, scratch=tmp_path) for word in row.words]
    container_id = "" if row.id == "\0" else row.id or cli.new_id()
    check(cli, row, [row.verb, "--bundle", str(bundle), *words, container_id], tmp_path)
    watched.clean()


def test_the_good_bundle_that_the_rows_spoil_does_run(cli: Cli, bundles: Bundles, tmp_path: Path) -> None:
    bundle = bundles("sh", "-c", "exit 99")
    watched = Watched(cli.root, tmp_path)
    outcome = cli("run", "--bundle", bundle, cli.new_id())
    assert (outcome.code, outcome.out, outcome.err) == (99, "", "")
    watched.clean()


# -- ids that are taken, containers in the wrong status ------------------------------------------------------


@pytest.fixture
def running(cli: Cli, bundles: Bundles) -> str:
    one = cli.new_id()
    cli.ok("run", "--detach", "--bundle", bundles("sleep", "1000"), one)
    return one


@pytest.mark.parametrize("verb", ["create", "run"])
def test_an_id_in_use_is_refused_and_its_container_untouched(
    cli: Cli, bundles: Bundles, running: str, tmp_path: Path, verb: str
) -> None:
    bundle = bundles("true")
    before = cli.state(running)
    watched = Watched(cli.root, tmp_path)
    row = Row("", "container with given ID already exists", verb=verb)
    check(cli, row, [verb, "--bundle", bundle, running], tmp_path)
    watched.clean()
    assert cli.state(running) == before


@pytest.mark.parametrize("row", EXEC_ROWS, ids=[row.name for row in EXEC_ROWS])
def test_a_bad_exec_is_one_line_and_leaves_the_container_as_it_was(
    cli: Cli, running: str, tmp_path: Path, row: Row
) -> None:
    (tmp_path / "p.json").write_text("{]")
    (tmp_path / "empty.json").write_text('{"cwd": "/"}')
    for name, affinity in (("cpu", {"final": "8000"}), ("cpus", {"initial": "a"})):
        process = {"args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "execCPUAffinity": affinity}
        (tmp_path / f"{name}.json").write_text(json.dumps(process))
    before = cli.state(running)
    watched = Watched(tmp_path / "open")
    words = [word.format(id=running, scratch=tmp_path) for word in row.words]
    check(cli, row, ["exec", *words], tmp_path)
    watched.clean()
    assert cli.state(running) == before


@pytest.mark.parametrize("row", OTHER_ROWS, ids=[row.name for row in OTHER_ROWS])
def test_a_bad_call_of_another_verb_is_one_line(cli: Cli, running: str, tmp_path: Path, row: Row) -> None:
    before = cli.state(running)
    words = [word.format(id=running) for word in (row.words or (row.id,))]
    if row.words == ("--force",):
        words.append(row.id)
    if row.options:
        outcome = cli(row.verb, *words, options=row.options)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (row.code, "", 1)
        assert re.search(row.line, outcome.err)
    else:
        check(cli, row, [row.verb, *words], tmp_path)
    assert cli.state(running) == before


# -- state directories that are not as we left them ----------------------------------------------------------


@pytest.mark.parametrize("damage", ["empty", "garbage", "torn", "newer"])
def test_a_damaged_container_stops_nothing_and_can_be_deleted_by_force(
    cli: Cli, bundles: Bundles, running: str, damage: str
) -> None:
    watched = Watched(cli.root)
    broken = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "1000"), broken)
    state_file = cli.root / broken / "state.json"
    content = {"empty": "", "garbage": "\0\1\2", "torn": state_file.read_text()[:50], "newer": '{"version": 99}'}
    state_file.write_text(content[damage])
    listed = cli("list", "-q")
    assert listed.code == 0
    assert running in listed.out
    assert "Traceback" not in listed.err
    outcome = cli("state", broken)
    assert "Traceback" not in outcome.err
    assert outcome.err.count("\n") == (outcome.code != 0)
    forced = cli("delete", "--force", broken)
    assert (forced.code, forced.out) == (0, "")
    watched.clean()


def test_strange_things_in_the_state_root_are_no_containers(cli: Cli) -> None:
    (cli.root / "file").write_text("")
    (cli.root / "link").symlink_to("/etc")
    (cli.root / "bad name").mkdir()
    outcome = cli("list", "-q")
    assert outcome.code == 0
    assert "file" not in outcome.out and "bad name" not in outcome.out
    for name in ("file", "link"):
        outcome = cli("state", name)
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "container does not exist" in outcome.err


def test_a_stdout_that_cannot_be_written_is_one_line(cli: Cli, running: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(cli.words("state", running), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "no space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
