"""The seccomp profile for untrusted programs: ordinary ones run under it, and it refuses what it is meant to refuse."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from corelaunch.default_config import default_config
from corelaunch.kernel import seccomp
from corelaunch.runtime import Runtime
from corelaunch.seccomp_profile import default_profile

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(not seccomp.available(), reason="this installation has no libseccomp"),
]


def profiled(args: list[str], rootfs: Path, *capabilities: str) -> dict[str, Any]:
    config = default_config(args, str(rootfs))
    config["linux"]["seccomp"] = default_profile()
    config["process"]["capabilities"] = {
        one: list(capabilities) for one in ("bounding", "effective", "permitted", "inheritable", "ambient")
    }
    return config


def test_each_call_makes_an_object_of_its_own() -> None:
    default_profile()["syscalls"].clear()
    assert default_profile()["syscalls"]


def test_libseccomp_knows_nearly_all_names() -> None:
    """A misspelt name would be left out silently; newer ones than this library knows are few."""
    from corelaunch._seccomp import lib

    names = {name for rule in default_profile()["syscalls"] for name in rule["names"]}
    unknown = {name for name in names if lib.cl_syscall_number(lib.cl_native_arch(), name.encode()) < 0}
    if lib.cl_native_arch() == 0xC000003E:  # x86-64
        newer = {"cachestat", "fchmodat2", "futex_requeue", "futex_wait", "futex_wake", "map_shadow_stack", "mseal"}
        newer |= {"getxattrat", "listxattrat", "removexattrat", "setxattrat", "sync_file_range2"}
        assert unknown <= newer


def test_ordinary_programs_run_under_it(runtime: Runtime, rootfs: Path) -> None:
    script = """
    set -e; cd /dev/shm; seq 1000 | sort -n | tail -1; mkdir a; cp /etc/passwd a; tar cf a.tar a; gzip a.tar
    mkfifo f; (echo through > f) & cat f; wait; chmod 600 a/passwd; ln -s a b; readlink b; touch -d 2020-01-01 a
    timeout 5 true; kill -0 $$; nc -l -p 1234 -e cat &
    until echo net | nc 127.0.0.1 1234 2>/dev/null; do sleep 0.1; done
    """
    outcome = runtime.complete("one", profiled(["sh", "-c", script], rootfs), timeout=30)
    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, b"1000\nthrough\na\nnet\n", b"")


@pytest.mark.parametrize(
    ("args", "capability"),
    [
        (["mount", "-t", "tmpfs", "x", "/tmp"], "CAP_SYS_ADMIN"),
        (["umount", "/dev/shm"], "CAP_SYS_ADMIN"),
        (["unshare", "-m", "true"], "CAP_SYS_ADMIN"),
        (["unshare", "-U", "true"], ""),
        (["hostname", "other"], "CAP_SYS_ADMIN"),
        (["chroot", "/", "true"], "CAP_SYS_CHROOT"),
        (["swapoff", "/dev/null"], "CAP_SYS_ADMIN"),
        (["date", "-s", "2020-01-01"], "CAP_SYS_TIME"),
        (["dmesg"], "CAP_SYSLOG"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_it_refuses_is_refused_with_the_capability_too(
    runtime: Runtime, rootfs: Path, args: list[str], capability: str
) -> None:
    config = profiled(args, rootfs, *filter(None, [capability]))
    refused = runtime.complete("one", config, timeout=30)
    assert b"not permitted" in refused.stderr or b"denied" in refused.stderr, refused
    if args[0] in ("swapoff", "date"):
        return  # without the profile they would change the host
    del config["linux"]["seccomp"]
    config["linux"]["namespaces"] += [{"type": kind} for kind in ("cgroup",) if not _has(config, kind)]
    allowed = runtime.complete("two", config, timeout=30)
    assert allowed.status == 0, allowed


def _has(config: dict[str, Any], kind: str) -> bool:
    return any(one["type"] == kind for one in config["linux"]["namespaces"])


@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="host lacks Debian's python3")
def test_a_large_program_of_the_hosts_runs_under_it() -> None:
    """Threads, processes, sockets, memory, time: through glibc, which goes back from clone3 to clone."""
    import json
    import tempfile

    program = (
        "import threading, subprocess, socket, asyncio, sqlite3, json, tempfile, mmap, select, signal, time\n"
        "threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(4)]\n"
        "[one.start() for one in threads]; [one.join() for one in threads]\n"
        "assert subprocess.run(['/bin/true']).returncode == 0\n"
        "socket.socketpair(); socket.create_server(('127.0.0.1', 0)).close(); asyncio.run(asyncio.sleep(0.01))\n"
        "sqlite3.connect(':memory:').execute('select 1'); mmap.mmap(-1, 4096); tempfile.TemporaryFile()\n"
        "print(json.dumps('ran'))\n"
    )
    config = profiled(["/usr/bin/python3", "-c", program], Path("/"))
    with tempfile.TemporaryDirectory() as empty:
        for name in ("usr", "etc", "proc", "dev", "sys", "tmp"):
            os.mkdir(f"{empty}/{name}")
        for name in ("bin", "lib", "lib64", "sbin"):
            os.symlink(f"usr/{name}", f"{empty}/{name}")
        config["root"]["path"] = empty
        config["mounts"] += [
            {"destination": f"/{name}", "type": "bind", "source": f"/{name}", "options": ["rbind", "ro"]}
            for name in ("usr", "etc")
        ]
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
        outcome = Runtime(f"{empty}/tmp/state").complete(f"profile-{os.getpid()}", config, timeout=60)
    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, json.dumps("ran").encode() + b"\n", b"")


def test_programs_of_another_kind_are_killed(runtime: Runtime, rootfs: Path, tmp_path: Path) -> None:
    """int $0x80 is the door of i386; its numbers are others, so a filter for x86-64 would be passed by."""
    if os.uname().machine != "x86_64":
        pytest.skip("host lacks the door of another kind of machine")
    source = tmp_path / "old.c"
    source.write_text('int main(void) { long r = 20; __asm__ volatile("int $0x80" : "+a"(r)); return r <= 0; }\n')
    subprocess.run(["musl-gcc", "-static", "-o", rootfs / "bin/old-door", source], check=True)
    assert runtime.complete("one", profiled(["/bin/old-door"], rootfs)).status == 128 + 31  # SIGSYS
