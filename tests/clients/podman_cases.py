"""What podman is asked to do over a runtime.

Not asked: checkpoint and restore, since corelaunch has neither and Debian's CRIU does not start on newer kernels;
what needs CAP_SYS_RESOURCE; AppArmor and SELinux labels; the systemd cgroup manager.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import documented
from cases import Failure, call, case, equal, no_runtime_is_left, wait_until, within
from podman_client import IMAGE, Podman, make_client

__all__ = ["make_client"]

podman = case("podman")


# One container, in the foreground and in the background.


@podman
def run(p: Podman) -> None:
    equal(p.run(IMAGE, "echo", "hello"), "hello")


@podman
def run_detached(p: Podman) -> None:
    name = p.name()
    equal(len(p.ok("run", "-d", "--network", "none", "--name", name, IMAGE, "echo", "out")), 64)
    equal(p.ok("wait", name), "0")
    equal(p.ok("logs", name), "out")


@podman
def run_exit_code(p: Podman) -> None:
    p.code(7, "run", "--rm", "--network", "none", IMAGE, "sh", "-c", "exit 7")


@podman
def run_not_found_127(p: Podman) -> None:
    result = p.code(127, "run", "--rm", "--network", "none", IMAGE, "no-such-program")
    within(result.err, "executable file", result)


@podman
def run_not_found_127_without_a_log(p: Podman) -> None:
    """conmon asks a runtime of unknown name for no log: then its stderr is all that podman has."""
    conf = p.directory() / "containers.conf"
    conf.write_text(Path(os.environ["CONTAINERS_CONF"]).read_text().replace("runtime_supports_json", "#"))
    environment = {**os.environ, "CONTAINERS_CONF": str(conf)}
    result = p.code(127, "run", "--rm", "--network", "none", IMAGE, "no-such-program", env=environment)
    within(result.err, "executable file not found in $PATH", result)


@podman
def run_no_such_file_127(p: Podman) -> None:
    within(p.code(127, "run", "--rm", "--network", "none", IMAGE, "/no/such").err, "no such file or directory")


@podman
def run_not_executable_126(p: Podman) -> None:
    within(p.code(126, "run", "--rm", "--network", "none", IMAGE, "/etc/passwd").err.lower(), "permission denied")


@podman
def run_directory_126(p: Podman) -> None:
    p.code(126, "run", "--rm", "--network", "none", IMAGE, "/etc")


@podman
def run_bad_config_125_or_126(p: Podman) -> None:
    result = p("run", "--rm", "--network", "none", "--sysctl", "kernel.no_such_thing=1", IMAGE, "true")
    if result.code not in (125, 126, 127) or not result.err.strip():
        raise Failure(str(result))


@podman
def run_stdin(p: Podman) -> None:
    equal(p.run("-i", IMAGE, "cat", feed="from stdin"), "from stdin")


@podman
def run_stdout_and_stderr_apart(p: Podman) -> None:
    result = p.code(0, "run", "--rm", "--network", "none", IMAGE, "sh", "-c", "echo out; echo err >&2")
    equal((result.out, result.err), ("out\n", "err\n"))


@podman
def run_terminal(p: Podman) -> None:
    result = p.typed("tty; stty size; exit 3\n", "run", "--rm", "--network", "none", "-it", IMAGE, "sh")
    within(result.out, "/dev/pts/0", result)
    equal(result.code, 3, result)


@podman
def run_terminal_detached(p: Podman) -> None:
    name = p.up("-t", script="tty; exec sleep 1000")
    p.wait_for_log(name, "/dev/pts/0")


@podman
def run_forwards_signals(p: Podman) -> None:
    name = p.name()
    script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    words = [*p.base, "run", "--rm", "--network", "none", "--name", name, IMAGE, "sh", "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        equal(process.stdout.readline(), "ready\n")
        time.sleep(1)  # podman catches signals some time after the start, and does not say when
        process.send_signal(signal.SIGTERM)
        equal((process.stdout.read(), process.wait(20)), ("told\n", 5))


@podman
def rm_leaves_nothing(p: Podman) -> None:
    name = p.name()
    p.ok("run", "--rm", "--network", "none", "--name", name, IMAGE, "true")
    p.code(1, "container", "exists", name)


@podman
def create_start_attach(p: Podman) -> None:
    name = p.name()
    p.ok("create", "--network", "none", "--name", name, IMAGE, "sh", "-c", "echo attached; exit 4")
    equal(p.code(4, "start", "-a", name).out, "attached\n")


@podman
def init_then_start(p: Podman) -> None:
    name = p.name()
    p.ok("create", "--network", "none", "--name", name, IMAGE, "echo", "late")
    p.ok("init", name)
    equal(p.inspect(name, "{{.State.Status}}"), "initialized")
    equal(p.ok("start", "-a", name), "late")


@podman
def start_again(p: Podman) -> None:
    name = p.name()
    p.ok("run", "--network", "none", "--name", name, IMAGE, "echo", "again")
    equal(p.ok("start", "-a", name), "again")


@podman
def attach(p: Podman) -> None:
    name = p.up("-i", script="read line; echo got $line; sleep 0.5; exit 6")
    equal(p("attach", name, feed="words\n").out.strip(), "got words")
    equal(p.ok("wait", name), "6")


# exec


@podman
def exec_(p: Podman) -> None:
    name = p.up()
    result = p.code(9, "exec", name, "sh", "-c", "echo out; echo err >&2; exit 9")
    equal((result.out, result.err.splitlines()[:1]), ("out\n", ["err"]))


@podman
def exec_stdin(p: Podman) -> None:
    equal(p.ok("exec", "-i", p.up(), "cat", feed="fed"), "fed")


@podman
def exec_terminal(p: Podman) -> None:
    result = p.typed("tty; exit 3\n", "exec", "-it", p.up(), "sh")
    within(result.out, "/dev/pts/", result)
    equal(result.code, 3, result)


@podman
def exec_detached(p: Podman) -> None:
    name = p.up()
    p.ok("exec", "-d", name, "sh", "-c", "echo done >/tmp/file")
    wait_until(lambda: p("exec", name, "cat", "/tmp/file").out == "done\n", "the file")


@podman
def exec_user_env_workdir(p: Podman) -> None:
    options = ("--user", "1000:1000", "--env", "A=b", "--workdir", "/tmp")
    found = p.ok("exec", *options, p.up(), "sh", "-c", "id -u; id -g; echo $A; pwd")
    equal(found.split(), ["1000", "1000", "b", "/tmp"])


@podman
def exec_not_found_127(p: Podman) -> None:
    p.code(127, "exec", p.up(), "no-such-program")


@podman
def exec_not_executable_126(p: Podman) -> None:
    p.code(126, "exec", p.up(), "/etc/passwd")


@podman
def exec_is_in_the_containers_cgroup(p: Podman) -> None:
    name = p.up("--cgroupns", "host")
    groups = [p.ok("exec", name, "cat", f"/proc/{pid}/cgroup") for pid in ("1", "self")]
    equal(groups[1], groups[0])


@podman
def exec_privileged(p: Podman) -> None:
    name = p.up("--cap-drop", "all")
    equal(p.ok("exec", name, "grep", "CapEff", "/proc/self/status").split()[1], "0" * 16)
    if int(p.ok("exec", "--privileged", name, "grep", "CapEff", "/proc/self/status").split()[1], 16) == 0:
        raise Failure("exec --privileged has no capability")


@podman
def exec_many(p: Podman) -> None:
    name = p.up()
    words = [*p.base, "exec", name, "sh", "-c", "echo $((6 * 7))"]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    equal([process.communicate(timeout=40)[0] for process in processes], ["42\n"] * 4)


# Its end.


@podman
def stop(p: Podman) -> None:
    name = p.up("--stop-signal", "TERM", script="trap 'echo bye; exit 8' TERM; echo ready; while :; do sleep 0.1; done")
    p.wait_for_log(name, "ready")
    p.ok("stop", name)
    equal(p.inspect(name, "{{.State.ExitCode}}"), "8")
    within(p.ok("logs", name), "bye")


@podman
def stop_that_needs_kill(p: Podman) -> None:
    name = p.up("--stop-signal", "TERM", script="trap '' TERM; echo ready; exec sleep 1000")
    p.wait_for_log(name, "ready")
    p.ok("stop", "-t", "1", name)
    equal(p.inspect(name, "{{.State.Status}} {{.State.ExitCode}}"), "exited 137")


@podman
def kill(p: Podman) -> None:
    name = p.up()
    p.ok("kill", name)
    equal(p.ok("wait", name), "137")


@podman
def kill_signal(p: Podman) -> None:
    name = p.up(script="trap 'echo usr1' USR1; echo ready; while :; do sleep 0.1; done")
    p.wait_for_log(name, "ready")
    p.ok("kill", "--signal", "USR1", name)
    p.wait_for_log(name, "usr1")


@podman
def kill_stopped_is_refused(p: Podman) -> None:
    name = p.name()
    p.ok("run", "--network", "none", "--name", name, IMAGE, "true")
    if p("kill", name).code == 0:
        raise Failure("kill of a stopped container succeeded")


@podman
def rm_force_running(p: Podman) -> None:
    name = p.up()
    pid = p.pid(name)
    p.ok("rm", "-f", "-t", "0", name)
    if os.path.exists(f"/proc/{pid}/ns"):
        state = Path(f"/proc/{pid}/stat").read_text()
        raise Failure(f"its process is still there: {state}")


@podman
def restart(p: Podman) -> None:
    name = p.up()
    first = p.pid(name)
    p.ok("restart", "-t", "0", name)
    equal(p.inspect(name, "{{.State.Status}}"), "running")
    if p.pid(name) == first:
        raise Failure("the same process")


@podman
def restart_policy(p: Podman) -> None:
    name = p.name()
    p.ok("run", "-d", "--network", "none", "--restart", "on-failure:2", "--name", name, IMAGE, "false")
    wait_until(lambda: p.inspect(name, "{{.RestartCount}} {{.State.Status}}") == "2 exited", "two restarts")


@podman
def killed_from_outside(p: Podman) -> None:
    name = p.up()
    os.kill(p.pid(name), signal.SIGKILL)
    equal(p.ok("wait", name), "137")
    p.ok("rm", name)


# Looking at it.


@podman
def pause_and_unpause(p: Podman) -> None:
    name = p.up(script="i=0; while :; do i=$((i+1)); echo $i >/tmp/i; sleep 0.02; done")
    p.ok("pause", name)
    equal(p.inspect(name, "{{.State.Status}}"), "paused")
    if p("exec", name, "true").code == 0:
        raise Failure("exec in a paused container")
    p.ok("unpause", name)
    equal(p.inspect(name, "{{.State.Status}}"), "running")
    first = p.ok("exec", name, "cat", "/tmp/i")
    wait_until(lambda: p.ok("exec", name, "cat", "/tmp/i") != first, "it to go on")


@podman
def rm_force_paused(p: Podman) -> None:
    name = p.up()
    p.ok("pause", name)
    p.ok("rm", "-f", "-t", "0", name)


@podman
def logs_tail(p: Podman) -> None:
    name = p.name()
    p.ok("run", "--network", "none", "--name", name, IMAGE, "seq", "5")
    equal(p.ok("logs", "--tail", "2", name).split(), ["4", "5"])


@podman
def stats(p: Podman) -> None:
    name = p.up("--memory", "64m")
    found = p.ok("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemLimit}}", name)
    equal(found.split()[0], "1", found)
    within(found, "67.11MB" if "MB" in found else "67108864")


@podman
def top(p: Podman) -> None:
    found = p.ok("top", p.up(), "pid", "comm").splitlines()
    equal(found[1].split(), ["1", "sleep"])


@podman
def top_ps_options(p: Podman) -> None:
    name = p.up()
    within(p.ok("top", name, "hpid"), str(p.pid(name)))


@podman
def ps(p: Podman) -> None:
    name = p.up()
    (found,) = p.json("ps", "--filter", f"name={name}", "--format", "json")
    equal((found["Names"], found["State"], found["Pid"]), ([name], "running", p.pid(name)))


@podman
def inspect(p: Podman) -> None:
    name = p.up()
    found = p.inspect(name, "{{.State.Running}} {{.OCIRuntime}} {{.State.Pid}}").split()
    equal((found[0], found[1]), ("true", p.base[-1]))
    equal(Path(f"/proc/{found[2]}/comm").read_text(), "sleep\n")


@podman
def events(p: Podman) -> None:
    name = p.name()
    p.ok("run", "--network", "none", "--name", name, IMAGE, "true")
    found = p.ok("events", "--stream=false", "--filter", f"container={name}", "--format", "{{.Status}}").split()
    for word in ("create", "start", "died"):
        if word not in found:
            raise Failure(f"no {word} in {found}")


@podman
def wait_exit_code(p: Podman) -> None:
    name = p.up(script="sleep 0.3; exit 5")
    equal(p.ok("wait", name), "5")


@podman
def cp_in_and_out(p: Podman) -> None:
    name, here = p.up(), p.directory()
    (here / "in").write_text("content")
    p.ok("cp", str(here / "in"), f"{name}:/tmp/in")
    equal(p.ok("exec", name, "cat", "/tmp/in"), "content")
    p.ok("cp", f"{name}:/tmp/in", str(here / "out"))
    equal((here / "out").read_text(), "content")


@podman
def diff_commit_export(p: Podman) -> None:
    name = p.name()
    p.ok("run", "--network", "none", "--name", name, IMAGE, "sh", "-c", "echo new >/made")
    within(p.ok("diff", name), "A /made")
    p.ok("commit", "-q", name, "localhost/committed")
    equal(p.run("localhost/committed", "cat", "/made"), "new")


@podman
def runtime_version_in_info(p: Podman) -> None:
    found = p.ok("info", "--format", "{{.Host.OCIRuntime.Path}} {{.Host.OCIRuntime.Version}}")
    within(found, p.base[-1])
    within(found, "spec:")


# Limits.


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


# Files.


@podman
def volume_read_write(p: Podman) -> None:
    here = p.directory()
    p.sh("echo written >/v/file", "-v", f"{here}:/v")
    equal((here / "file").read_text(), "written\n")


@podman
def volume_read_only(p: Podman) -> None:
    here = p.directory()
    (here / "file").write_text("kept")
    equal(p.sh("echo x 2>/dev/null >/v/file || cat /v/file", "-v", f"{here}:/v:ro"), "kept")


@podman
def volume_named(p: Podman) -> None:
    name = p.name()
    p.sh("echo kept >/v/file", "-v", f"{name}:/v")
    equal(p.sh("cat /v/file", "-v", f"{name}:/v"), "kept")


@podman
def volume_of_another_container(p: Podman) -> None:
    here = p.directory()
    (here / "file").write_text("shared")
    name = p.up("-v", f"{here}:/v")
    equal(p.sh("cat /v/file", "--volumes-from", name), "shared")


@podman
def volume_single_file(p: Podman) -> None:
    file = p.directory() / "file"
    file.write_text("one")
    equal(p.sh("cat /etc/made-for-it", "-v", f"{file}:/etc/made-for-it"), "one")


@podman
def volume_propagates_in(p: Podman) -> None:
    here = p.directory()
    (here / "sub").mkdir()
    name = p.up("-v", f"{here}:/v:rslave")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", here / "sub"], check=True)
    (here / "sub/file").write_text("later")
    equal(p.ok("exec", name, "cat", "/v/sub/file"), "later")
    p.ok("rm", "-f", "-t", "0", name)
    subprocess.run(["umount", here / "sub"], check=True)


@podman
def volume_propagates_out(p: Podman) -> None:
    here = p.directory()
    (here / "sub").mkdir()
    name = p.up("-v", f"{here}:/v:rshared", "--cap-add", "sys_admin")
    p.ok("exec", name, "sh", "-c", "mount -t tmpfs tmpfs /v/sub && echo made >/v/sub/file")
    equal((here / "sub/file").read_text(), "made\n")
    subprocess.run(["umount", here / "sub"], check=True)


@podman
def volume_is_private_by_default(p: Podman) -> None:
    here = p.directory()
    (here / "sub").mkdir()
    p.sh("mount -t tmpfs tmpfs /v/sub && echo made >/v/sub/file", "-v", f"{here}:/v", "--cap-add", "sys_admin")
    equal(os.listdir(here / "sub"), [])


@podman
def tmpfs(p: Podman) -> None:
    found = p.sh("grep ' /t ' /proc/mounts; touch /t/file && stat -c %a /t", "--tmpfs", "/t:rw,size=1m,mode=700,noexec")
    within(found, "tmpfs")
    within(found, "size=1024k")
    within(found, "noexec")
    equal(found.split()[-1], "700")


@podman
def tmpfs_with_the_images_files(p: Podman) -> None:
    within(p.sh("ls /etc", "--mount", "type=tmpfs,destination=/etc,tmpcopyup"), "passwd")


@podman
def mount_bind_options(p: Podman) -> None:
    here = p.directory()
    found = p.sh("grep ' /v ' /proc/mounts", "--mount", f"type=bind,src={here},dst=/v,ro,bind-nonrecursive")
    equal(found.split()[3].split(",")[0], "ro")


@podman
def image_mount(p: Podman) -> None:
    equal(p.sh("test -x /i/bin/busybox && echo there", "--mount", f"type=image,source={IMAGE},destination=/i"), "there")


@podman
def read_only(p: Podman) -> None:
    found = p.sh("touch /file 2>/dev/null || echo refused; touch /tmp/file && echo fine", "--read-only")
    equal(found.split(), ["refused", "fine"])


@podman
def read_only_without_tmpfs(p: Podman) -> None:
    found = p.sh("touch /tmp/file 2>/dev/null || echo refused", "--read-only", "--read-only-tmpfs=false")
    equal(found, "refused")


@podman
def shm_size(p: Podman) -> None:
    within(p.sh("grep /dev/shm /proc/mounts", "--shm-size", "2m"), "size=2048k")


@podman
def device(p: Podman) -> None:
    equal(p.sh("head -c 3 /dev/mine | wc -c", "--device", "/dev/zero:/dev/mine:r"), "3")


@podman
def devices_are_denied(p: Podman) -> None:
    found = p.sh("mknod /disk b 254 0 && head -c 1 /disk 2>&1 || true", "--cap-add", "mknod")
    within(found, "not permitted")


@podman
def secret(p: Podman) -> None:
    name, file = p.name(), p.directory() / "secret"
    file.write_text("hidden")
    p.ok("secret", "create", name, str(file))
    equal(p.sh(f"cat /run/secrets/{name}", "--secret", name), "hidden")


@podman
def masked_paths(p: Podman) -> None:
    equal(p.sh("cat /proc/kcore | wc -c; ls /proc/acpi 2>/dev/null | wc -l").split(), ["0", "0"])
    within(p.sh("grep ' /proc/sys ' /proc/mounts"), "ro,")


@podman
def unmasked_paths(p: Podman) -> None:
    equal(p.sh("grep -c ' /proc/sys ' /proc/mounts || true", "--security-opt", "unmask=ALL"), "0")


# The process.


@podman
def env(p: Podman) -> None:
    equal(p.sh("echo $A $PATH", "-e", "A=b c"), "b c /bin")


@podman
def workdir(p: Podman) -> None:
    equal(p.sh("pwd", "-w", "/tmp"), "/tmp")


@podman
def user_by_number(p: Podman) -> None:
    equal(p.sh("id -u; id -g", "--user", "1234:5678").split(), ["1234", "5678"])


@podman
def user_by_name(p: Podman) -> None:
    equal(p.sh("id -u; id -g; echo $HOME", "--user", "user").split(), ["1000", "1000", "/tmp"])


@podman
def additional_groups(p: Podman) -> None:
    equal(p.sh("id -G", "--user", "1000", "--group-add", "4242").split()[-1], "4242")


@podman
def umask(p: Podman) -> None:
    equal(p.sh("umask", "--umask", "0077"), "0077")


@podman
def caps_default(p: Podman) -> None:
    found = int(p.sh("grep CapEff /proc/self/status").split()[1], 16)
    equal((bool(found & 1), bool(found & 1 << 21)), (True, False), "CAP_CHOWN, CAP_SYS_ADMIN")


@podman
def caps_drop_and_add(p: Podman) -> None:
    found = p.sh("grep CapEff /proc/self/status", "--cap-drop", "all", "--cap-add", "net_admin")
    equal(int(found.split()[1], 16), 1 << 12)


@podman
def caps_of_a_user(p: Podman) -> None:
    found = p.sh("grep -E 'Cap(Eff|Amb)' /proc/self/status", "--user", "1000", "--cap-add", "net_admin")
    equal([int(line.split()[1], 16) for line in found.splitlines()], [1 << 12, 1 << 12])


@podman
def no_new_privileges(p: Podman) -> None:
    within(p.sh("grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges"), "1")


@podman
def privileged(p: Podman) -> None:
    found = p.sh("grep CapEff /proc/self/status; grep -c ' /proc/sys ' /proc/mounts; ls /dev/full", "--privileged")
    equal((bool(int(found.split()[1], 16) & 1 << 21), found.split()[2:]), (True, ["0", "/dev/full"]))


@podman
def seccomp_default(p: Podman) -> None:
    within(p.sh("grep Seccomp: /proc/self/status"), "2")


@podman
def seccomp_profile(p: Podman) -> None:
    file = p.directory() / "profile.json"
    rule = '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}'
    file.write_text(f'{{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[{rule}]}}')
    found = p.sh("mkdir /tmp/x 2>&1 || true", "--security-opt", f"seccomp={file}")
    within(found.lower(), "not supported")


@podman
def seccomp_unconfined(p: Podman) -> None:
    within(p.sh("grep Seccomp: /proc/self/status", "--security-opt", "seccomp=unconfined"), "0")


@podman
def sysctl(p: Podman) -> None:
    name = "net.ipv4.ip_unprivileged_port_start"
    equal(p.sh(f"sysctl -n {name}", "--sysctl", f"{name}=77"), "77")


@podman
def hostname(p: Podman) -> None:
    found = p.sh("hostname; grep -c named /etc/hosts; echo $HOSTNAME", "--hostname", "named")
    equal(found.split(), ["named", "1", "named"])


@podman
def init(p: Podman) -> None:
    equal(p.sh("cat /proc/1/comm", "--init"), "podman-init")


@podman
def timezone(p: Podman) -> None:
    equal(p.sh("date +%Z", "--tz", "UTC"), "UTC")


@podman
def pidfile(p: Podman) -> None:
    file = p.directory() / "pid"
    name = p.up("--pidfile", str(file))
    equal(int(file.read_text()), p.pid(name))


@podman
def preserve_fds(p: Podman) -> None:
    read, write = os.pipe()
    os.dup2(read, 3)
    os.write(write, b"over three\n")
    found = p.run("--preserve-fds", "1", IMAGE, "sh", "-c", "head -n 1 <&3; ls /proc/self/fd", pass_fds=(3,))
    os.close(3)
    equal(found.splitlines()[0], "over three")


@podman
def no_descriptor_leaks(p: Podman) -> None:
    read, _ = os.pipe()
    os.dup2(read, 199)
    # 3 is the directory that ls lists.
    equal(p.run(IMAGE, "ls", "/proc/self/fd", pass_fds=(199,)).split(), ["0", "1", "2", "3"])
    os.close(199)


@podman
def exec_preserve_fds(p: Podman) -> None:
    name = p.up()
    read, write = os.pipe()
    os.dup2(read, 3)
    os.write(write, b"over three\n")
    found = p.ok("exec", "--preserve-fds", "1", name, "sh", "-c", "head -n 1 <&3", pass_fds=(3,))
    os.close(3)
    equal(found, "over three")


@podman
def sdnotify(p: Podman) -> None:
    path = p.directory() / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(20)
        name = p.name()
        words = ("--rm", "--network", "none", "--sdnotify", "conmon", "--name", name, IMAGE, "sleep", "1000")
        p.ok("run", "-d", *words, env={**os.environ, "NOTIFY_SOCKET": str(path)})
        seen = ""
        while "READY=1" not in seen:
            seen += server.recv(4096).decode() + "\n"
    within(seen, "MAINPID=")


@podman
def systemd_mode(p: Podman) -> None:
    found = p.sh("cat /proc/mounts; echo $container", "--systemd", "always", "--stop-signal", "KILL")
    within(found, " /sys/fs/cgroup/systemd " if os.path.exists("/sys/fs/cgroup/systemd") else " /sys/fs/cgroup ")
    equal(found.splitlines()[-1], "podman")


@podman
def hooks_of_a_directory(p: Podman) -> None:
    here = p.directory()
    hook = here / "hook.sh"
    hook.write_text(f"#!/bin/sh\ncat >{here}/$1\n")
    hook.chmod(0o755)
    for stage in ("prestart", "createRuntime", "poststart", "poststop"):
        command = {"path": str(hook), "args": ["hook", stage]}
        content = {"version": "1.0.0", "hook": command, "when": {"always": True}, "stages": [stage]}
        (here / f"{stage}.json").write_text(json.dumps(content))
    p.run(IMAGE, "true", options=("--hooks-dir", str(here)))
    for stage in ("prestart", "createRuntime", "poststart", "poststop"):
        wait_until((here / stage).exists, f"the {stage} hook")
        within((here / stage).read_text(), "bundle")


@podman
def healthcheck(p: Podman) -> None:
    name = p.up("--health-cmd", "test -e /tmp/well", "--health-retries", "1")
    p.code(1, "healthcheck", "run", name)
    p.ok("exec", name, "touch", "/tmp/well")
    p.ok("healthcheck", "run", name)
    equal(p.inspect(name, "{{.State.Health.Status}}"), "healthy")


# Namespaces.


@podman
def network_none(p: Podman) -> None:
    equal(p.sh("ls /sys/class/net"), "lo")


@podman
def network_host(p: Podman) -> None:
    mine = os.readlink("/proc/self/ns/net")
    equal(p.ok("run", "--rm", "--network", "host", IMAGE, "readlink", "/proc/self/ns/net"), mine)


@podman
def network_of_a_container(p: Podman) -> None:
    name = p.up()
    theirs = os.readlink(f"/proc/{p.pid(name)}/ns/net")
    equal(p.ok("run", "--rm", "--network", f"container:{name}", IMAGE, "readlink", "/proc/self/ns/net"), theirs)


@podman
def network_by_path(p: Podman) -> None:
    subprocess.run(["ip", "netns", "add", "made"], check=True)
    subprocess.run(["ip", "-n", "made", "link", "set", "lo", "up"], check=True)
    inode = os.stat("/run/netns/made").st_ino
    found = p.ok("run", "--rm", "--network", "ns:/run/netns/made", IMAGE, "readlink", "/proc/self/ns/net")
    equal(found, f"net:[{inode}]")


@podman
def network_bridge(p: Podman) -> None:
    found = p.ok("run", "--rm", IMAGE, "ip", "-o", "-4", "addr", "show", "eth0")
    within(found, "10.88.")


@podman
def network_port(p: Podman) -> None:
    name = p.name()
    p.ok("run", "-d", "--name", name, "-p", "8080:80", IMAGE, "sh", "-c", "while :; do echo served | nc -l -p 80; done")
    equal(p.ok("port", name), "80/tcp -> 0.0.0.0:8080")
    address = p.inspect(name, "{{.NetworkSettings.IPAddress}}")

    def served() -> bool:
        try:
            with socket.create_connection((address, 80), timeout=2) as client:
                return client.recv(100) == b"served\n"
        except OSError:
            return False

    wait_until(served, "an answer")


@podman
def ipc_of_a_container(p: Podman) -> None:
    name = p.up("--ipc", "shareable")
    theirs = os.readlink(f"/proc/{p.pid(name)}/ns/ipc")
    equal(p.sh("readlink /proc/self/ns/ipc", "--ipc", f"container:{name}"), theirs)


@podman
def pid_of_a_container(p: Podman) -> None:
    name = p.up()
    equal(p.sh("cat /proc/1/comm", "--pid", f"container:{name}"), "sleep")


@podman
def pid_host(p: Podman) -> None:
    equal(p.sh("readlink /proc/self/ns/pid", "--pid", "host"), os.readlink("/proc/self/ns/pid"))


@podman
def pid_host_leaves_nobody(p: Podman) -> None:
    name = p.up("--pid", "host", script="sleep 4321 & sleep 4321")
    p.ok("rm", "-f", "-t", "0", name)
    wait_until(lambda: subprocess.run(["pgrep", "-f", "^sleep 4321"], check=False).returncode == 1, "them to go")


@podman
def uts_host(p: Podman) -> None:
    equal(p.sh("readlink /proc/self/ns/uts", "--uts", "host"), os.readlink("/proc/self/ns/uts"))


@podman
def userns_uidmap(p: Podman) -> None:
    found = p.sh("id -u; cat /proc/self/uid_map; touch /tmp/x && stat -c %u /tmp/x", "--uidmap", "0:100000:65536")
    equal(found.split(), ["0", "0", "100000", "65536", "0"])


@podman
def userns_auto(p: Podman) -> None:
    found = p.sh("id -u; cat /proc/self/uid_map", "--userns", "auto:size=2000").split()
    equal((found[0], found[1], found[3]), ("0", "0", "2000"))


@podman
def userns_exec_and_stop(p: Podman) -> None:
    name = p.up("--uidmap", "0:100000:65536")
    equal(p.ok("exec", name, "id", "-u"), "0")
    equal(p.ok("exec", "--user", "1000", name, "id", "-u"), "1000")
    equal(os.stat(f"/proc/{p.pid(name)}").st_uid, 100000)
    p.ok("stop", name)


@podman
def userns_volume(p: Podman) -> None:
    here = p.directory()
    os.chown(here, 100000, 100000)
    p.sh("touch /v/file", "--uidmap", "0:100000:65536", "-v", f"{here}:/v")
    equal((here / "file").stat().st_uid, 100000)


@podman
def userns_of_a_container(p: Podman) -> None:
    name = p.up("--uidmap", "0:100000:65536")
    theirs = os.readlink(f"/proc/{p.pid(name)}/ns/user")
    equal(p.sh("readlink /proc/self/ns/user", "--userns", f"container:{name}"), theirs)


# More than one.


@podman
def pod(p: Podman) -> None:
    name = p.name()
    p.ok("pod", "create", "--name", name, "--network", "none", "--share", "net,ipc,uts")
    p.ok("run", "-d", "--pod", name, "--name", f"{name}-a", IMAGE, "sleep", "1000")
    script = "for n in net ipc uts; do readlink /proc/self/ns/$n; done"
    first = p.ok("exec", f"{name}-a", "sh", "-c", script)
    equal(p.ok("run", "--rm", "--pod", name, IMAGE, "sh", "-c", script), first)
    p.ok("pod", "rm", "-f", "-t", "0", name)


@podman
def pod_share_pid(p: Podman) -> None:
    name = p.name()
    p.ok("pod", "create", "--name", name, "--network", "none", "--share", "net,pid")
    p.ok("run", "-d", "--pod", name, "--name", f"{name}-a", IMAGE, "sleep", "1000")
    found = p.ok("run", "--rm", "--pod", name, IMAGE, "ps", "-o", "comm")
    within(found, "catatonit")
    within(found, "sleep")
    p.ok("pod", "rm", "-f", "-t", "0", name)


@podman
def pod_stop_start_pause(p: Podman) -> None:
    name = p.name()
    p.ok("pod", "create", "--name", name, "--network", "none")
    p.ok("run", "-d", "--pod", name, "--stop-signal", "KILL", "--name", f"{name}-a", IMAGE, "sleep", "1000")
    p.ok("pod", "pause", name)
    p.ok("pod", "unpause", name)
    p.ok("pod", "stop", name)
    p.ok("pod", "start", name)
    equal(p.inspect(f"{name}-a", "{{.State.Status}}"), "running")
    p.ok("pod", "rm", "-f", "-t", "0", name)


@podman
def kube_play(p: Podman) -> None:
    name, file = p.name(), p.directory() / "pod.yaml"
    file.write_text(f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  hostNetwork: true
  containers:
  - name: main
    image: {IMAGE}
    imagePullPolicy: Never
    command: [sh, -c, "echo played; exec sleep 1000"]
    resources: {{limits: {{memory: 64Mi}}}}
""")
    p.ok("play", "kube", str(file))
    p.wait_for_log(f"{name}-main", "played")
    p.ok("play", "kube", "--down", str(file), seconds=60)


@podman
def build(p: Podman) -> None:
    here = p.directory()
    (here / "file").write_text("copied")
    lines = [f"FROM {IMAGE}", "COPY file /file", "RUN cat /file >/made && echo run >>/made", "USER 1000"]
    lines += ["RUN test $(id -u) = 1000"]
    (here / "Containerfile").write_text("\n".join(lines))
    p.ok("build", "--network", "none", "-t", "localhost/built", str(here), seconds=60)
    equal(p.run("localhost/built", "sh", "-c", "cat /made; id -u").split(), ["copiedrun", "1000"])


@podman
def build_that_fails(p: Podman) -> None:
    here = p.directory()
    (here / "Containerfile").write_text(f"FROM {IMAGE}\nRUN exit 3\n")
    result = p("build", "--network", "none", str(here))
    if result.code == 0:
        raise Failure(str(result))
    within(result.err, "exit status 3")


@podman
def run_while_others_come_and_go(p: Podman) -> None:
    words = [*p.base, "run", "--rm", "--network", "none", IMAGE, "echo", "one of many"]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    equal([process.communicate(timeout=40)[0] for process in processes], ["one of many\n"] * 4)


@podman
def documented_lines(p: Podman) -> None:
    """With podman's own storage and configuration, as an operator calls it."""
    documented.install(p.base[-1])
    ulimits = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
    conf = Path("/etc/containers/containers.conf")
    conf.write_text(ulimits)
    environment = {key: value for key, value in os.environ.items() if key != "CONTAINERS_CONF"}
    call(["podman", "import", str(p.work / "image.tar"), IMAGE], env=environment)
    for words in documented.command("podman", IMAGE=IMAGE):
        result = call(words, env=environment)
        equal((result.code, result.out), (0, "hello\n"), result)
    conf.write_text(ulimits + documented.block("### Under podman", "toml"))
    call(["podman", "run", "--name", "documented", "--network", "none", IMAGE, "/bin/true"], env=environment)
    what = "{{.OCIRuntime}} {{.State.ExitCode}}"
    equal(call(["podman", "inspect", "--format", what, "documented"], env=environment).out, "corelaunch 0\n")
    call(["podman", "rm", "documented"], env=environment)


@podman
def remove_all(p: Podman) -> None:
    """Whatever the cases above left must go, and nothing of the runtime may stay."""
    p.ok("pod", "rm", "-a", "-f", "-t", "0", seconds=60)
    p.ok("rm", "-a", "-f", "-t", "0", seconds=60)
    equal(p.ok("ps", "-a", "-q"), "")
    left = [str(path) for path in Path("/sys/fs/cgroup").glob("*/libpod_parent/libpod-*")]
    equal(left, [], "cgroups")
    listed = subprocess.run([p.base[-1], "list", "-q"], capture_output=True, text=True, check=True)
    equal(listed.stdout, "", "the runtime's list")
    no_runtime_is_left()
