"""The limits that podman sets."""

from __future__ import annotations

import os
from pathlib import Path

from cases import case, equal, within
from podman_client import IMAGE, Podman

podman = case("podman")


@podman
def memory_limit(p: Podman) -> None:
    name = p.up("--memory", "64m")
    equal(p.cgroup_file(name, "memory", "memory.limit_in_bytes", "memory.max"), "67108864")


@podman
def memory_reservation_and_swap(p: Podman) -> None:
    name = p.up("--memory", "64m", "--memory-reservation", "32m")
    equal(p.cgroup_file(name, "memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432")


@podman
def oom_kills(p: Podman) -> None:
    p.code(137, "run", "--network", "none", "--memory", "16m", IMAGE, "sh", "-c", "tail /dev/zero; exit $?")


@podman
def pids_limit(p: Podman) -> None:
    name = p.up("--pids-limit", "10")
    equal(p.cgroup_file(name, "pids", "pids.max", "pids.max"), "10")
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done"
    within(p("exec", name, "sh", "-c", script).err, "fork")


@podman
def cpu_quota(p: Podman) -> None:
    name = p.up("--cpus", "0.5")
    equal(p.cgroup_file(name, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "50000")


@podman
def cpu_shares(p: Podman) -> None:
    name = p.up("--cpu-shares", "512")
    within("512 20", p.cgroup_file(name, "cpu", "cpu.shares", "cpu.weight"))


@podman
def cpuset(p: Podman) -> None:
    equal(p.sh("grep Cpus_allowed_list /proc/self/status", "--cpuset-cpus", "0").split()[1], "0")


@podman
def update(p: Podman) -> None:
    name = p.up("--memory", "64m", "--cpus", "0.5")
    p.ok("update", "--memory", "96m", "--cpus", "0.25", name)
    equal(p.cgroup_file(name, "memory", "memory.limit_in_bytes", "memory.max"), "100663296")
    equal(p.cgroup_file(name, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "25000")


@podman
def ulimit(p: Podman) -> None:
    found = p.sh("ulimit -n; ulimit -Hn", "--ulimit", "nofile=100:200", "--ulimit", "nproc=50:50")
    equal(found.split(), ["100", "200"])


@podman
def oom_score_adj(p: Podman) -> None:
    equal(p.sh("cat /proc/self/oom_score_adj", "--oom-score-adj", "500"), "500")


@podman
def cgroup_parent(p: Podman) -> None:
    name = p.up("--cgroup-parent", "/own-parent")
    within(Path(f"/proc/{p.pid(name)}/cgroup").read_text(), "/own-parent/libpod-")


@podman
def cgroupns_private(p: Podman) -> None:
    found = {line.split(":", 2)[2] for line in p.sh("cat /proc/self/cgroup", "--cgroupns", "private").splitlines()}
    equal(found, {"/"})


@podman
def cgroup_mount_is_read_only(p: Podman) -> None:
    one = "/sys/fs/cgroup/memory" if os.path.isdir("/sys/fs/cgroup/memory") else "/sys/fs/cgroup"
    equal(p.sh(f"mkdir {one}/x 2>/dev/null || echo refused; grep -c ' {one} ' /proc/mounts").split(), ["refused", "1"])
