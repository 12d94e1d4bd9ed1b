"""What docker is asked to do over a runtime. Not asked: --privileged, which needs CAP_SYS_RESOURCE; checkpoints."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import documented
from cases import Failure, case, equal, no_runtime_is_left, wait_until, within
from docker_client import IMAGE, Docker, make_client

__all__ = ["make_client"]

docker = case("docker")


@docker
def run(d: Docker) -> None:
    equal(d.run(IMAGE, "echo", "hello"), "hello")


@docker
def run_detached(d: Docker) -> None:
    name = d.name()
    d.ok("run", "-d", "--network", "none", "--name", name, IMAGE, "echo", "out")
    equal(d.ok("wait", name), "0")
    equal(d.ok("logs", name), "out")


@docker
def run_exit_code(d: Docker) -> None:
    d.code(7, "run", "--rm", "--network", "none", IMAGE, "sh", "-c", "exit 7")


@docker
def run_not_found_127(d: Docker) -> None:
    within(d.code(127, "run", "--rm", "--network", "none", IMAGE, "no-such-program").err, "executable file not found")


@docker
def run_no_such_file_127(d: Docker) -> None:
    within(d.code(127, "run", "--rm", "--network", "none", IMAGE, "/no/such").err, "no such file or directory")


@docker
def run_not_executable_126(d: Docker) -> None:
    within(d.code(126, "run", "--rm", "--network", "none", IMAGE, "/etc/passwd").err, "permission denied")


@docker
def run_missing_workdir_is_made(d: Docker) -> None:
    equal(d.sh("pwd", "-w", "/made/for/it"), "/made/for/it")


@docker
def run_bad_config_125(d: Docker) -> None:
    d.code(125, "run", "--rm", "--network", "host", "--sysctl", "kernel.no_such_thing=1", IMAGE, "true")


@docker
def run_stdin(d: Docker) -> None:
    equal(d.run("-i", IMAGE, "cat", feed="from stdin"), "from stdin")


@docker
def run_stdout_and_stderr_apart(d: Docker) -> None:
    result = d.code(0, "run", "--rm", "--network", "none", IMAGE, "sh", "-c", "echo out; echo err >&2")
    equal((result.out, result.err), ("out\n", "err\n"))


@docker
def run_terminal(d: Docker) -> None:
    result = d.typed("tty; exit 3\n", "run", "--rm", "--network", "none", "-it", IMAGE, "sh")
    within(result.out, "/dev/pts/0", result)
    equal(result.code, 3, result)


@docker
def create_start_attach(d: Docker) -> None:
    name = d.name()
    d.ok("create", "--network", "none", "--name", name, IMAGE, "sh", "-c", "echo attached; exit 4")
    equal(d.code(4, "start", "-a", name).out, "attached\n")
    d.code(4, "start", "-a", name)


@docker
def exec_(d: Docker) -> None:
    result = d.code(9, "exec", d.up(), "sh", "-c", "echo out; echo err >&2; exit 9")
    equal((result.out, result.err), ("out\n", "err\n"))


@docker
def exec_stdin(d: Docker) -> None:
    equal(d.ok("exec", "-i", d.up(), "cat", feed="fed"), "fed")


@docker
def exec_terminal(d: Docker) -> None:
    result = d.typed("tty; exit 3\n", "exec", "-it", d.up(), "sh")
    within(result.out, "/dev/pts/0", result)
    equal(result.code, 3, result)


@docker
def exec_detached(d: Docker) -> None:
    name = d.up()
    d.ok("exec", "-d", name, "sh", "-c", "echo done >/tmp/file")
    wait_until(lambda: d("exec", name, "cat", "/tmp/file").out == "done\n", "the file")


@docker
def exec_user_env_workdir(d: Docker) -> None:
    options = ("--user", "1000:1000", "--env", "A=b", "--workdir", "/tmp")
    equal(d.ok("exec", *options, d.up(), "sh", "-c", "id -u; echo $A; pwd").split(), ["1000", "b", "/tmp"])


@docker
def exec_not_found_126(d: Docker) -> None:
    # 127 is for run alone.
    d.code(126, "exec", d.up(), "no-such-program")


@docker
def exec_not_executable_126(d: Docker) -> None:
    d.code(126, "exec", d.up(), "/etc/passwd")


@docker
def stop(d: Docker) -> None:
    name = d.up("--stop-signal", "TERM", script="trap 'echo bye; exit 8' TERM; echo ready; while :; do sleep 0.1; done")
    d.wait_for_log(name, "ready")
    d.ok("stop", name)
    equal(d.inspect(name, "{{.State.ExitCode}}"), "8")
    within(d.ok("logs", name), "bye")


@docker
def stop_that_needs_kill(d: Docker) -> None:
    name = d.up("--stop-signal", "TERM", script="trap '' TERM; echo ready; exec sleep 1000")
    d.wait_for_log(name, "ready")
    d.ok("stop", "-t", "1", name)
    equal(d.inspect(name, "{{.State.Status}} {{.State.ExitCode}}"), "exited 137")


@docker
def kill(d: Docker) -> None:
    name = d.up()
    d.ok("kill", name)
    equal(d.ok("wait", name), "137")


@docker
def kill_signal(d: Docker) -> None:
    name = d.up(script="trap 'echo usr1' USR1; echo ready; while :; do sleep 0.1; done")
    d.wait_for_log(name, "ready")
    d.ok("kill", "--signal", "USR1", name)
    d.wait_for_log(name, "usr1")


@docker
def killed_from_outside(d: Docker) -> None:
    name = d.up()
    os.kill(d.pid(name), signal.SIGKILL)
    equal(d.ok("wait", name), "137")


@docker
def restart(d: Docker) -> None:
    name = d.up()
    first = d.pid(name)
    d.ok("restart", "-t", "0", name)
    if d.pid(name) == first:
        raise Failure("the same process")


@docker
def restart_policy(d: Docker) -> None:
    name = d.name()
    d.ok("run", "-d", "--network", "none", "--restart", "on-failure:2", "--name", name, IMAGE, "false")
    wait_until(lambda: d.inspect(name, "{{.RestartCount}} {{.State.Status}}") == "2 exited", "two restarts")


@docker
def rm_force_running(d: Docker) -> None:
    name = d.up()
    pid = d.pid(name)
    d.ok("rm", "-f", name)
    equal(os.path.exists(f"/proc/{pid}"), False)


@docker
def live_restore(d: Docker) -> None:
    name = d.up()
    d.restart()
    equal(d.inspect(name, "{{.State.Status}}"), "running")
    equal(d.ok("exec", name, "echo", "still here"), "still here")
    d.ok("kill", name)


@docker
def pause_and_unpause(d: Docker) -> None:
    name = d.up()
    d.ok("pause", name)
    equal(d.inspect(name, "{{.State.Status}}"), "paused")
    d.ok("unpause", name)
    equal(d.inspect(name, "{{.State.Status}}"), "running")


@docker
def rm_force_paused(d: Docker) -> None:
    name = d.up()
    d.ok("pause", name)
    d.ok("rm", "-f", name)


@docker
def stats(d: Docker) -> None:
    within(d.ok("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", d.up("--memory", "64m")), "/ 64MiB")


@docker
def top(d: Docker) -> None:
    name = d.up()
    equal(d.ok("top", name, "-o", "pid,comm").splitlines()[1].split(), [str(d.pid(name)), "sleep"])


@docker
def events(d: Docker) -> None:
    name, since = d.name(), str(int(time.time()) - 1)
    d.ok("run", "--network", "none", "--name", name, IMAGE, "true")
    words = ("--since", since, "--until", str(int(time.time()) + 1), "--filter", f"container={name}")
    found = d.ok("events", *words, "--format", "{{.Status}}").split()
    equal([word for word in ("create", "start", "die") if word not in found], [])


@docker
def cp_in_and_out(d: Docker) -> None:
    name, here = d.up(), d.directory()
    (here / "in").write_text("content")
    d.ok("cp", str(here / "in"), f"{name}:/tmp/in")
    d.ok("cp", f"{name}:/tmp/in", str(here / "out"))
    equal((here / "out").read_text(), "content")


@docker
def diff_commit(d: Docker) -> None:
    name = d.name()
    d.ok("run", "--network", "none", "--name", name, IMAGE, "sh", "-c", "echo new >/made")
    within(d.ok("diff", name), "A /made")
    d.ok("commit", name, "committed")
    equal(d.run("committed", "cat", "/made"), "new")


@docker
def memory_limit(d: Docker) -> None:
    name = d.up("--memory", "64m")
    equal(d.cgroup_file(name, "memory", "memory.limit_in_bytes", "memory.max"), "67108864")


@docker
def oom_is_told(d: Docker) -> None:
    name = d.name()
    d.code(137, "run", "--network", "none", "--memory", "16m", "--name", name, IMAGE, "tail", "/dev/zero")
    equal(d.inspect(name, "{{.State.OOMKilled}}"), "true")


@docker
def pids_limit(d: Docker) -> None:
    equal(d.cgroup_file(d.up("--pids-limit", "10"), "pids", "pids.max", "pids.max"), "10")


@docker
def cpus(d: Docker) -> None:
    equal(d.cgroup_file(d.up("--cpus", "0.5"), "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "50000")


@docker
def update(d: Docker) -> None:
    name = d.up("--memory", "64m", "--cpus", "0.5")
    d.ok("update", "--memory", "96m", "--memory-swap", "-1", "--cpus", "0.25", "--pids-limit", "50", name)
    equal(d.cgroup_file(name, "memory", "memory.limit_in_bytes", "memory.max"), "100663296")
    equal(d.cgroup_file(name, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "25000")
    equal(d.cgroup_file(name, "pids", "pids.max", "pids.max"), "50")


@docker
def volume_and_bind(d: Docker) -> None:
    here, name = d.directory(), d.name()
    d.sh("echo written >/v/file; echo kept >/n/file", "-v", f"{here}:/v", "-v", f"{name}:/n")
    equal((here / "file").read_text(), "written\n")
    found = d.sh("cat /n/file; touch /v/x 2>/dev/null || echo refused", "-v", f"{here}:/v:ro", "-v", f"{name}:/n")
    equal(found.split(), ["kept", "refused"])


@docker
def tmpfs_and_read_only(d: Docker) -> None:
    found = d.sh("touch /x 2>/dev/null || echo refused; touch /t/x && echo fine", "--read-only", "--tmpfs", "/t")
    equal(found.split(), ["refused", "fine"])


@docker
def user_groups_env(d: Docker) -> None:
    found = d.sh("id -u; id -G; echo $A", "--user", "1000:1000", "--group-add", "4242", "-e", "A=b")
    equal(found.split(), ["1000", "1000", "4242", "b"])


@docker
def capabilities(d: Docker) -> None:
    found = d.sh("grep CapEff /proc/self/status", "--cap-drop", "all", "--cap-add", "net_admin")
    equal(int(found.split()[1], 16), 1 << 12)


@docker
def seccomp(d: Docker) -> None:
    within(d.sh("grep Seccomp: /proc/self/status"), "2")
    within(d.sh("grep Seccomp: /proc/self/status", "--security-opt", "seccomp=unconfined"), "0")


@docker
def sysctl_and_hostname(d: Docker) -> None:
    found = d.sh("hostname; sysctl -n net.ipv4.ip_forward", "--hostname", "named", "--sysctl", "net.ipv4.ip_forward=1")
    equal(found.split(), ["named", "1"])


@docker
def init(d: Docker) -> None:
    equal(d.sh("cat /proc/1/comm", "--init"), "docker-init")


@docker
def device(d: Docker) -> None:
    equal(d.sh("head -c 3 /dev/mine | wc -c", "--device", "/dev/zero:/dev/mine:r"), "3")


@docker
def ulimit(d: Docker) -> None:
    equal(d.sh("ulimit -n; ulimit -Hn", "--ulimit", "nofile=100:200").split(), ["100", "200"])


@docker
def healthcheck(d: Docker) -> None:
    name = d.up("--health-cmd", "true", "--health-interval", "200ms")
    wait_until(lambda: d.inspect(name, "{{.State.Health.Status}}") == "healthy", "its health")


@docker
def network_bridge_by_prestart_hook(d: Docker) -> None:
    within(d.ok("run", "--rm", IMAGE, "ip", "-o", "-4", "addr", "show", "eth0"), "172.17.")


@docker
def network_two_containers_reach_each_other(d: Docker) -> None:
    name = d.name()
    d.ok("run", "-d", "--name", name, IMAGE, "sh", "-c", "while :; do echo served | nc -l -p 80; done")
    address = d.inspect(name, "{{.NetworkSettings.IPAddress}}")
    wait_until(lambda: d("run", "--rm", IMAGE, "nc", "-w", "2", address, "80").out == "served\n", "an answer")


@docker
def network_port(d: Docker) -> None:
    name = d.name()
    script = "while :; do echo served | nc -l -p 80; done"
    d.ok("run", "-d", "--name", name, "-p", "8080:80", IMAGE, "sh", "-c", script)

    def served() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", 8080), timeout=2) as client:
                return client.recv(100) == b"served\n"
        except OSError:
            return False

    wait_until(served, "an answer")


@docker
def network_of_a_container(d: Docker) -> None:
    name = d.up()
    theirs = os.readlink(f"/proc/{d.pid(name)}/ns/net")
    found = d.ok("run", "--rm", "--network", f"container:{name}", IMAGE, "readlink", "/proc/self/ns/net")
    equal(found, theirs)


@docker
def pid_and_ipc_of_a_container(d: Docker) -> None:
    name = d.up("--ipc", "shareable")
    theirs = os.readlink(f"/proc/{d.pid(name)}/ns/ipc")
    script = "cat /proc/1/comm; readlink /proc/self/ns/ipc"
    equal(d.sh(script, "--pid", f"container:{name}", "--ipc", f"container:{name}").split(), ["sleep", theirs])


@docker
def pid_host_leaves_nobody(d: Docker) -> None:
    name = d.up("--pid", "host", script="sleep 4321 & exec sleep 4321")
    d.ok("rm", "-f", name)
    wait_until(lambda: subprocess.run(["pgrep", "-f", "^sleep 4321"], check=False).returncode == 1, "them to go")


@docker
def build(d: Docker) -> None:
    here = d.directory()
    (here / "file").write_text("copied")
    (here / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY file /file\nRUN cat /file >/made && echo run >>/made\n")
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    d.ok("build", "--network", "none", "-t", "built", str(here), seconds=60, env=environment)
    equal(d.run("built", "cat", "/made"), "copiedrun")


@docker
def run_while_others_come_and_go(d: Docker) -> None:
    words = [*d.base, "run", "--rm", "--network", "none", IMAGE, "echo", "one of many"]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    equal([process.communicate(timeout=60)[0] for process in processes], ["one of many\n"] * 5)


@docker
def runtime_is_listed(d: Docker) -> None:
    within(d.ok("info", "--format", "{{json .Runtimes}} {{.DefaultRuntime}}"), d.runtime)


@docker
def documented_lines(d: Docker) -> None:
    """The daemon has read the documented daemon.json, and knows the runtime by that name from there alone."""
    for words in documented.command("docker", IMAGE=IMAGE):
        equal(d.ok(*words[1:]), "hello")


@docker
def remove_all(d: Docker) -> None:
    """Whatever the cases above left must go, and nothing of the runtime may stay."""
    for name in d.ok("ps", "-a", "-q").split():
        d.ok("rm", "-f", name)
    equal(d.ok("ps", "-a", "-q"), "")
    root = d.work / "exec/runtime-tried/moby"
    equal([str(path) for path in root.glob("*")] if root.exists() else [], [])
    equal([str(path) for path in Path("/sys/fs/cgroup").glob("*/docker/*/")], [], "cgroups")
    no_runtime_is_left()
