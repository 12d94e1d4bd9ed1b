"""The units: D-Bus and the command, under the system's manager or a user's; nothing of the distribution's boot."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from .job import Job

TARGET = "with-systemd.target"
_SERVICE = "with-systemd.service"
_DIRECTORY = "with-systemd"

_TARGET = """\
[Unit]
DefaultDependencies=no
Requires={wanted}
"""

# systemd takes its name on a bus some moments after the bus has started, and the command is to find it there.
# An OOM kill in a container, or many of its processes, are not the command's end. When the service fails, all ends.
_COMMAND = """\
[Unit]
DefaultDependencies=no
After=dbus.service
FailureAction={failure}
[Service]
StandardOutput=null
ExecStartPre=/bin/sh -c 'until busctl {bus} status org.freedesktop.systemd1 >/dev/null 2>&1; do sleep 0.02; done'
ExecStart={python} -I {launcher} {socket}
Delegate=yes
TasksMax=infinity
OOMPolicy=continue
{limits}
"""

_MANAGER = """\
[Unit]
DefaultDependencies=no
After=dbus.service
FailureAction=poweroff-immediate
SuccessAction=poweroff-immediate
[Service]
Type=notify
User={uid}
Group={gid}
Slice=user-{uid}.slice
ExecStart=/lib/systemd/systemd --user --unit={target} --log-target=console --log-level=warning
Environment=XDG_RUNTIME_DIR={runtime} DBUS_SESSION_BUS_ADDRESS=unix:path={runtime}/bus HOME={home} PATH={path}
StandardOutput=tty
StandardError=tty
Delegate=yes
TasksMax=infinity
OOMPolicy=continue
KillMode=mixed
{limits}
"""

#: What a unit that somebody starts with the default dependencies (systemd-run) would pull in: it sets the host up,
#: whose / is ours. systemd-tmpfiles --remove --boot empties /tmp.
_MASKED = ("sysinit.target", "systemd-tmpfiles-setup.service", "systemd-tmpfiles-clean.timer")

_DBUS_SOCKET = """\
[Unit]
DefaultDependencies=no
[Socket]
ListenStream={address}
"""

_DBUS_SERVICE = """\
[Unit]
DefaultDependencies=no
Requires=dbus.socket
[Service]
Type=notify
StandardOutput=null
ExecStart=/usr/bin/dbus-daemon --{kind} --address=systemd: --nofork --nopidfile --systemd-activation
ExecReload=/usr/bin/dbus-send --{kind} --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.ReloadConfig
OOMScoreAdjust=0
"""


def write(job: Job, run: Path) -> None:
    """Write all of it below ``run``, and what it refers to.

    Args:
        run: the new, empty /run.
    """
    _mask_generators(run)
    own = run / _DIRECTORY
    launcher = own / "launcher.py"
    # The checkout need not be reachable for the user.
    shutil.copy(Path(__file__).with_name("launcher.py"), launcher)
    launcher.chmod(0o644)
    limits = _limits(job)
    command = _COMMAND.format(
        python=_python(job),
        launcher=launcher,
        socket=own / "socket",
        limits=limits,
        bus="--user" if job.uid else "--system",
        failure="exit-force" if job.uid else "poweroff-immediate",
    )
    runtime = run / "user" / str(job.uid)
    runtime.mkdir(parents=True)
    runtime.chmod(0o700)
    if job.uid == 0:
        _write_manager(run / "systemd/system", "system", run / "dbus/system_bus_socket", {_SERVICE: command})
        return
    manager = _MANAGER.format(
        uid=job.uid,
        gid=job.gid,
        target=TARGET,
        runtime=runtime,
        home=job.environment["HOME"],
        path=job.environment.get("PATH", os.defpath),
        limits=limits,
    )
    service = {f"user@{job.uid}.service": manager}
    _write_manager(run / "systemd/system", "system", run / "dbus/system_bus_socket", service)
    _write_manager(runtime / "systemd/user", "session", runtime / "bus", {_SERVICE: command})
    for path in (runtime, *runtime.rglob("*")):
        os.chown(path, job.uid, job.gid, follow_symlinks=False)  # masked units are links to the host's /dev/null


def _write_manager(directory: Path, kind: str, bus: Path, service: dict[str, str]) -> None:
    """A target with D-Bus and one service, for one manager."""
    units = {
        TARGET: _TARGET.format(wanted=" ".join(["dbus.service", *service])),
        "dbus.socket": _DBUS_SOCKET.format(address=bus),
        "dbus.service": _DBUS_SERVICE.format(kind=kind),
        **service,
    }
    directory.mkdir(parents=True)
    for name, text in units.items():
        (directory / name).write_text(text)
    for name in _MASKED:
        (directory / name).symlink_to(os.devnull)


def _mask_generators(run: Path) -> None:
    """They make units of the host's fstab and the like, and take most of the time."""
    for kind in ("system", "user"):
        masked = run / f"systemd/{kind}-generators"
        masked.mkdir(parents=True)
        for place in ("/etc", "/usr/local/lib", "/usr/lib", "/lib"):
            for generator in Path(place, f"systemd/{kind}-generators").glob("*"):
                if not (masked / generator.name).is_symlink():
                    (masked / generator.name).symlink_to("/dev/null")


def _limits(job: Job) -> str:
    """The caller's limits and umask; of those that systemd may not raise it takes what comes nearest."""
    words = [f"UMask={job.umask:04o}"]
    for name, pair in job.limits.items():
        soft, hard = ("infinity" if value == -1 else value for value in pair)
        words.append(f"Limit{name}={soft}:{hard}")
    return "\n".join(words)


def _python(job: Job) -> str:
    """An interpreter that the command's user can reach; root's own may lie in root's home."""
    return "/usr/bin/python3" if job.uid and os.path.exists("/usr/bin/python3") else sys.executable
