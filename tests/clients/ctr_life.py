"""What ctr is asked to run, beside what runs, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from cases import Failure, case, equal, wait_until, within
from ctr_client import IMAGE, Ctr

ctr = case("ctr")


# One container, in the foreground and in the background.


@ctr
def run(c: Ctr) -> None:
    equal(c.run(args=("echo", "hello")), "hello")


@ctr
def run_detached(c: Ctr) -> None:
    name = c.up()
    equal(c.status(name), "RUNNING")
    equal(Path(f"/proc/{c.pid(name)}/comm").read_text(), "sleep\n")


@ctr
def run_exit_code(c: Ctr) -> None:
    c.code(7, *c.run_words("--rm", IMAGE, c.name(), "sh", "-c", "exit 7"))


@ctr
def run_not_found(c: Ctr) -> None:
    result = c.code(1, *c.run_words("--rm", IMAGE, c.name(), "no-such-program"))
    within(result.err, "executable file not found in $PATH", result)


@ctr
def run_no_such_file(c: Ctr) -> None:
    within(c.code(1, *c.run_words("--rm", IMAGE, c.name(), "/no/such")).err, "no such file or directory")


@ctr
def run_not_executable(c: Ctr) -> None:
    within(c.code(1, *c.run_words("--rm", IMAGE, c.name(), "/etc/passwd")).err, "permission denied")


@ctr
def a_failed_run_leaves_nothing(c: Ctr) -> None:
    name = c.name()
    c.code(1, *c.run_words("--rm", IMAGE, name, "no-such-program"))
    equal((c.status(name), name in c.ok("containers", "ls", "-q").split()), ("", False))
    equal([str(path) for path in Path("/run/containerd/runc/default").glob(name)], [])


@ctr
def run_stdout_and_stderr_apart(c: Ctr) -> None:
    result = c.code(0, *c.run_words("--rm", IMAGE, c.name(), "sh", "-c", "echo out; echo err >&2"))
    equal((result.out, result.err), ("out\n", "err\n"))


@ctr
def run_stdin(c: Ctr) -> None:
    # ctr does not pass on the end of stdin.
    equal(c.run(args=("head", "-n", "1"), feed="from stdin\n"), "from stdin")


@ctr
def run_terminal(c: Ctr) -> None:
    result = c.typed("tty; exit 3\n", *c.run_words("--rm", "-t", IMAGE, c.name(), "sh"))
    within(result.out, "/dev/pts/0", result)
    equal(result.code, 3, result)


@ctr
def run_null_io(c: Ctr) -> None:
    equal(c.run("--null-io", args=("echo", "nobody reads it")), "")


@ctr
def run_forwards_signals(c: Ctr) -> None:
    script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    words = [*c.base, *c.run_words("--rm", IMAGE, c.name(), "sh", "-c", script)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        equal(process.stdout.readline(), "ready\n")
        time.sleep(1)  # ctr catches signals some time after the start, and does not say when
        process.send_signal(signal.SIGTERM)
        equal((process.stdout.read(), process.wait(20)), ("told\n", 5))


@ctr
def create_then_start(c: Ctr) -> None:
    name = c.name()
    # ctr containers create has no --runc-binary: a shim looks for runc in PATH, so this is about ctr's own start.
    c.ok(*c.run_words("-d", IMAGE, name, "sh", "-c", "exit 0"))
    wait_until(lambda: c.status(name) == "STOPPED", "its end")
    c.ok("tasks", "delete", name)
    equal(c.status(name), "")
    c.ok("tasks", "start", "-d", name)
    wait_until(lambda: c.status(name) == "STOPPED", "its second end")
    c.ok("tasks", "delete", name)
    c.ok("containers", "delete", name)


@ctr
def pid_file(c: Ctr) -> None:
    file = c.work / "task.pid"
    name = c.up("--pid-file", str(file))
    equal(int(file.read_text()), c.pid(name))


@ctr
def custom_rootfs(c: Ctr) -> None:
    equal(c.ok(*c.run_words("--rm", "--rootfs", str(c.work / "rootfs"), c.name(), "/bin/echo", "hello")), "hello")


@ctr
def custom_config(c: Ctr) -> None:
    name, here = c.name(), c.work / "own-config.json"
    source = c.up()
    spec = json.loads(c.ok("containers", "info", source))["Spec"]
    spec["process"]["args"] = ["sh", "-c", "echo $OWN"]
    spec["process"]["env"].append("OWN=config")
    spec["linux"]["cgroupsPath"] = f"/default/{name}"
    spec["root"]["path"] = str(c.work / "rootfs")
    here.write_text(json.dumps(spec))
    equal(c.ok(*c.run_words("--rm", "--config", str(here), name)), "config")


@ctr
def runc_root(c: Ctr) -> None:
    root = c.work / "own-root"
    name = c.up("--runc-root", str(root))
    equal((root / "default" / name).is_dir(), True)
    c.ok("tasks", "kill", "-s", "KILL", name)


# exec


@ctr
def exec_(c: Ctr) -> None:
    result = c.exec(c.up(), "sh", "-c", "echo out; echo err >&2; exit 9")
    equal((result.code, result.out), (9, "out\n"), result)
    within(result.err, "err")


@ctr
def exec_stdin(c: Ctr) -> None:
    equal(c.exec(c.up(), "head", "-n", "1", feed="fed\n").out, "fed\n")


@ctr
def exec_terminal(c: Ctr) -> None:
    result = c.typed("tty; exit 3\n", "tasks", "exec", "--exec-id", c.name(), "-t", c.up(), "sh")
    within(result.out, "/dev/pts/0", result)
    equal(result.code, 3, result)


@ctr
def exec_detached(c: Ctr) -> None:
    name = c.up()
    equal(c.exec(name, "sh", "-c", "echo done >/tmp/file", options=("-d",)).code, 0)
    equal(c.wait_for_file(name, "/tmp/file"), "done")


@ctr
def exec_cwd_and_user(c: Ctr) -> None:
    result = c.exec(c.up(), "sh", "-c", "pwd; id -u", options=("--cwd", "/tmp", "--user", "1000"))
    equal((result.code, result.out.split()), (0, ["/tmp", "1000"]), result)


@ctr
def exec_not_found(c: Ctr) -> None:
    result = c.exec(c.up(), "no-such-program")
    equal(result.code, 1, result)
    within(result.err, "executable file not found in $PATH", result)


@ctr
def exec_kill(c: Ctr) -> None:
    name, exec_id = c.up(), c.name()
    c.ok("tasks", "exec", "-d", "--exec-id", exec_id, name, "sleep", "1001")
    c.ok("tasks", "kill", "-s", "KILL", "--exec-id", exec_id, name)
    wait_until(lambda: "1001" not in " ".join(c.exec(name, "ps", "-o", "args").out.split()), "its end")
    equal(c.status(name), "RUNNING")


@ctr
def exec_many(c: Ctr) -> None:
    name = c.up()
    words = [[*c.base, "tasks", "exec", "--exec-id", c.name(), name, "echo", "one of many"] for _ in range(5)]
    processes = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True) for one in words]
    equal([process.communicate(timeout=40)[0] for process in processes], ["one of many\n"] * 5)


@ctr
def exec_after_the_end_is_refused(c: Ctr) -> None:
    name = c.up(script="exit 0")
    wait_until(lambda: c.status(name) == "STOPPED", "its end")
    result = c.exec(name, "true")
    if result.code == 0:
        raise Failure("exec in a stopped container")


# Its end.


@ctr
def kill(c: Ctr) -> None:
    name = c.up(script="trap 'exit 8' TERM; echo >/tmp/ready; while :; do sleep 0.05; done")
    c.wait_for_file(name, "/tmp/ready")
    c.ok("tasks", "kill", name)
    wait_until(lambda: c.status(name) == "STOPPED", "its end")
    c.deleted(name, 8)


@ctr
def kill_signal_by_number(c: Ctr) -> None:
    name = c.up()
    c.ok("tasks", "kill", "-s", "9", name)
    wait_until(lambda: c.status(name) == "STOPPED", "its end")
    c.deleted(name, 137)


@ctr
def kill_all(c: Ctr) -> None:
    name = c.up(script="sleep 1002 & sleep 1002 & echo >/tmp/ready; wait")
    c.wait_for_file(name, "/tmp/ready")
    c.ok("tasks", "kill", "-a", "-s", "KILL", name)
    wait_until(lambda: c.status(name) == "STOPPED", "its end")
    equal(subprocess.run(["pgrep", "-f", "^sleep 1002"], check=False).returncode, 1)


@ctr
def kill_of_a_stopped_one_is_refused(c: Ctr) -> None:
    name = c.up(script="exit 0")
    wait_until(lambda: c.status(name) == "STOPPED", "its end")
    within(c.code(1, "tasks", "kill", name).err, "not found")


@ctr
def delete_force(c: Ctr) -> None:
    name = c.up()
    pid = c.pid(name)
    c.deleted(name, 137, "-f")
    equal(os.path.exists(f"/proc/{pid}"), False)
    c.ok("containers", "delete", name)


@ctr
def delete_of_a_running_one_is_refused(c: Ctr) -> None:
    name = c.up()
    c.code(1, "tasks", "delete", name)
    equal(c.status(name), "RUNNING")


@ctr
def killed_from_outside(c: Ctr) -> None:
    name = c.up()
    os.kill(c.pid(name), signal.SIGKILL)
    wait_until(lambda: c.status(name) == "STOPPED", "its end")
    c.deleted(name, 137)


@ctr
def shared_pid_namespace_leaves_nobody(c: Ctr) -> None:
    name = c.up("--with-ns", "pid:/proc/1/ns/pid", script="sleep 1003 & echo >/tmp/ready; exec sleep 1003")
    c.wait_for_file(name, "/tmp/ready")
    c.ok("tasks", "kill", "-s", "KILL", name)
    wait_until(lambda: c.status(name) == "STOPPED", "its end")
    c.deleted(name, 137)
    wait_until(lambda: subprocess.run(["pgrep", "-f", "^sleep 1003"], check=False).returncode == 1, "the others' end")


@ctr
def the_daemon_comes_back(c: Ctr) -> None:
    name = c.up()
    c.restart()
    equal(c.status(name), "RUNNING")
    equal(c.exec(name, "echo", "still here").out, "still here\n")
