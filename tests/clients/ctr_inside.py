"""What ctr sees of its containers, and what they are given."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import documented
from cases import Failure, call, case, equal, no_runtime_is_left, wait_until, within
from ctr_client import IMAGE, Ctr

ctr = case("ctr")


# Looking at it.


@ctr
def pause_and_resume(c: Ctr) -> None:
    name = c.up(script="i=0; while :; do i=$((i+1)); echo $i >/tmp/i; sleep 0.02; done")
    c.wait_for_file(name, "/tmp/i")
    c.ok("tasks", "pause", name)
    equal(c.status(name), "PAUSED")
    file = Path(f"/proc/{c.pid(name)}/root/tmp/i")
    first = file.read_text()
    time.sleep(0.2)
    equal(file.read_text(), first)
    c.ok("tasks", "resume", name)
    equal(c.status(name), "RUNNING")
    wait_until(lambda: file.read_text() != first, "it to go on")


@ctr
def kill_a_paused_one(c: Ctr) -> None:
    name = c.up()
    c.ok("tasks", "pause", name)
    c.ok("tasks", "kill", "-s", "KILL", name)
    c("tasks", "resume", name)
    wait_until(lambda: c.status(name) == "STOPPED", "its end")


@ctr
def metrics(c: Ctr) -> None:
    name = c.up()
    found = json.loads(c.ok("tasks", "metrics", "--format", "json", name))
    equal(found["pids"]["current"], 1)
    if found["memory"]["usage"]["usage"] <= 0:
        raise Failure(str(found["memory"]))


@ctr
def ps(c: Ctr) -> None:
    name = c.up(script="sleep 1000 & echo >/tmp/ready; wait")
    c.wait_for_file(name, "/tmp/ready")
    found = [line.split()[0] for line in c.ok("tasks", "ps", name).splitlines()[1:]]
    equal((len(found), str(c.pid(name)) in found), (2, True), found)


@ctr
def events(c: Ctr) -> None:
    with c.events() as seen:
        name = c.up(script="exit 6")
        wait_until(lambda: c.status(name) == "STOPPED", "its end")
        c.deleted(name, 6)
        for topic in ("/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"):
            wait_until(lambda topic=topic: any(topic in line and name in line for line in seen()), topic)


@ctr
def events_of_an_oom(c: Ctr) -> None:
    with c.events() as seen:
        name = c.up("--memory-limit", "16777216", script="sleep 0.3; tail /dev/zero; exec sleep 1000")
        wait_until(lambda: any("/tasks/oom" in line and name in line for line in seen()), "the event")


@ctr
def info_and_labels(c: Ctr) -> None:
    name = c.up("--label", "a=b")
    found = json.loads(c.ok("containers", "info", name))
    equal((found["ID"], found["Labels"]["a"], found["Runtime"]["Name"]), (name, "b", "io.containerd.runc.v2"))
    c.ok("containers", "label", name, "c=d")
    equal(json.loads(c.ok("containers", "info", name))["Labels"]["c"], "d")


@ctr
def annotations(c: Ctr) -> None:
    name = c.up("--annotation", "own.key=value")
    equal(json.loads(c.ok("containers", "info", name))["Spec"]["annotations"]["own.key"], "value")


@ctr
def attach(c: Ctr) -> None:
    name = c.up("--null-io", script="sleep 0.5; exit 4")
    c.code(4, "tasks", "attach", name)


# Limits.


@ctr
def memory_limit(c: Ctr) -> None:
    name = c.up("--memory-limit", "67108864")
    equal(c.cgroup_file(name, "memory", "memory.limit_in_bytes", "memory.max"), "67108864")


@ctr
def oom_kills(c: Ctr) -> None:
    words = ("--rm", "--memory-limit", "16777216", IMAGE, c.name(), "sh", "-c", "tail /dev/zero; exit $?")
    c.code(137, *c.run_words(*words))


@ctr
def cpus(c: Ctr) -> None:
    name = c.up("--cpus", "0.5")
    equal(c.cgroup_file(name, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "50000")


@ctr
def cpu_shares(c: Ctr) -> None:
    name = c.up("--cpu-shares", "512")
    within("512 20", c.cgroup_file(name, "cpu", "cpu.shares", "cpu.weight"))


@ctr
def cgroup_path(c: Ctr) -> None:
    name = c.up("--cgroup", "/own/place")
    within(Path(f"/proc/{c.pid(name)}/cgroup").read_text(), ":/own/place\n")


@ctr
def no_cgroup_path(c: Ctr) -> None:
    name = c.up("--cgroup", "")
    within(Path(f"/proc/{c.pid(name)}/cgroup").read_text(), f"/{name}\n")


@ctr
def devices_are_denied(c: Ctr) -> None:
    found = c.sh("mknod /disk b 254 0 && head -c 1 /disk 2>&1 || true")
    within(found, "not permitted")


@ctr
def device(c: Ctr) -> None:
    equal(c.sh("head -c 3 /dev/fuse 2>&1; ls /dev/fuse", "--device", "/dev/fuse").split()[-1], "/dev/fuse")


# The process and its files.


@ctr
def env(c: Ctr) -> None:
    equal(c.sh("echo $A $FROM", "--env", "A=b"), "b image")


@ctr
def cwd(c: Ctr) -> None:
    equal(c.sh("pwd", "--cwd", "/tmp"), "/tmp")


@ctr
def hostname_is_the_hosts(c: Ctr) -> None:
    equal(c.sh("hostname", "--net-host"), os.uname().nodename)


@ctr
def caps_drop_and_add(c: Ctr) -> None:
    words = ("--cap-drop", "CAP_CHOWN", "--cap-add", "CAP_SYS_TIME")
    found = int(c.sh("grep CapEff /proc/self/status", *words).split()[1], 16)
    equal((bool(found & 1), bool(found & 1 << 25)), (False, True))


@ctr
def no_new_privileges(c: Ctr) -> None:
    within(c.sh("grep NoNewPrivs /proc/self/status"), "1")
    within(c.sh("grep NoNewPrivs /proc/self/status", "--allow-new-privs"), "0")


@ctr
def seccomp_default(c: Ctr) -> None:
    within(c.sh("grep Seccomp: /proc/self/status", "--seccomp"), "2")


@ctr
def seccomp_profile(c: Ctr) -> None:
    file = c.work / "profile.json"
    rule = '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}'
    file.write_text(f'{{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[{rule}]}}')
    found = c.sh("mkdir /x 2>&1 || true", "--seccomp", "--seccomp-profile", str(file))
    within(found.lower(), "not supported")


@ctr
def mount_bind(c: Ctr) -> None:
    here = c.work / "bound"
    here.mkdir()
    c.sh("echo written >/v/file", "--mount", f"type=bind,src={here},dst=/v,options=rbind:rw")
    equal((here / "file").read_text(), "written\n")


@ctr
def mount_read_only(c: Ctr) -> None:
    words = ("--mount", f"type=bind,src={c.work}/rootfs,dst=/v,options=rbind:ro")
    equal(c.sh("touch /v/file 2>/dev/null || echo refused", *words), "refused")


@ctr
def mount_tmpfs(c: Ctr) -> None:
    found = c.sh("grep ' /t ' /proc/mounts", "--mount", "type=tmpfs,src=tmpfs,dst=/t,options=size=1m:noexec")
    within(found, "size=1024k")
    within(found, "noexec")


@ctr
def read_only(c: Ctr) -> None:
    equal(c.sh("touch /file 2>/dev/null || echo refused", "--read-only"), "refused")


@ctr
def snapshots(c: Ctr) -> None:
    name = c.up(script="echo new >/made; exec sleep 1000")
    c.wait_for_file(name, "/made")
    within(c.ok("snapshots", "ls"), name)
    c.deleted(name, 137, "-f")
    c.ok("snapshots", "commit", f"{name}-committed", name)
    within(c.ok("snapshots", "info", f"{name}-committed"), '"Committed"')


@ctr
def no_pivot(c: Ctr) -> None:
    equal(c.sh("echo hello", "--no-pivot", env={**os.environ, "NO_PIVOT": "1"}), "hello")


# Namespaces.


@ctr
def network_host(c: Ctr) -> None:
    equal(c.sh("readlink /proc/self/ns/net", "--net-host"), os.readlink("/proc/self/ns/net"))


@ctr
def network_by_path(c: Ctr) -> None:
    subprocess.run(["ip", "netns", "add", "made"], check=True)
    inode = os.stat("/run/netns/made").st_ino
    equal(c.sh("readlink /proc/self/ns/net", "--with-ns", "network:/run/netns/made"), f"net:[{inode}]")


@ctr
def ipc_of_another(c: Ctr) -> None:
    path = f"/proc/{c.pid(c.up())}/ns/ipc"
    equal(c.sh("readlink /proc/self/ns/ipc", "--with-ns", f"ipc:{path}"), os.readlink(path))


@ctr
def uts_and_network_of_another(c: Ctr) -> None:
    pid = c.pid(c.up())
    words = ("--with-ns", f"uts:/proc/{pid}/ns/uts", "--with-ns", f"network:/proc/{pid}/ns/net")
    found = c.sh("readlink /proc/self/ns/uts; readlink /proc/self/ns/net", *words)
    equal(found.split(), [os.readlink(f"/proc/{pid}/ns/{name}") for name in ("uts", "net")])


@ctr
def pid_of_another(c: Ctr) -> None:
    pid = c.pid(c.up())
    equal(c.sh("cat /proc/1/comm", "--with-ns", f"pid:/proc/{pid}/ns/pid"), "sleep")


@ctr
def user_namespace(c: Ctr) -> None:
    words = ("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536")
    equal(c.sh("id -u; cat /proc/self/uid_map", *words).split(), ["0", "0", "100000", "65536"])


@ctr
def user_namespace_exec(c: Ctr) -> None:
    name = c.up("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536")
    result = c.exec(name, "id", "-u")
    equal((result.code, result.out), (0, "0\n"), result)
    equal(os.stat(f"/proc/{c.pid(name)}").st_uid, 100000)


@ctr
def run_while_others_come_and_go(c: Ctr) -> None:
    words = [[*c.base, *c.run_words("--rm", IMAGE, c.name(), "echo", "one of many")] for _ in range(5)]
    processes = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True) for one in words]
    equal([process.communicate(timeout=60)[0] for process in processes], ["one of many\n"] * 5)


@ctr
def documented_lines(c: Ctr) -> None:
    documented.install(c.runtime)
    for words in documented.command("ctr", IMAGE=IMAGE, ID=c.name()):
        equal(c.ok(*words[1:]), "hello")


@ctr
def documented_configuration(c: Ctr) -> None:
    """CRI is not started here; but containerd reads the file."""
    file = c.work / "cri.toml"
    file.write_text("version = 2\n" + documented.block("### Under containerd", "toml"))
    result = call(["containerd", "-c", str(file), "config", "dump"])
    equal(result.code, 0, result)
    within(result.out, 'BinaryName = "/usr/local/bin/corelaunch"')


@ctr
def remove_all(c: Ctr) -> None:
    """Whatever the cases above left must go, and nothing of the runtime may stay."""
    for line in c.ok("tasks", "ls").splitlines()[1:]:
        c("tasks", "delete", "-f", line.split()[0])
    equal(c.ok("tasks", "ls").splitlines()[1:], [])
    for name in c.ok("containers", "ls", "-q").split():
        c.ok("containers", "delete", name)
    equal([str(path) for path in Path("/run/containerd/runc/default").glob("case-*")], [])
    equal([str(path) for path in Path("/sys/fs/cgroup").glob("*/default/case-*")], [], "cgroups")
    no_runtime_is_left()
