"""The cgroup of a user's container: required, at best effort, or none; and limits where one is delegated to him."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import own_cgroups
import residue
from cli_host import Bundles, Cli, corelaunch_path
from rootless_host import MARK, User, UserCli, ranges

from corelaunch.kernel import mountinfo

SLEEP = ["sleep", "1000"]
#: A cgroup below the root of each hierarchy, which is the user's.
DELEGATED = f"/{MARK}-delegated"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def hierarchies() -> list[tuple[str, str]]:
    """(controllers or "", mount point) of each hierarchy."""
    return [(",".join(one.controllers), one.mountpoint) for one in mountinfo.cgroup_hierarchies()]


@contextlib.contextmanager
def delegation(user: User, *only: str) -> Iterator[None]:
    """A cgroup of the user's in every hierarchy, or in those of ``only``."""
    made = []
    try:
        for controllers, mountpoint in hierarchies():
            if only and controllers not in only:
                continue
            directory = Path(mountpoint + DELEGATED)
            directory.mkdir()
            made.append(directory)
            if "cpuset" in controllers.split(","):
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (directory / name).write_text(Path(mountpoint, name).read_text())
            user.own(directory)
        yield
    finally:
        for directory in made:
            for below in sorted(directory.rglob("*"), reverse=True):
                if below.is_dir():
                    below.rmdir()
            directory.rmdir()


def limited(path: str = f"{DELEGATED}/box", **resources: Any) -> Any:
    """A change: a cgroup path and limits."""

    def change(config: dict[str, Any]) -> None:
        config["linux"].update({"cgroupsPath": path, "resources": resources})

    return change


def cgroups_of(cli: UserCli, one: str) -> dict[str, str]:
    """Controllers -> cgroup of the container's init."""
    return own_cgroups.paths(Path(f"/proc/{cli.state(one)['pid']}/cgroup").read_text())


def test_without_a_delegated_cgroup_there_is_none_and_state_and_plan_say_so(
    user_cli: UserCli, user_bundle: Any
) -> None:
    one = user_cli.new_id()
    where = user_bundle(*SLEEP)
    assert json.loads(user_cli("plan", "--json", "--bundle", where).out)["cgroupMode"] == "off"
    assert re.search("^  cgroup  off$", user_cli("plan", "--bundle", where).out, re.MULTILINE)
    user_cli.ok("run", "--detach", "--bundle", where, one)
    assert user_cli.state(one)["cgroupMode"] == "off"
    assert not [path for path in residue.cgroup_directories() if MARK in path]
    assert cgroups_of(user_cli, one) == own_cgroups.paths(Path("/proc/self/cgroup").read_text())


def test_limits_work_in_a_delegated_cgroup(user_cli: UserCli, user_bundle: Any, user: User) -> None:
    with delegation(user):
        one = user_cli.new_id()
        change = limited(memory={"limit": 64 << 20}, pids={"limit": 20}, cpu={"shares": 512})
        where = user_bundle(*SLEEP, change=change)
        assert json.loads(user_cli("plan", "--json", "--bundle", where).out)["cgroupMode"] == "best-effort"
        user_cli.ok("run", "--detach", "--bundle", where, one)
        assert user_cli.state(one)["cgroupMode"] == "best-effort"
        root = "/sys/fs/cgroup"
        if os.path.exists(f"{root}/memory{DELEGATED}"):
            box = f"{DELEGATED}/box"
            assert Path(f"{root}/memory{box}/memory.limit_in_bytes").read_text() == f"{64 << 20}\n"
            assert Path(f"{root}/pids{box}/pids.max").read_text() == "20\n"
            assert cgroups_of(user_cli, one)["memory"] == box
        user_cli.ok("exec", "--detach", one, *SLEEP)
        pids = [int(pid) for pid in Path(f"{root}/pids{DELEGATED}/box/cgroup.procs").read_text().split()]
        assert len(pids) == 2
        user_cli.ok("kill", "--all", one, "KILL")
        user_cli.wait_for(one, "stopped")
        user_cli.ok("delete", one)
        assert not [path for path in residue.cgroup_directories() if "/box" in path and MARK in path]


def test_a_limit_is_the_containers_own_and_kills_what_is_beyond_it(
    user_cli: UserCli, user_bundle: Any, user: User
) -> None:
    with delegation(user):
        where = user_bundle("sh", "-c", "for i in 1 2 3 4 5 6; do sleep 9 & done", change=limited(pids={"limit": 3}))
        outcome = user_cli("run", "--bundle", where, user_cli.new_id())
        assert "can't fork" in outcome.err


def test_subordinate_ids_are_limited_too(user_cli: UserCli, user_bundle: Any, user: User) -> None:
    def change(config: dict[str, Any]) -> None:
        ranges(user)(config)
        limited(pids={"limit": 9})(config)
        config["process"]["user"] = {"uid": 1000, "gid": 1000}

    with delegation(user):
        one = user_cli.new_id()
        user_cli.ok("run", "--detach", "--bundle", user_bundle(*SLEEP, change=change), one)
        assert cgroups_of(user_cli, one)["pids"] == f"{DELEGATED}/box"
        assert user_cli.ok("exec", one, "grep", "pids", "/proc/self/cgroup").endswith(f":{DELEGATED}/box\n")
        user_cli.ok("delete", "--force", one)


def test_a_controller_that_is_not_delegated_is_left_out_unless_something_is_asked_of_it(
    user_cli: UserCli, user_bundle: Any, user: User
) -> None:
    with delegation(user, "pids", "freezer"):
        one = user_cli.new_id()
        user_cli.ok("run", "--detach", "--bundle", user_bundle(*SLEEP, change=limited(pids={"limit": 9})), one)
        assert user_cli.state(one)["cgroupMode"] == "best-effort"
        found = cgroups_of(user_cli, one)
        assert {name for name, path in found.items() if path.endswith("/box")} == {"pids", "freezer"}
        user_cli.ok("delete", "--force", one)
        outcome = user_cli(
            "run", "--bundle", user_bundle(*SLEEP, change=limited(memory={"limit": 1 << 26})), user_cli.new_id()
        )
        assert outcome.code == 1
        assert re.search(r"linux\.resources\.memory\.limit: the controller memory is not delegated", outcome.err)
        assert re.search(r"chown.*linux\.cgroupsPath", outcome.err)
        assert not [path for path in residue.cgroup_directories() if "/box" in path and MARK in path]


def test_without_a_path_the_cgroup_is_below_the_callers_own(user_cli: UserCli, user_bundle: Any, user: User) -> None:
    with delegation(user):
        one = user_cli.new_id()
        words = " ".join(user_cli.words("run", "--detach", "--bundle", user_bundle(*SLEEP), one))
        join = "; ".join(f"echo $$ > {mountpoint}{DELEGATED}/cgroup.procs" for _, mountpoint in hierarchies())
        subprocess.run(["sh", "-c", f"{join}; {words} </dev/null >/dev/null"], check=True, timeout=30)
        assert set(cgroups_of(user_cli, one).values()) == {f"{DELEGATED}/{one}"}
        user_cli.ok("delete", "--force", one)


def test_a_required_cgroup_that_cannot_be_made_is_an_error(user_cli: UserCli, user_bundle: Any) -> None:
    outcome = user_cli("run", "--bundle", user_bundle("true"), user_cli.new_id(), options=("--rootless=false",))
    assert outcome.code == 1
    assert re.search(r"cannot make cgroup: /sys/fs/cgroup/\S+: permission denied", outcome.err)
    assert user_cli.ok("list", "-q") == ""


def test_device_rules_are_left_out_with_a_warning(user_cli: UserCli, user_bundle: Any, tmp_path: Path) -> None:
    rules = [{"allow": False, "access": "rwm"}]
    where = user_bundle("true", change=lambda c: c["linux"].update(resources={"devices": rules}))
    plan = json.loads(user_cli("plan", "--json", "--bundle", where).out)
    assert "linux.resources.devices: left out: device rules need root" in plan["warnings"]
    user_cli.ok("run", "--bundle", where, user_cli.new_id())


def test_for_root_the_cgroup_is_required_and_the_state_is_runcs_to_the_letter(tmp_path: Path) -> None:
    cli = Cli(corelaunch_path(), tmp_path / "root", MARK)
    where = Bundles(tmp_path, MARK)(*SLEEP)
    try:
        one = cli.new_id()
        cli.ok("run", "--detach", "--bundle", where, one)
        assert "cgroupMode" not in cli.state(one)
        assert json.loads(cli("plan", "--json", "--bundle", where).out)["cgroupMode"] == "required"
        cli.ok("delete", "--force", one)
        cli.ok("run", "--detach", "--bundle", where, one, options=("--rootless=true",))
        assert cli.state(one)["cgroupMode"] == "best-effort"
    finally:
        cli.delete_all()


@pytest.mark.parametrize("words", [("pause",), ("update", "--memory", "32m")])
def test_what_needs_a_cgroup_says_that_there_is_none_and_what_to_do(
    user_cli: UserCli, user_bundle: Any, words: tuple[str, ...]
) -> None:
    one = user_cli.new_id()
    user_cli.ok("run", "--detach", "--bundle", user_bundle(*SLEEP), one)
    outcome = user_cli(*words, one)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert re.search(rf"cannot {words[0]} container: {one}: it has no cgroup .*delegated.*cgroupsPath", outcome.err)
    assert user_cli.state(one)["status"] == "running"


def test_pause_and_update_work_in_a_delegated_cgroup(user_cli: UserCli, user_bundle: Any, user: User) -> None:
    with delegation(user):
        one = user_cli.new_id()
        user_cli.ok("run", "--detach", "--bundle", user_bundle(*SLEEP, change=limited(pids={"limit": 9})), one)
        user_cli.ok("pause", one)
        assert user_cli.state(one)["status"] == "paused"
        user_cli.ok("resume", one)
        user_cli.ok("update", "--pids-limit", "30", one)
        assert Path(f"/sys/fs/cgroup/pids{DELEGATED}/box/pids.max").read_text() == "30\n"
        user_cli.ok("delete", "--force", one)


def test_without_cgroup_and_pid_namespace_a_warning_says_what_is_not_killed(
    user_cli: UserCli, user_bundle: Any
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "pid"]
        config["mounts"] = [one for one in config["mounts"] if one["destination"] != "/proc"]
        config["linux"].update(maskedPaths=[], readonlyPaths=[])

    plan = json.loads(user_cli("plan", "--json", "--bundle", user_bundle("true", change=change)).out)
    assert "no cgroup and no pid namespace of its own: what the init leaves behind is not killed" in plan["warnings"]
