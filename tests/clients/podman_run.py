"""What podman is asked to run: in the foreground, in the background, and beside what runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from cases import Failure, case, equal, wait_until, within
from podman_client import IMAGE, Podman

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
