"""The place of the trials: a private mount namespace with an own /run, a bundle, and commands under injection.

A rig lives in a process of its own (``worker.py``): it is a child subreaper, so that whatever the runtime orphans
stays in its family, and it owns every mount and file that the oracle compares.
"""

from __future__ import annotations

import json
import os
import py_compile
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from binascii import crc32
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import residue
from points import PARENT, Point
from rootless_host import installation

CHECKOUT = Path(__file__).resolve().parent.parent.parent
#: Uid and gid of the ordinary user of some trials, and the first of his subordinate ids; nobody else's on this host.
USER = 59_873
FIRST_SUBORDINATE = 1_900_000_000
_USER_NAME = "cl-f-user"
_APPLETS = ("sh", "true", "sleep", "cat")


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code (negative: signal), stdout and stderr; ``hung`` when it was killed for time."""

    code: int
    text: str
    hung: bool = False
    seconds: float = 0.0


_PLUGIN = """
from corelaunch.api import *
from corelaunch.api import hookimpl
corelaunch_api = 1
@hookimpl
def corelaunch_adjust_config():
    return [SetEnv("EDITED", "yes"), AddMount("/tmp/edited", "/etc", options=["ro"]), SetResource("pids.limit", 77)]
@hookimpl
def corelaunch_adjust_plan():
    return [MakeDirectory("/run/edited")]
@hookimpl
def corelaunch_moment(moment):
    pass
"""


class Rig:
    """Everything one worker needs.

    Args:
        runtime: the command under test and its global options without ``--root``.
        tracer: path of the compiled tracer.c.
        name: a mark of this worker; container ids, cgroups and links begin with it.
    """

    def __init__(self, runtime: Sequence[str], tracer: str, name: str) -> None:
        self.runtime = list(runtime)
        self.tracer = tracer
        self.name = name
        self.serial = 0
        self._codes: dict[int, int] = {}
        residue.become_subreaper()
        systemd = self._keep_systemd()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "cl-f-run", "/run"], check=True)
        for name in systemd:
            os.symlink(f"/mnt/{name}", f"/run/{name}")
        self.directory = Path("/run/rig")
        self.root = Path("/run/state")
        self.output = self.directory / "output"
        self.report = self.directory / "report"
        self.recording = self.directory / "recording"
        self.bundle = self.directory / "bundle"
        self.console = self.directory / "console"
        self.manager = self.directory / "manager"
        #: Of the trial at hand: descriptors from 3 upward, and whether there is a service manager above.
        self.descriptors = 0
        self.notify = False
        #: Whether its commands are an ordinary user's, who has a state root and an installation of his own.
        self.as_user = False
        #: Whether its commands are of an environment that has the lifecycle plugin "edits".
        self.has_plugin = False
        #: Whether its containers are units of systemd.
        self.as_units = False
        self.user_root = Path("/run/user-state")
        self._make_bundle()
        self._make_user()
        self._make_plugin()
        self._listen()
        # All of it is there before the first baseline, so that only the runtime's files can be new.
        self.root.mkdir(mode=0o700)
        os.makedirs("/run/mount", exist_ok=True)  # by mount(8) and umount(8), whoever calls them
        for path in (self.output, self.report, self.recording):
            path.touch()

    def _keep_systemd(self) -> list[str]:
        """Where systemd is the init, mount what it has in /run at /mnt: it is not of a trial alone."""
        if not os.path.isdir("/run/systemd/system"):
            return []
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "cl-f-systemd", "/mnt"], check=True)
        kept = [name for name in ("systemd", "dbus") if os.path.isdir(f"/run/{name}")]
        for name in kept:
            os.mkdir(f"/mnt/{name}")
            subprocess.run(["mount", "--rbind", f"/run/{name}", f"/mnt/{name}"], check=True)
        return kept

    def _make_bundle(self) -> None:
        binaries = self.bundle / "rootfs/bin"
        binaries.mkdir(parents=True)
        shutil.copy(shutil.which("busybox") or "/bin/busybox", binaries / "busybox")
        for applet in _APPLETS:
            (binaries / applet).symlink_to("busybox")
        # Also the targets of binds, which a runtime makes where they are missing, and leaves.
        for directory in ("proc", "sys", "dev", "tmp", "etc", "run/notify"):
            (self.bundle / "rootfs" / directory).mkdir(parents=True)
        for name in ("hosts", "resolv.conf"):
            (self.bundle / "rootfs/etc" / name).touch()
        self.spec = json.loads(self._runc_spec())

    def _make_user(self) -> None:
        """Make the user known in this mount namespace alone, and the runtime reachable for him."""
        subordinate = f"{_USER_NAME}:{FIRST_SUBORDINATE}:65536"
        lines = {
            "passwd": f"{_USER_NAME}:x:{USER}:{USER}::/:/bin/sh",
            "group": f"{_USER_NAME}:x:{USER}:",
            "subuid": subordinate,
            "subgid": subordinate,
        }
        # All of /etc: a useradd on the host would take a mount on one of its files off, in every namespace.
        etc = Path("/run/etc")
        etc.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "cl-f-etc", str(etc)], check=True)
        subprocess.run(["cp", "--archive", "/etc/.", str(etc)], check=True)
        for name, line in lines.items():
            with (etc / name).open("a") as file:
                file.write(line + "\n")
        subprocess.run(["mount", "--move", str(etc), "/etc"], check=True)
        etc.rmdir()
        self.user_root.mkdir(mode=0o700)
        os.chown(self.user_root, USER, USER)
        self.user_runtime = self.runtime
        if "corelaunch" in os.path.basename(self.runtime[0]):
            self.user_runtime = [installation(self.directory / "installed"), *self.runtime[1:]]

    def _make_plugin(self) -> None:
        """A command with one more plugin: it edits config and plan, and is told of every moment."""
        plugins = self.directory / "plugins"
        metadata = plugins / "corelaunch_edits-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "entry_points.txt").write_text("[corelaunch.lifecycle]\nedits = cl_f_edits\n")
        (plugins / "cl_f_edits.py").write_text(_PLUGIN)
        py_compile.compile(str(plugins / "cl_f_edits.py"))
        for name in ("run/edited", "tmp/edited"):  # what a launch makes in the root filesystem stays in it
            (self.bundle / "rootfs" / name).mkdir(parents=True)
        site = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
        self.plugin_command = self.directory / "corelaunch-edits"
        self.plugin_command.write_text(
            f"#!{sys.prefix}/bin/python3 -IS\nimport sys\nsys.path.append({str(site)!r})\n"
            f"from corelaunch.isolated import start\nstart([{str(site)!r}, {str(plugins)!r}])\n"
        )
        self.plugin_command.chmod(0o755)

    def _listen(self) -> None:
        """A socket that takes whatever descriptor it is sent, and lets it go; and that of a service manager."""
        self._service_manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._service_manager.bind(str(self.manager))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.console))
        listener.listen(128)

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    for fd in socket.recv_fds(connection, 4096, 1)[1]:
                        os.close(fd)

        threading.Thread(target=serve, daemon=True).start()

    def _runc_spec(self) -> str:
        scratch = self.directory / "spec"
        scratch.mkdir()
        subprocess.run(["runc", "spec"], cwd=scratch, check=True)
        return (scratch / "config.json").read_text()

    def next_id(self) -> str:
        """A container id that no trial had before."""
        self.serial += 1
        return f"{self.name}-{self.serial}"

    def write_config(
        self, container_id: str, arguments: Sequence[str], edit: Callable[[dict[str, Any]], object] | None = None
    ) -> None:
        """Write the bundle's config.json for one trial: runc's default with the cgroup named after the container."""
        config = json.loads(json.dumps(self.spec))
        config["process"]["terminal"] = False
        config["process"]["args"] = list(arguments)
        config["linux"]["cgroupsPath"] = f"/{container_id}"
        config["linux"]["resources"]["memory"] = {"limit": 64 << 20}
        config["linux"]["resources"]["pids"] = {"limit": 64}
        if edit is not None:
            edit(config)
        (self.bundle / "config.json").write_text(json.dumps(config))

    def meaning(self, container_id: str, word: str) -> str:
        """A word of a verb with its placeholders replaced."""
        for name, value in (
            ("BUNDLE", str(self.bundle)),
            ("CONSOLE", str(self.console)),
            ("DIRECTORY", str(self.directory)),
            ("LINK", link_name(container_id)),
            ("ID", container_id),
        ):
            word = word.replace(name, value)
        return word

    def scope(self, container_id: str) -> residue.Scope:
        """What belongs to one trial."""
        return residue.Scope(
            marks=(container_id,),
            link_prefixes=(link_name(container_id),),
            trees=("/run",),
            shared=("/tmp", "/run/systemd/transient"),
            private_mounts=True,
            ancestor=os.getpid(),
            ignored_names=frozenset({"strace", "tracer"}),
        )

    def verb(self, *arguments: str) -> list[str]:
        """The runtime's command line for a verb."""
        if self.as_user:
            ids = (f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
            return ["setpriv", *ids, *self.user_runtime, "--root", str(self.user_root), *arguments]
        if self.has_plugin:
            return [str(self.plugin_command), "--plugin", "edits", "--root", str(self.root), *arguments]
        options = ("--systemd-cgroup",) if self.as_units else ()
        return [*self.runtime, "--root", str(self.root), *options, *arguments]

    def launch(self, command: Sequence[str], output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Start a command; its end is seen by :meth:`await_end`."""
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.manager)} if self.notify else None

        def place() -> None:
            null = os.open("/dev/null", os.O_RDWR)
            for number in range(3, 3 + self.descriptors):
                os.dup2(null, number)

        # What Python opened is close-on-exec, so nothing but what is placed goes along.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            close_fds=not self.descriptors,
            preexec_fn=place if self.descriptors else None,
        )
        # An orphan of an earlier trial may have had this pid.
        self._codes.pop(process.pid, None)
        return process

    def run(self, command: Sequence[str], *, timeout: float = 20.0) -> Outcome:
        """Run a command to its end; orphans that die meanwhile are collected, as PID 1 would.

        Output goes to a file and not to a pipe: an orphan that holds a pipe would be waited for.
        """
        started = time.monotonic()
        with self.output.open("wb") as file:
            process = self.launch(command, file)
        hung = not self.await_end(process.pid, started + timeout)
        if hung:
            os.kill(process.pid, signal.SIGKILL)
            self.await_end(process.pid, time.monotonic() + 5.0)
        process.returncode = self.code_of(process.pid)
        return Outcome(process.returncode, self.output.read_text(errors="replace"), hung, time.monotonic() - started)

    def await_end(self, pid: int, deadline: float) -> bool:
        """Wait until a child has ended; False when the deadline (time.monotonic) came first."""
        pidfd = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            while True:
                # A traced child ends for us only after its tracer has seen it end: readable is not yet collected.
                if poll.poll(5):
                    time.sleep(0.001)
                self.reap()
                ended = self.has_ended(pid)
                if ended or time.monotonic() > deadline:
                    return ended
        finally:
            os.close(pidfd)

    def reap(self) -> None:
        """Collect every dead child."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._codes[pid] = os.waitstatus_to_exitcode(status)

    def has_ended(self, pid: int) -> bool:
        """True once the child was collected and its exit code not yet asked for."""
        return pid in self._codes

    def code_of(self, pid: int) -> int:
        """Exit code of a collected child, negative for a signal."""
        return self._codes.pop(pid)

    def struck(self, point: Point, command: Sequence[str]) -> tuple[Outcome, bool]:
        """Run a command and strike it at ``point``. Returns its outcome and whether the point was reached.

        The command itself is struck by strace; a child, or both, by tracer.c, which can name them. So is a
        command with threads, of which strace without -f sees only the first.
        """
        if point.at == PARENT and point.victim == "parent" and not point.threaded:
            outcome = self.run(strace_kill(point.syscall, point.n, command))
            return outcome, outcome.code == -signal.SIGKILL
        action = "all" if point.victim == "both" else "kill"
        outcome = self.run(traced(self.tracer, self.report, point, action, command))
        return outcome, self.report.read_text().strip() == "struck"

    def clean(self, container_id: str, before: residue.Snapshot) -> None:
        """Remove by force what a trial left, so that the next one starts clean."""
        scope = self.scope(container_id)
        for _ in range(50):
            found = residue.diff(before, residue.snapshot(scope))
            if not found:
                return
            for line in found.left:
                kind, _, thing = line.partition(": ")
                self._remove(kind, thing)
            self.reap()
            time.sleep(0.02)

    def _remove(self, kind: str, thing: str) -> None:
        try:
            if kind == "process":
                os.kill(int(thing.split()[0]), signal.SIGKILL)
            elif kind == "cgroup":
                os.rmdir(thing)
            elif kind == "mount":
                subprocess.run(["umount", "-l", thing.split(" from ")[0]], check=False, capture_output=True)
            elif kind == "link":
                subprocess.run(["ip", "link", "del", thing.split()[0]], check=False, capture_output=True)
            elif kind in ("file", "shared"):
                path = thing.rpartition(" (")[0] or thing
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        except OSError:
            pass  # a parent went first, or the next round gets it


def link_name(container_id: str) -> str:
    """Name of the host's end of a trial's veth pair: at most 15 bytes, and no other trial's."""
    return f"xf{crc32(container_id.encode()):08x}"


def strace_kill(syscall: str, n: int, command: Sequence[str]) -> list[str]:
    """strace that kills ``command`` at its n-th ``syscall``; with -D the command is our child and not strace's."""
    return [
        "strace",
        "-D",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={syscall}",
        f"--inject={syscall}:signal=KILL:when={n}",
        *command,
    ]


def strace_error(syscall: str, n: int, error: str, command: Sequence[str]) -> list[str]:
    """strace that makes the n-th ``syscall`` of ``command`` fail with ``error``."""
    inject = f"--inject={syscall}:error={error}:when={n}"
    return ["strace", "-D", "-qq", "-o", "/dev/null", "-e", f"trace={syscall}", inject, *command]


def strace_record(recording: Path, command: Sequence[str]) -> list[str]:
    """strace that writes every call of ``command`` and its children."""
    return ["strace", "-D", "-f", "-qq", "-s", "64", "-o", str(recording), *command]


def traced(tracer: str, report: Path, point: Point, action: str, command: Sequence[str]) -> list[str]:
    """tracer.c at ``point``, with its report in a file."""
    number = str(syscall_number(point.syscall))
    report.write_text("")
    return ["sh", "-c", f'exec "$@" 9>{report}', "sh", tracer, str(point.at), number, str(point.n), action, *command]


_numbers: dict[str, int] = {}


def syscall_number(name: str) -> int:
    """Number of a system call on this machine, from the kernel's header (linux-libc-dev).

    Raises:
        KeyError: there is none of that name.
    """
    if not _numbers:
        header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h").read_text()
        for line in header.splitlines():
            words = line.split()
            if len(words) == 3 and words[1].startswith("__NR_"):
                _numbers[words[1].removeprefix("__NR_")] = int(words[2])
    return _numbers[name]
