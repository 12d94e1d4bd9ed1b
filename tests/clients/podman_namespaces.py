"""The namespaces that podman's containers have, join and share; pods, builds, and the end of all."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import documented
from cases import Failure, call, case, equal, no_runtime_is_left, wait_until, within
from podman_client import IMAGE, Podman

podman = case("podman")


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
