"""The host's side: cgroups, namespaces, waiting for the command's end."""

from __future__ import annotations

import dataclasses
import json
import os
import pwd
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from child_cgroups import child_cgroups, first_process, hierarchies

from .job import MODES, Job

PREFIX = "corelaunch-systemd"
#: Seconds in which systemd has to start the command; it takes half of one on an idle machine.
_PATIENCE = 60
_FAILED = 125
_NAMESPACES = ("--mount", "--cgroup", "--uts", "--ipc")
#: Who is told of whom; they are those of the machine's own systemd, if any.
_NOT_OURS = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


class CannotRun(Exception):
    """Why there is no systemd on this host, in one line."""


def run(mode: str, command: list[str], user: str | None) -> int:
    """Run ``command`` beside a systemd; its exit code, or 125 when it did not get that far.

    Args:
        mode: which cgroup tree systemd sees, one of :data:`MODES`.
        user: name or number of the ordinary user whose ``systemd --user`` runs the command; None for root.

    Raises:
        CannotRun: something that is needed is missing.
    """
    job = _describe(mode, command, user)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    with child_cgroups(PREFIX) as groups:
        return _run(job, groups)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Leave by way of every ``finally``; a second signal does not disturb them."""
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _describe(mode: str, command: list[str], user: str | None) -> Job:
    if os.geteuid() != 0:
        raise CannotRun("needs root: it mounts, and makes cgroups")
    missing = [path for path in ("/lib/systemd/systemd", "/usr/bin/dbus-daemon") if not os.path.exists(path)]
    missing += [tool for tool in ("unshare", "setpriv") if shutil.which(tool) is None]
    if missing:
        raise CannotRun(f"{', '.join(missing)} missing: run script/setup test")
    legacy = any((hierarchy / "cgroup.clone_children").exists() for hierarchy in hierarchies())
    if mode != "unified" and not legacy:
        raise CannotRun(f"host lacks cgroup v1, which {mode} needs: this host has cgroup v2 only")
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    uid = gid = 0
    if user is not None:
        entry = _user(user)
        uid, gid = entry.pw_uid, entry.pw_gid
        environment |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    environment |= {"XDG_RUNTIME_DIR": f"/run/user/{uid}"}
    if uid:
        environment |= {"DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{uid}/bus"}
    umask = os.umask(0o022)  # what systemd and D-Bus need is made by us, and they are other users, too
    return Job(mode, command, os.getcwd(), environment, uid, gid, umask, _limits())


def _limits() -> dict[str, tuple[int, int]]:
    names = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"]
    return {name.removeprefix("RLIMIT_"): resource.getrlimit(getattr(resource, name)) for name in names}


def _user(user: str) -> pwd.struct_passwd:
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        raise CannotRun(f"--user {user}: no such user on this host") from None
    if entry.pw_uid == 0:
        raise CannotRun(f"--user {user}: root's command runs under the system's manager, leave --user out")
    return entry


def _run(job: Job, groups: list[Path]) -> int:
    report, inner = socket.socketpair()
    console = os.memfd_create("console", os.MFD_CLOEXEC)
    command = [
        *first_process(groups, _NAMESPACES),
        *(sys.executable, "-I", str(Path(__file__).with_name("inside.py")), str(inner.fileno()), str(console)),
    ]
    process = subprocess.Popen(command, pass_fds=(inner.fileno(), console))
    try:
        inner.close()
        with report, report.makefile("r") as answers:
            report.sendall(json.dumps(dataclasses.asdict(job)).encode() + b"\n")
            if not select.select([report], [], [], _PATIENCE)[0]:
                why = f"systemd did not start the command in {_PATIENCE} s"
            else:
                # The first line comes before the command begins; the end of all lines, when nobody is left.
                started, ended = answers.readline(), answers.readline()
                if ended:
                    return int(ended)
                why = "the command was killed with its launcher" if started else "systemd did not start the command"
    finally:
        process.kill()
        process.wait()
    said = os.pread(console, 1 << 20, 0).decode(errors="replace")
    print(f"with-systemd: {why}; its console:\n{said}", file=sys.stderr)
    return _FAILED


__all__ = ["MODES", "PREFIX", "CannotRun", "run"]
