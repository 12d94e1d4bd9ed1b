"""One real launch on Debian's own kernel: 6.1, pure cgroup v2, nothing of the development host's 6.18."""

from __future__ import annotations

import json

import pytest
from vm_host import CHECKOUT, IN_GUEST, vm

pytestmark = IN_GUEST

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


@pytest.mark.parametrize("options", [["--no-systemd"], []], ids=["no-systemd", "systemd"])
def test_a_container_runs_in_the_guest_and_leaves_nothing(options: list[str]) -> None:
    script = LAUNCH % {"bin": CHECKOUT / ".venv/bin", "inside": INSIDE}
    seen = vm(*options, "bash", "-c", script)
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
