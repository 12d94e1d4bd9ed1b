"""How podman ends, pauses and looks at what it runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from cases import Failure, case, equal, wait_until, within
from podman_client import IMAGE, Podman

podman = case("podman")


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
