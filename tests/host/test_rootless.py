"""An ordinary user runs containers: with his own id, with a range of subordinate ids, and inside a user namespace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import residue
from cli_host import RUNC, wait_until
from rootless_host import MARK, User, UserCli, ranges, serial, spec
from test_cli_terminal import Window

Change = Callable[[dict[str, Any]], object]
SLEEP = ["sleep", "1000"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

PROBE = """
id; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups /proc/self/oom_score_adj
grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status
umask; pwd; hostname; ls -ln /dev | cut -c1-40; ulimit -a
cut -d' ' -f4-6,9- /proc/self/mountinfo | grep -v cgroup
for ns in user mnt pid ipc uts net; do readlink /proc/self/ns/$ns | tr -d 0-9; done
touch /written; echo > /proc/sys/kernel/hostname; cat /proc/kcore | head -c1; ls /proc/acpi /sys/firmware
env
"""


@pytest.mark.parametrize("maps", ["own id", "range"])
def test_a_container_of_a_user_sees_what_runc_shows_it(
    user_cli: UserCli, user_bundle: Any, user: User, maps: str, tmp_path: Path
) -> None:
    change = ranges(user) if maps == "range" else None
    where = user_bundle("sh", "-c", PROBE, change=change)
    answers = []
    for program in (user_cli.program, RUNC):
        words = user.words(program, "run", "--bundle", where, f"{MARK}-view")
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30
        )
        # Sorted: both ends of a pipe write to the same place.
        answers.append((done.returncode, sorted(re.sub(r"[A-Z][a-z]{2} +\d+ [\d:]+", "", done.stdout).splitlines())))
    assert answers[0] == answers[1]
    assert any(line.split() == ["0", str(user.uid), "1"] for line in answers[0][1])
    assert ("deny" in answers[0][1]) == (maps == "own id")


def test_what_spec_rootless_writes_runs_unchanged_on_the_users_terminal(
    user_cli: UserCli, user: User, installed: str
) -> None:
    where = user.home / f"spec-{os.getpid()}"
    spec(user, where, installed)
    os.rename(user.home / "rootfs", where / "rootfs")
    try:
        window = Window(user_cli.words("run", "--bundle", str(where), user_cli.new_id()))
        window.expect("# ")
        window.type("tty; id -u; exit 7\n")
        window.expect("/dev/pts/0")
        assert window.end() == 7
    finally:
        os.rename(where / "rootfs", user.home / "rootfs")


def test_every_verb_works_for_a_user(user_cli: UserCli, user_bundle: Any, user: User) -> None:
    one = user_cli.new_id()
    where = user_bundle(*SLEEP)
    user_cli.ok("create", "--bundle", where, one)
    created = user_cli.state(one)
    assert (created["status"], created["bundle"]) == ("created", where)
    assert (user.runtime_dir / "corelaunch" / one).is_dir()
    user_cli.ok("start", one)
    assert user_cli.state(one)["status"] == "running"
    assert os.stat(f"/proc/{created['pid']}").st_uid == user.uid
    assert user_cli.ok("exec", one, "id", "-u") == "0\n"
    assert user_cli.ok("list").splitlines()[1].split()[-1] == user.name
    assert user_cli("exec", one, "sh", "-c", "exit 3").code == 3
    user_cli.ok("kill", one, "KILL")
    user_cli.wait_for(one, "stopped")
    user_cli.ok("delete", one)
    assert user_cli.ok("list", "-q") == ""


def test_delete_by_force_takes_a_running_container_away(user_cli: UserCli, user_bundle: Any, user: User) -> None:
    one = user_cli.new_id()
    user_cli.ok("run", "--detach", "--bundle", user_bundle(*SLEEP), one)
    pid = user_cli.state(one)["pid"]
    user_cli.ok("delete", "--force", one)
    # It is not our child: a zombie for a moment.
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "the container's init to be gone")
    assert not (user.runtime_dir / "corelaunch" / one).exists()


def test_exec_of_every_kind(user_cli: UserCli, user_bundle: Any, user: User) -> None:
    one = user_cli.new_id()
    user_cli.ok("run", "--detach", "--bundle", user_bundle(*SLEEP, change=ranges(user)), one)
    assert user_cli.ok("exec", "--user", "5:6", "-g", "7", one, "id") == "uid=5 gid=6 groups=7\n"
    assert user_cli.ok("exec", "--cwd", "/tmp", "--env", "A=b", one, "sh", "-c", "pwd; echo $A") == "/tmp\nb\n"
    assert "0000000000000000" in user_cli.ok("exec", "--user", "5", one, "grep", "CapEff", "/proc/self/status")
    user_cli.ok("exec", "--detach", one, "sleep", "77")
    assert "sleep 77" in user_cli.ok("exec", one, "ps")
    window = Window(user_cli.words("exec", "--tty", one, "sh"))
    window.expect("# ")
    window.type("tty; exit 4\n")
    window.expect("/dev/pts/0")
    assert window.end() == 4


def test_a_user_of_the_container_has_his_groups_and_nobody_elses(
    user_cli: UserCli, user_bundle: Any, user: User
) -> None:
    def change(config: dict[str, Any]) -> None:
        ranges(user)(config)
        config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 6]}

    where = user_bundle("sh", "-c", "id; cat /proc/self/setgroups", change=change)
    assert user_cli.ok("run", "--bundle", where, user_cli.new_id()) == "uid=1000(user) gid=1001 groups=5,6\nallow\n"


def test_a_user_joins_the_user_namespace_of_his_other_container(
    user_cli: UserCli, user_bundle: Any, user: User
) -> None:
    first, second = user_cli.new_id(), user_cli.new_id()
    user_cli.ok("run", "--detach", "--bundle", user_bundle(*SLEEP), first)
    pid = user_cli.state(first)["pid"]

    def change(config: dict[str, Any]) -> None:
        del config["hostname"], config["linux"]["uidMappings"], config["linux"]["gidMappings"]
        for entry in config["linux"]["namespaces"]:
            if entry["type"] in ("user", "uts", "ipc"):
                entry["path"] = f"/proc/{pid}/ns/{entry['type']}"

    user_cli.ok("run", "--detach", "--bundle", user_bundle(*SLEEP, change=change), second)
    for kind, same in (("user", True), ("uts", True), ("ipc", True), ("mnt", False), ("pid", False)):
        names = {user_cli.ok("exec", one, "readlink", f"/proc/self/ns/{kind}") for one in (first, second)}
        assert (len(names) == 1) == same, kind
    assert user_cli.ok("exec", second, "id", "-u") == "0\n"
    for one in (second, first):
        user_cli.ok("delete", "--force", one)


def test_files_of_the_container_belong_to_the_users_ids(user_cli: UserCli, user_bundle: Any, user: User) -> None:
    shared = user.home / f"shared-{serial()}"
    shared.mkdir()
    user.own(shared)

    def change(config: dict[str, Any]) -> None:
        ranges(user)(config)
        for one in config["process"]["capabilities"].values():
            one.append("CAP_CHOWN")
        config["mounts"].append(
            {"destination": "/shared", "type": "bind", "source": str(shared), "options": ["rbind", "nosuid"]}
        )

    where = user_bundle("sh", "-c", "cd /shared; touch a b; chown 1 b", change=change)
    user_cli.ok("run", "--bundle", where, user_cli.new_id())
    assert (shared / "a").stat().st_uid == user.uid
    assert (shared / "b").stat().st_uid == user.first


def only_subordinates(user: User) -> Change:
    """A change: the container's root is the user's first subordinate id, and he himself is nobody in it."""

    def change(config: dict[str, Any]) -> None:
        for member in ("uidMappings", "gidMappings"):
            config["linux"][member] = [{"containerID": 0, "hostID": user.first, "size": user.count}]

    return change


def test_sources_that_only_the_user_may_reach_are_opened_as_he(
    user_cli: UserCli, user_bundle: Any, user: User
) -> None:
    hidden = user.home / f"hidden-{serial()}"
    shutil.copytree(user.home / "rootfs", hidden / "rootfs", symlinks=True)
    (hidden / "inner").mkdir()
    (hidden / "inner/file").write_text("found\n")
    hidden.chmod(0o700)
    user.own(hidden)

    def change(config: dict[str, Any]) -> None:
        only_subordinates(user)(config)
        config["root"]["path"] = str(hidden / "rootfs")
        source = str(hidden / "inner")
        config["mounts"].append({"destination": "/tmp", "type": "bind", "source": source, "options": ["rbind", "ro"]})

    one = user_cli.new_id()
    before = {*user.pids()}
    where = user_bundle("sh", "-c", "id -u; cat /tmp/file; exec sleep 1000", change=change)
    user_cli.ok("run", "--detach", "--bundle", where, one)
    assert os.stat(f"/proc/{user_cli.state(one)['pid']}").st_uid == user.first
    assert user_cli.ok("exec", one, "cat", "/tmp/file") == "found\n"
    maps = user_cli.ok("exec", one, "cat", "/proc/self/uid_map").split()
    assert maps == ["0", str(user.first), str(user.count)]
    assert {*user.pids()} - before == {user_cli.state(one)["pid"]}, "the source process has ended"
    user_cli.ok("delete", "--force", one)


def test_the_helpers_are_not_looked_for_in_path(user_cli: UserCli, user_bundle: Any, user: User) -> None:
    trap = user.home / f"trap-{serial()}"
    trap.mkdir()
    for name in ("newuidmap", "newgidmap"):
        (trap / name).write_text(f"#!/bin/sh\ntouch {trap}/sprung\n")
        (trap / name).chmod(0o755)
    user.own(trap)
    user_cli.environment["PATH"] = str(trap)
    assert user_cli.ok("run", "--bundle", user_bundle("true", change=ranges(user)), user_cli.new_id()) == ""
    assert not (trap / "sprung").exists()


def test_hooks_run_as_the_user(user_cli: UserCli, user_bundle: Any, user: User) -> None:
    note = user.home / f"note-{serial()}"

    def change(config: dict[str, Any]) -> None:
        script = f"id -u >> {note}; grep -o '\"status\": *\"[a-z]*\"' >> {note}"
        hook = [{"path": "/bin/sh", "args": ["sh", "-c", script]}]
        config["hooks"] = {"createRuntime": hook, "poststart": hook, "poststop": hook}

    one = user_cli.new_id()
    user_cli.ok("run", "--detach", "--bundle", user_bundle(*SLEEP, change=change), one)
    user_cli.ok("delete", "--force", one)
    words = re.findall(r"\d+|[a-z]+(?=\"$)", note.read_text(), re.MULTILINE)
    assert words == [str(user.uid), "creating", str(user.uid), "running", str(user.uid), "stopped"]


def test_sysfs_needs_no_bind_where_the_network_is_the_containers_own(user_cli: UserCli, user_bundle: Any) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"].append({"type": "network"})
        config["mounts"] = [mount for mount in config["mounts"] if not mount["destination"].startswith("/sys")]
        config["mounts"].append({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]})

    where = user_bundle("sh", "-c", "ls /sys/class/net; cat /sys/class/net/lo/operstate", change=change)
    assert user_cli.ok("run", "--bundle", where, user_cli.new_id()) == "lo\nunknown\n"


def test_the_state_root_is_the_users_own(user_cli: UserCli, user_bundle: Any, user: User) -> None:
    user_cli.ok("run", "--bundle", user_bundle("true"), user_cli.new_id())
    status = (user.runtime_dir / "corelaunch").stat()
    assert (status.st_uid, status.st_mode & 0o7777) == (user.uid, 0o1700)


@pytest.mark.parametrize("mounted", [False, True])
def test_the_root_of_a_user_namespace_runs_containers_in_it(
    user_cli: UserCli, user_bundle: Any, user: User, mounted: bool
) -> None:
    # As podman does it: everything happens in a user namespace, where the runtime is root.
    def change(config: dict[str, Any]) -> None:
        linux = config["linux"]
        if mounted:
            linux["namespaces"] = [one for one in linux["namespaces"] if one["type"] != "user"]
            del linux["uidMappings"], linux["gidMappings"]
        else:
            for member in ("uidMappings", "gidMappings"):
                linux[member] = [{"containerID": 0, "hostID": 0, "size": 1}]

    where = user_bundle("sh", "-c", "id -u; cat /proc/self/uid_map", change=change)
    words = ["unshare", "--user", "--map-root-user", "--mount", user_cli.program]
    done = subprocess.run(
        user.words(*words, "run", "--bundle", where, user_cli.new_id()), capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["0", "0", "0" if not mounted else str(user.uid), "1"]
    assert user_cli.ok("list", "-q") == ""


def test_a_killed_run_leaves_nothing_that_the_users_own_delete_does_not_take(
    user_cli: UserCli, user_bundle: Any, user: User
) -> None:
    where = user_bundle(*SLEEP, change=ranges(user))
    scope = residue.Scope(marks=(MARK,), trees=(str(user_cli.root),), shared=())
    user_cli.ok("run", "--bundle", user_bundle("true"), user_cli.new_id())
    before = residue.snapshot(scope)
    for number in range(12):
        one = user_cli.new_id()
        process = subprocess.Popen(
            user_cli.words("run", "--bundle", where, one), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        time.sleep(0.008 * number)
        process.kill()
        process.wait()
        user_cli.ok("delete", "--force", one)
        wait_until(lambda: not user.pids(), 10, "all of the user's processes to be gone")
        found = residue.diff(before, residue.snapshot(scope))
        assert found.left == ()
