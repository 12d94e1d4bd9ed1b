"""A runtime for code that nobody trusts: no network, no privileges, nothing to write but /tmp, little of the rest."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from corelaunch.default_config import default_config
from corelaunch.errors import CorelaunchError
from corelaunch.runtime import Runtime
from corelaunch.seccomp_profile import default_profile

#: Who is root inside is this user of the host, who must be nobody there; and so are the other ids.
IDS = [{"containerID": 0, "hostID": 2_000_000_000, "size": 65536}]


def sandbox(argv, rootfs, memory, pids=32, disk="16m"):
    """The config of a program: all that it may have."""
    config = default_config(argv, os.path.abspath(rootfs))  # read-only root, no_new_privs, pid, network, ipc, uts
    config["process"] |= {"capabilities": {}, "cwd": "/tmp"}
    config["process"]["rlimits"].append({"type": "RLIMIT_CORE", "soft": 0, "hard": 0})
    config["mounts"] = [one for one in config["mounts"] if one["destination"] in ("/proc", "/dev")]
    config["mounts"][1]["options"].append("ro")
    for path in ("/tmp", "/dev/shm"):
        options = ["nosuid", "nodev", "mode=1777", f"size={disk}", "nr_inodes=1000"]
        config["mounts"].append({"destination": path, "type": "tmpfs", "source": "tmpfs", "options": options})
    linux = config["linux"] | {"uidMappings": IDS, "gidMappings": IDS, "seccomp": default_profile()}
    linux["namespaces"] = [{"type": kind} for kind in ("user", "pid", "network", "ipc", "uts", "mount", "cgroup")]
    memory, pids = max(memory, 1), max(pids, 1)  # 0 would be no limit
    linux["resources"] |= {"memory": {"limit": memory, "swap": memory}, "pids": {"limit": pids}}
    linux["resources"]["cpu"] = {"quota": 100_000, "period": 100_000}
    return config | {"linux": linux}


def run(argv, rootfs, stdin=b"", files=None, timeout=10.0, memory=128 << 20, limit=1 << 20):
    """Run a program; ``files`` (name -> bytes) are in its /tmp. Returns a corelaunch.completing.Outcome."""
    config = sandbox(argv, rootfs, memory)
    with tempfile.TemporaryDirectory(prefix="corelaunch-sandbox-") as staged:
        for number, (name, data) in enumerate((files or {}).items()):
            if "/" in name or name in ("", ".", ".."):
                raise ValueError(f"not the name of a file: {name!r}")
            Path(staged, str(number)).write_bytes(data)
            Path(staged, str(number)).chmod(0o555)
            mount = {"destination": f"/tmp/{name}", "source": f"{staged}/{number}", "options": ["bind", "ro", "nosuid"]}
            config["mounts"].append(mount)
        runtime = Runtime("/run/corelaunch-sandbox")
        return runtime.complete(f"sandbox-{os.urandom(16).hex()}", config, data=stdin, timeout=timeout, limit=limit)


def main():
    parser = argparse.ArgumentParser(prog="corelaunch-sandbox", description=__doc__)
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds")
    parser.add_argument("--memory", type=int, default=128, help="MiB")
    parser.add_argument("rootfs")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    stdin = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    try:
        end = run(given.command, given.rootfs, stdin, timeout=given.timeout, memory=given.memory << 20)
    except (CorelaunchError, ValueError, KeyboardInterrupt) as error:
        sys.exit(f"corelaunch-sandbox: {error or 'interrupted'}")
    sys.stdout.buffer.write(end.stdout)
    sys.stderr.buffer.write(end.stderr)
    for what in ("timed_out", "oom_killed", "truncated"):
        if getattr(end, what):
            print(f"corelaunch-sandbox: {what}", file=sys.stderr)
    return end.status
