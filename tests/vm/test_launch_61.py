"""One real launch on Debian's own kernel: 6.1, pure cgroup v2, nothing of the development host's 6.18."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap needs root"),
    pytest.mark.timeout(1500),
]

#: Makes a bundle in the guest from its busybox and runs it; each line of output is one fact of the container.
LAUNCH = r"""
set -eu
export PATH="$PATH:%(bin)s"
mkdir -p /run/bundle/rootfs/bin && cd /run/bundle
cp /bin/busybox rootfs/bin/ && for applet in sh cat uname hostname mount; do ln -s busybox rootfs/bin/$applet; done
runc spec
python3 - <<'P'
import json
config = json.load(open("config.json"))
config["process"].update(terminal=False, args=["/bin/sh", "-c", %(inside)r])
config["hostname"] = "guest-61"
config["linux"]["cgroupsPath"] = "/cl-f-vm"
config["linux"]["resources"] = {"memory": {"limit": 33554432}, "pids": {"limit": 32}}
json.dump(config, open("config.json", "w"))
P
corelaunch --root /run/state run cl-f-vm
echo "left $(ls /run/state | wc -l) $(find /sys/fs/cgroup -name '*cl-f-vm*' | wc -l)"
"""
INSIDE = "; ".join(
    [
        "echo pid $$",
        "echo host $(hostname)",
        "echo kernel $(uname -r)",
        "echo cgroup $(cat /proc/self/cgroup)",
        "echo memory $(cat /sys/fs/cgroup/memory.max)",
        "echo pids $(cat /sys/fs/cgroup/pids.max)",
    ]
)


def vm(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(CHECKOUT / "script/vm"), *command], capture_output=True, text=True, timeout=1400)


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    built = vm("--build-only")
    assert built.returncode == 0, built.stderr


def test_the_guest_is_debians_6_1_with_all_controllers_on_cgroup_v2():
    seen = vm("sh", "-c", "uname -r; stat -f -c %T /sys/fs/cgroup; cat /sys/fs/cgroup/cgroup.controllers")
    release, file_system, controllers = seen.stdout.splitlines()
    assert release.startswith("6.1.")
    assert file_system == "cgroup2fs"
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= set(controllers.split())


def test_output_and_exit_code_are_the_commands_own():
    seen = vm("sh", "-c", "echo out; echo error >&2; exit 7")
    assert (seen.returncode, seen.stdout) == (7, "out\nerror\n")


def test_a_container_runs_in_the_guest_and_leaves_nothing():
    script = LAUNCH % {"bin": CHECKOUT / ".venv/bin", "inside": INSIDE}
    seen = vm("bash", "-c", script)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    facts = dict(line.split(maxsplit=1) for line in seen.stdout.splitlines())
    assert json.loads(json.dumps(facts)) == {
        "pid": "1",
        "host": "guest-61",
        "kernel": facts["kernel"],
        "cgroup": "0::/",
        "memory": "33554432",
        "pids": "32",
        "left": "0 0",
    }
    assert facts["kernel"].startswith("6.1.")
