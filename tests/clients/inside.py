"""The first process of a client's sandbox: mounts what the client sees, runs the cases, reaps what dies meanwhile.

Prints a JSON array for each case: its name, why it failed or "", and the seconds that it took.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import chosen

#: On tmpfs, as all that is written: it is gone with the mount namespace.
WORK = Path("/run/client")


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def mount_view() -> None:
    """Own /proc, an own view of the cgroups, and an empty /run."""
    mount("-t", "proc", "proc", "/proc")
    groups: list[tuple[str, str, str, str]] = []
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            front, _, back = line.strip().partition(" - ")
            kind, source, options = back.split()
            if kind.startswith("cgroup") and kind + options not in [one[1] + one[3] for one in groups]:
                groups.append((front.split()[4], kind, source, options))
    # Without what others left beside the hierarchies. Mounted anew they begin at the cgroup namespace's root.
    if [path for path, *_ in groups] != ["/sys/fs/cgroup"]:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/fs/cgroup")
    for path, kind, source, options in groups:
        os.makedirs(path, exist_ok=True)
        mount("-t", kind, *(["-o", options.removeprefix("rw,")] if kind == "cgroup" else []), source, path)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")


def mount_all(beside_systemd: bool) -> None:
    """All that a client sees, and empty directories where it writes.

    Args:
        beside_systemd: script/with-systemd has made the view already, and a private /etc.
    """
    directories = ["/usr/local/bin", "/opt", "/tmp", "/var/lib", "/var/tmp"]
    if not beside_systemd:
        mount_view()
        directories.append("/etc")
    # Overlays, as the checkout and the runtime may be below one of these.
    # Not file by file: a mount on a file is gone as soon as somebody on the host replaces that file (useradd does).
    for directory in directories:
        upper, work = (Path(f"/run/changed{directory}", name) for name in ("upper", "work"))
        upper.mkdir(parents=True)
        upper.chmod(os.stat(directory).st_mode)
        work.mkdir()
        options = f"lowerdir={directory},upperdir={upper},workdir={work}"
        mount("-t", "overlay", "-o", options, "overlay", directory)
    # An overlay's upper directory, which images need, cannot lie in an overlay.
    for directory in ("/var/lib/containers", "/var/lib/containerd"):
        os.makedirs(directory, exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", directory)
    WORK.mkdir()
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(WORK))
    mount("--make-shared", str(WORK))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def run_cases() -> int:
    """Run what the environment asks for, each case by itself."""
    module = importlib.import_module(f"{os.environ['CLIENT'].replace('-', '_')}_cases")
    os.chdir(WORK)  # conmon leaves a file "oom" where it was started
    client = module.make_client(os.environ["RUNTIME"], WORK)
    try:
        for name, function in chosen(os.environ["CLIENT"], os.environ.get("ONLY", "")):
            began = time.monotonic()
            try:
                function(client)
                why = ""
            except Exception as error:  # noqa: BLE001 - a case that breaks has failed, and the next one runs
                why = f"{type(error).__name__}: {error}"
            print(json.dumps([name, why, round(time.monotonic() - began, 2)]), flush=True)
    finally:
        client.close()
    return 0


def main() -> int:
    os.environ.update(LANG="C.UTF-8")
    mount_all("BESIDE_SYSTEMD" in os.environ)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = run_cases()
        finally:
            sys.stdout.flush()
            if status:
                sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
            os._exit(status)
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
