"""Rootless containers in a delegated tree of pure cgroup v2, as root delegates one by hand and as systemd does.

There a user may move a process only if he may write to cgroup.procs of the cgroup above both places: what he starts
has to be in his tree before.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rootless_host import MARK, User, UserCli

from corelaunch.kernel.mountinfo import cgroup_hierarchies

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif([h.version for h in cgroup_hierarchies()] != [2], reason="this host lacks pure cgroup v2"),
]

CGROUPS = Path("/sys/fs/cgroup")
TREE = f"/{MARK}-tree"
SLEEP = ("sleep", "1000")
LIMITS = {"pids": {"limit": 9}, "memory": {"limit": 1 << 26}}


@pytest.fixture
def tree(user: User) -> Iterator[Path]:
    """A delegated cgroup (Documentation/admin-guide/cgroup-v2.rst, "Delegation"); the user's session is in it."""
    directory = CGROUPS / TREE[1:]
    session = directory / "session"
    try:
        session.mkdir(parents=True)
        for cgroup in (directory, session):
            os.chown(cgroup, user.uid, user.gid)
            for name in ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
                os.chown(cgroup / name, user.uid, user.gid)
        user.session = session
        yield directory
    finally:
        user.session = None
        for below in (session, directory):
            below.rmdir()


def limited(path: str, resources: dict[str, Any]) -> Any:
    def change(config: dict[str, Any]) -> None:
        config["linux"].update({"cgroupsPath": path, "resources": resources})

    return change


def test_limits_hold_in_a_delegated_tree_and_every_verb_works(
    tree: Path, user_cli: UserCli, user_bundle: Any, user: User
) -> None:
    one = user_cli.new_id()
    box = tree / "box"
    user_cli.ok("run", "--detach", "--bundle", user_bundle(*SLEEP, change=limited(f"{TREE}/box", LIMITS)), one)
    state = user_cli.state(one)
    assert state["cgroupMode"] == "best-effort"
    assert Path(f"/proc/{state['pid']}/cgroup").read_text() == f"0::{TREE}/box\n"
    assert (box / "pids.max").read_text() == "9\n"
    assert (box / "memory.max").read_text() == f"{1 << 26}\n"
    assert box.stat().st_uid == user.uid
    user_cli.ok("exec", "--detach", one, *SLEEP)
    assert len((box / "cgroup.procs").read_text().split()) == 2
    assert len(json.loads(user_cli.ok("ps", "--format", "json", one))) == 2
    user_cli.ok("pause", one)
    assert user_cli.state(one)["status"] == "paused"
    assert "frozen 1" in (box / "cgroup.events").read_text()
    user_cli.ok("resume", one)
    user_cli.ok("update", "--pids-limit", "30", one)
    assert (box / "pids.max").read_text() == "30\n"
    user_cli.ok("delete", "--force", one)
    assert not box.exists()


def test_exec_goes_to_a_cgroup_below(tree: Path, user_cli: UserCli, user_bundle: Any, user: User) -> None:
    one = user_cli.new_id()
    user_cli.ok("run", "--detach", "--bundle", user_bundle(*SLEEP, change=limited(f"{TREE}/box", {})), one)
    below = tree / "box" / "sub"
    subprocess.run(user.words("mkdir", str(below)), check=True)
    user_cli.ok("exec", "--detach", "--cgroup", "/sub", one, *SLEEP)
    assert len((below / "cgroup.procs").read_text().split()) == 1
    user_cli.ok("delete", "--force", one)
    assert not (tree / "box").exists()


def test_beyond_the_limit_of_pids_a_fork_fails(tree: Path, user_cli: UserCli, user_bundle: Any) -> None:
    script = "for i in 1 2 3 4 5 6; do sleep 9 & done"
    change = limited(f"{TREE}/box", {"pids": {"limit": 3}})
    outcome = user_cli("run", "--bundle", user_bundle("sh", "-c", script, change=change), user_cli.new_id())
    assert "can't fork" in outcome.err


def test_from_outside_the_tree_it_is_an_error_that_says_whose_file_it_is(
    tree: Path, user_cli: UserCli, user_bundle: Any, user: User
) -> None:
    user.session = None
    change = limited(f"{TREE}/box", LIMITS)
    outcome = user_cli("run", "--bundle", user_bundle("true", change=change), user_cli.new_id())
    assert (outcome.code, outcome.err.count("\n")) == (1, 1), outcome
    assert "may not write to" in outcome.err
    assert "cgroup.procs" in outcome.err
    assert not (tree / "box").exists()
    assert user_cli.ok("list", "-q") == ""


@pytest.mark.skipif(not os.path.isdir("/run/systemd/system"), reason="this host lacks systemd as PID 1")
@pytest.mark.skipif(shutil.which("systemd-run") is None, reason="this host lacks systemd-run")
def test_a_service_that_systemd_delegates_to_the_user_holds_his_containers(
    user_cli: UserCli, user_bundle: Any, user: User
) -> None:
    unit = f"{MARK}-delegated.service"
    path = f"/system.slice/{unit}"
    one = user_cli.new_id()
    where = user_bundle("sh", "-c", "cat /proc/self/cgroup", change=limited(f"{path}/box", LIMITS))
    # A cgroup with processes cannot give controllers to those below: the service steps aside into one of its own.
    # ("0" is who writes; systemd makes one dollar of two)
    script = 'mkdir "$0/own" && echo 0 >"$0/own/cgroup.procs" && "$@" && cat "$0/cgroup.subtree_control"'
    # setpriv has nothing to do: the service is the user's from its begin
    words = user_cli.words("run", "--bundle", where, one)
    words = ["env", "-i", *words[words.index("-i") + 1 :]]
    # Without what a boot does before ordinary services: nothing of it is needed, and it takes long in a guest.
    properties = [f"--property=User={user.name}", "--property=Delegate=yes", "--property=DefaultDependencies=no"]
    command = ["systemd-run", "--wait", "--pipe", "--quiet", f"--unit={unit}", *properties]
    seen = subprocess.run(
        [*command, "sh", "-c", script, f"{CGROUPS}{path}", *words], capture_output=True, text=True, timeout=300
    )
    assert seen.returncode == 0, seen
    assert {"memory", "pids"} <= set(seen.stdout.splitlines()[-1].split())
    assert not Path(f"{CGROUPS}{path}/box").exists()
