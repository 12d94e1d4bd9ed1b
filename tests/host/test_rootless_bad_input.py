"""Each limit of an ordinary user has its own message: one line, what, where, why and what to do; nothing is left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from bad_input_rows import add, drop, put, without_namespace
from cli_host import wait_until
from rootless_host import User, UserCli, ranges, serial

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

Change = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Row:
    """One thing that an ordinary user cannot have.

    Attributes:
        name: of the test.
        line: regular expression for stderr.
        change: what is done to the config of ``spec --rootless``.
        ranges: his subordinate ids are mapped, too.
        words, options: more words of ``run``, and before it.
        environment: of the runtime; {directory} is one that is root's alone.
        before: words that run the runtime.
    """

    name: str
    line: str
    change: Change | None = None
    ranges: bool = False
    words: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    before: tuple[str, ...] = ()


def one_map(inside: int, outside: int, size: int) -> list[dict[str, int]]:
    return [{"containerID": inside, "hostID": outside, "size": size}]


def only_subordinates(config: dict[str, Any]) -> None:
    """Root of the container is not the user, and the user is nobody in it."""
    for member in ("uidMappings", "gidMappings"):
        line = config["linux"][member][1]
        config["linux"][member] = one_map(0, line["hostID"], line["size"])


def secret_of_root(config: dict[str, Any]) -> None:
    only_subordinates(config)
    config["mounts"].append(SECRET)


def without_maps(config: dict[str, Any]) -> None:
    del config["linux"]["uidMappings"], config["linux"]["gidMappings"]


def move_a_device(config: dict[str, Any]) -> None:
    config["linux"]["namespaces"].append({"type": "network"})
    config["linux"]["netDevices"] = {"eth1": {}}


def limit(**resources: Any) -> Change:
    return put("linux.resources", resources)


UNMAPPED_GID = {"destination": "/m", "type": "devpts", "source": "x", "options": ["newinstance", "gid=5"]}
UNMAPPED_UID = {"destination": "/m", "type": "tmpfs", "source": "x", "options": ["size=1m,uid=7"]}
SECRET = {"destination": "/m", "type": "bind", "source": "/root/.ssh", "options": ["bind"]}
DISK = {"destination": "/m", "type": "ext4", "source": "/dev/vda"}

ROWS = [
    Row(
        "no user namespace",
        r"linux\.namespaces: rootless container requires user namespaces, and we are user \d+ .*spec --rootless",
        without_namespace("user", without_maps),
    ),
    Row("no mappings", r"linux\.uidMappings: must be set with a user namespace", drop("linux.uidMappings")),
    Row(
        "uids of somebody else",
        r"linux\.uidMappings: newuidmap: .* not allowed .*/etc/subuid",
        put("linux.uidMappings", one_map(0, 4_000_000_000, 10)),
    ),
    Row(
        "gids of somebody else",
        r"linux\.gidMappings: newgidmap: .* not allowed .*/etc/subgid",
        put("linux.gidMappings", one_map(0, 4_000_000_000, 10)),
    ),
    Row(
        "one uid that is not his own",
        r"linux\.uidMappings: newuidmap: .* not allowed",
        put("linux.uidMappings", one_map(0, 0, 1)),
    ),
    Row(
        "helpers without privilege",
        r"linux\.uidMappings: .*no_new_privs is set on us",
        ranges=True,
        before=("setpriv", "--no-new-privs"),
    ),
    Row(
        "group of a mount that is not mapped",
        r'mounts\[\d+\]\.options: "gid=5": 5 is not in linux\.gidMappings',
        add("mounts", UNMAPPED_GID),
    ),
    Row(
        "user of a mount that is not mapped",
        r'mounts\[\d+\]\.options: "uid=7": 7 is not in linux\.uidMappings',
        add("mounts", UNMAPPED_UID),
    ),
    Row(
        "supplementary groups",
        r"additionalGids: cannot set any additional groups in a rootless container .*/etc/subgid",
        put("process.user.additionalGids", [0]),
    ),
    Row("user who is not mapped", r"process\.user\.uid: 9 is not in linux\.uidMappings", put("process.user.uid", 9)),
    Row(
        "network",
        r"cannot give the container a network interface: networks\[0\]: .* needs root, and we are user \d+",
        add("linux.namespaces", {"type": "network"}),
        words=("--network", "veth"),
    ),
    Row(
        "network device",
        r"cannot move a device into the container: linux\.netDevices: .* are root's, and we are user \d+",
        move_a_device,
    ),
    Row(
        "memory limit",
        r"linux\.resources\.memory\.limit: the controller memory is not delegated: user \d+ .*/sys/fs/cgroup/"
        r".*linux\.cgroupsPath",
        limit(memory={"limit": 1 << 26}),
    ),
    Row(
        "pids limit",
        r"linux\.resources\.pids\.limit: the controller pids is not delegated: user \d+ .*/sys/fs/cgroup/",
        limit(pids={"limit": 5}),
    ),
    Row(
        "cgroup path of somebody else",
        r"linux\.cgroupsPath: '/somebody/else': user \d+ may not write to /sys/fs/cgroup/.*delegate",
        put("linux.cgroupsPath", "/somebody/else"),
    ),
    Row(
        "required cgroup",
        r"cannot make cgroup: /sys/fs/cgroup/.*: permission denied",
        options=("--rootless=false",),
    ),
    Row(
        "oom score below his own",
        r"/proc/self/oom_score_adj: permission denied .*process\.oomScoreAdj",
        put("process.oomScoreAdj", -500),
    ),
    Row(
        "hard limit above his own",
        r"cannot set rlimit: .*operation not permitted .*CAP_SYS_RESOURCE",
        add("process.rlimits", {"type": "RLIMIT_CORE", "soft": 5, "hard": 5}),
        before=("prlimit", "--core=3:3"),
    ),
    Row(
        "source that neither he nor the container's root may reach",
        r"cannot open mount source: /root/\.ssh: permission denied .*as the user who runs",
        secret_of_root,
        ranges=True,
    ),
    Row(
        "source that he may not reach",
        r"bind: .*/root/\.ssh: permission denied .*as the user who runs",
        add("mounts", SECRET),
    ),
    Row("filesystem that needs root", r"mount: .*/m: operation not permitted .*user namespace", add("mounts", DISK)),
    Row(
        "sysfs of the host's network",
        r"mount: .*sysfs.*/s: operation not permitted .*network namespace",
        add("mounts", {"destination": "/s", "type": "sysfs", "source": "sysfs"}),
    ),
    Row(
        "sysctl of the host",
        r"linux\.sysctl",
        put("linux.sysctl", {"kernel.panic": "1"}),
    ),
    Row(
        "device that is not there",
        r"/dev/nothing: no such file or directory",
        put("linux.devices", [{"path": "/dev/nothing", "type": "c", "major": 1, "minor": 3}]),
    ),
    Row("no runtime directory", r"no state root: XDG_RUNTIME_DIR is not set .*--root", environment=(("X", "y"),)),
    Row(
        "runtime directory that is not his",
        r"cannot make the state root: \S+/corelaunch: permission denied",
        environment=(("XDG_RUNTIME_DIR", "/etc"),),
    ),
    Row(
        "state root of somebody else",
        r"cannot use the state root: /var: it belongs to, or can be written by, somebody else",
        options=("--root", "/var"),
    ),
    Row(
        "no user namespaces on this host",
        r"user: no space left on device .*user\.max_user_namespaces",
        put("linux.uidMappings", one_map(0, 0, 1)),
        before=("unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"', "sh"),
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_what_an_ordinary_user_cannot_have_is_one_line_and_leaves_nothing(
    user_cli: UserCli, user_bundle: Any, user: User, row: Row
) -> None:
    def change(config: dict[str, Any]) -> None:
        if row.ranges:
            ranges(user)(config)
        if row.change is not None:
            row.change(config)

    where = user_bundle("true", change=change)
    environment = dict(row.environment)
    if "X" in environment:
        environment = {"XDG_RUNTIME_DIR": ""}
    user_cli.environment = environment
    one = user_cli.new_id()
    words = [*row.before, user_cli.program, *row.options, "run", "--bundle", where, *row.words, one]
    log = user.home / f"log-{serial()}.json"
    said = []
    for more in ((), ("--log", str(log), "--log-format", "json")):
        at = len(row.before) + 1
        outcome = run(user.words(*words[:at], *more, *words[at:], **environment))
        assert (outcome.returncode, outcome.stdout, outcome.stderr.count("\n")) == (1, "", 1), outcome
        assert re.search(row.line, outcome.stderr), outcome.stderr
        assert "Traceback" not in outcome.stderr and "internal error" not in outcome.stderr
        said.append(outcome.stderr)
    assert json.loads(log.read_text())["msg"] + "\n" == said[1]
    state = user.runtime_dir / "corelaunch"
    assert not state.exists() or os.listdir(state) == []
    wait_until(lambda: not user.pids(), 10, "all of the user's processes to be gone")


def run(words: list[str]) -> Any:
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("-g", "5"), r"additionalGids\[0\]: 5 is not in linux\.gidMappings"),
        (("-g", "0"), r"cannot set any additional groups in a rootless container.*setgroups is denied"),
        (("--user", "5"), r"user\.uid: 5 is not in linux\.uidMappings"),
    ],
)
def test_a_bad_exec_is_one_line(user_cli: UserCli, user_bundle: Any, words: tuple[str, ...], line: str) -> None:
    one = user_cli.new_id()
    user_cli.ok("run", "--detach", "--bundle", user_bundle("sleep", "1000"), one)
    outcome = user_cli("exec", *words, one, "true")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (255, "", 1)
    assert re.search(line, outcome.err)
    assert user_cli.state(one)["status"] == "running"


def test_what_was_refused_leaves_the_others_containers_alone(user_cli: UserCli, user_bundle: Any) -> None:
    one = user_cli.new_id()
    user_cli.ok("run", "--detach", "--bundle", user_bundle("sleep", "1000"), one)
    outcome = user_cli("run", "--bundle", user_bundle("true"), one)
    assert "container with given ID already exists" in outcome.err
    assert user_cli.state(one)["status"] == "running"
