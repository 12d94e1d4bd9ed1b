"""pause and resume with the real freezer, beside runc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import RUNC, Bundles, Cli, wait_until

from corelaunch.errors import WrongStatus
from corelaunch.kernel import cgroup_events
from corelaunch.runtime import Runtime
from corelaunch.state.journal import Journal

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
MARK = f"cl-pause-{os.getpid()}"
COUNT = "while :; do echo x >>/tmp/ticks; sleep 0.02; done"


@pytest.fixture
def runc(tmp_path: Path) -> Iterator[Cli]:
    made = Cli(RUNC, tmp_path / "runc", f"{MARK}-r")
    yield made
    for name in os.listdir(made.root) if made.root.exists() else ():
        made("resume", name)  # this runc cannot kill what is frozen, and waits ten seconds for it
        made("delete", "--force", name)


def running(cli: Cli, bundle: str) -> str:
    one = cli.new_id()
    cli.ok("run", "--detach", "--bundle", bundle, one)
    return one


def ticks(bundle: str) -> int:
    path = Path(bundle) / "rootfs/tmp/ticks"
    return path.stat().st_size if path.exists() else 0


def writable(config: dict[str, object]) -> None:
    config["root"]["readonly"] = False  # type: ignore[index]


def paths_of(cli: Cli, container_id: str) -> dict[str, str]:
    return dict(Runtime(str(cli.root)).load(container_id).cgroup_paths)


def test_a_paused_container_stands_still_until_it_is_resumed(cli: Cli, bundles: Bundles) -> None:
    bundle = bundles("sh", "-c", COUNT, change=writable, own_rootfs=True)
    one = running(cli, bundle)
    wait_until(lambda: ticks(bundle) > 2, 10, "the first ticks")
    cli.ok("pause", one)
    assert cli.state(one)["status"] == "paused"
    assert cli.state(one)["pid"] > 0
    before = ticks(bundle)
    time.sleep(0.2)
    assert ticks(bundle) == before
    cli.ok("resume", one)
    assert cli.state(one)["status"] == "running"
    wait_until(lambda: ticks(bundle) > before, 10, "the ticks to go on")


@pytest.mark.parametrize("status", ["created", "running", "paused", "stopped"])
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_pause_and_resume_are_legal_when_they_are_under_runc_and_use_its_words(
    cli: Cli, runc: Cli, bundles: Bundles, status: str, verb: str
) -> None:
    answers = []
    for one in (cli, runc):
        container_id = one.new_id()
        bundle = bundles("sleep", "1000")
        with open(os.devnull, "r+b") as null:
            subprocess.run(
                one.words("create", "--bundle", bundle, container_id), check=True, stdin=null, stdout=null, stderr=null
            )
        if status != "created":
            one.ok("start", container_id)
        if status == "paused":
            one.ok("pause", container_id)
        if status == "stopped":
            one.ok("kill", container_id, "KILL")
            one.wait_for(container_id, "stopped")
        outcome = one(verb, container_id, options=("--log-format", "json"))
        phrase = json.loads(outcome.err)["msg"].split(":")[0] if outcome.err else ""
        state = one.state(container_id)
        shown = [(name, type(value), name == "pid" and value == 0) for name, value in state.items()]
        answers.append((outcome.code, outcome.out, phrase, state["status"], shown))
    assert answers[0] == answers[1]


def test_a_created_container_can_be_paused_and_starts_after_resume(cli: Cli, bundles: Bundles) -> None:
    one = cli.new_id()
    cli.ok("create", "--bundle", bundles("sleep", "1000"), one)
    cli.ok("pause", one)
    refused = cli("start", one)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "paused" in refused.err
    cli.ok("resume", one)
    assert cli.state(one)["status"] == "created"
    cli.ok("start", one)


def test_exec_in_a_paused_container_is_refused(cli: Cli, bundles: Bundles) -> None:
    one = running(cli, bundles("sleep", "1000"))
    cli.ok("pause", one)
    refused = cli("exec", one, "true")
    assert refused.code == 255
    assert "cannot exec in a paused container" in refused.err


@pytest.mark.parametrize("options", [(), ("--all",)])
def test_kill_of_a_paused_container_kills_it(cli: Cli, bundles: Bundles, options: tuple[str, ...]) -> None:
    one = running(cli, bundles("sleep", "1000"))
    cli.ok("pause", one)
    cli.ok("kill", *options, one, "KILL")
    cli.wait_for(one, "stopped")
    cli.ok("delete", one)


def test_delete_of_a_paused_container_is_refused_and_by_force_it_is_gone_at_once(cli: Cli, bundles: Bundles) -> None:
    one = running(cli, bundles("sh", "-c", "sleep 1000 & sleep 1000"))
    cli.ok("pause", one)
    refused = cli("delete", one)
    assert refused.code == 1
    assert "that is not stopped: paused" in refused.err
    paths = paths_of(cli, one)
    cli.ok("delete", "--force", one)
    assert [path for path in paths.values() if os.path.exists(path)] == []
    assert not (cli.root / one).exists()


def interrupted(cli: Cli, container_id: str) -> dict[str, str]:
    """What a runtime leaves that was killed between its journal and the end of freezing."""
    journal = Journal.open(str(cli.root / container_id))
    journal.append([{"record": "freezer", "wanted": "frozen"}])
    journal.close()
    return paths_of(cli, container_id)


def test_a_pause_that_was_killed_before_it_froze_anything_changes_nothing(cli: Cli, bundles: Bundles) -> None:
    one = running(cli, bundles("sleep", "1000"))
    interrupted(cli, one)
    assert cli.state(one)["status"] == "running"
    assert "container not paused" in cli("resume", one).err
    cli.ok("pause", one)
    assert cli.state(one)["status"] == "paused"
    cli.ok("resume", one)


@pytest.mark.parametrize("verb", ["pause", "resume", "kill", "delete"])
def test_a_pause_that_was_killed_while_processes_still_stopped_is_taken_up_by_the_next_verb(
    cli: Cli, bundles: Bundles, verb: str
) -> None:
    one = running(cli, bundles("sleep", "1000"))
    paths = interrupted(cli, one)
    if "freezer" in paths:
        Path(paths["freezer"], "freezer.state").write_text("FROZEN")
    else:
        Path(paths[""], "cgroup.freeze").write_text("1")
    if verb == "pause":
        wait_until(lambda: cgroup_events.frozen(paths), 5, "the cgroup to freeze")
        assert "container not running" in cli("pause", one).err
    elif verb == "resume":
        cli.ok("resume", one)
        assert cli.state(one)["status"] == "running"
    elif verb == "kill":
        cli.ok("kill", one, "KILL")
        cli.wait_for(one, "stopped")
    else:
        cli.ok("delete", "--force", one)


def test_the_api_pauses_and_resumes(runtime: Runtime, bundle: object) -> None:
    container = runtime.create(f"{MARK}-api", str(bundle("sleep", "1000")))  # type: ignore[operator]
    container.start()
    with pytest.raises(WrongStatus, match="container not paused"):
        container.resume()
    container.pause()
    assert container.status == "paused"
    with pytest.raises(WrongStatus, match="container not running"):
        container.pause()
    container.resume()
    assert container.status == "running"
