"""What the process of a podman container is given."""

from __future__ import annotations

import json
import os
import socket

from cases import case, equal, wait_until, within
from podman_client import IMAGE, Podman

podman = case("podman")


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
