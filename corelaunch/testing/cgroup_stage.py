"""The stage on which one promise of a cgroup manager is played: the manager, the cgroup files, and processes."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from corelaunch.api import (
    CgroupManager,
    CgroupPlacement,
    CgroupRequest,
    Effect,
    KernelError,
    ProcessHandle,
    Unsupported,
    start_time,
)

from .context import RecordingContext
from .host import host_lacks, not_claimed

#: How long a process under test may take for what it does at once.
PATIENCE = 5.0


class CgroupFiles(Protocol):
    """What :class:`corelaunch.testing.cgroup_kernel.KernelCgroups` and ``fake_cgroup.FakeCgroups`` have in common."""

    enforces: bool

    def roots(self) -> Mapping[str, str]: ...  # noqa: D102
    def mkdir(self, path: str) -> None: ...  # noqa: D102
    def rmdir(self, path: str) -> None: ...  # noqa: D102
    def children(self, path: str) -> list[str]: ...  # noqa: D102
    def read(self, path: str) -> str: ...  # noqa: D102
    def write(self, path: str, value: str) -> None: ...  # noqa: D102
    def processes(self, path: str) -> list[int]: ...  # noqa: D102


class Subject:
    """A process for cgroups to hold: a shell script whose output can be read.

    Attributes:
        handle: as core hands it to a manager.
    """

    def __init__(self, script: str, pass_fds: Sequence[int] = ()) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self.handle = ProcessHandle(self._process.pid, start_time(self._process.pid))

    @property
    def pid(self) -> int:
        """Its pid."""
        return self.handle.pid

    @property
    def alive(self) -> bool:
        """Whether it is still there."""
        return self._process.poll() is None

    def tell(self, line: str) -> None:
        """Write a line to its input."""
        self._input.write(f"{line}\n".encode())
        self._input.flush()

    def hears(self, seconds: float) -> bool:
        """Whether it writes something within that time; what it has written so far is read."""
        ready, _, _ = select.select([self._output], [], [], seconds)
        return bool(ready) and bool(os.read(self._output.fileno(), 1 << 20))

    def drain(self) -> None:
        """Read what it has written so far."""
        while self.hears(0):
            pass

    def output(self) -> str:
        """All that it writes until it ends."""
        return self._output.read().decode()

    def wait(self) -> int:
        """Its exit status, negative for a signal."""
        return self._process.wait(PATIENCE)

    def end(self) -> None:
        """Kill it, with what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGCONT)
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._input.close()
        self._output.close()


class Made:
    """A cgroup that the manager made.

    Attributes:
        first: the process that it was made around, None if the manager needs none.
    """

    def __init__(
        self, request: CgroupRequest, placement: CgroupPlacement, ctx: RecordingContext, first: Subject | None
    ) -> None:
        self.request = request
        self.placement = placement
        self.ctx = ctx
        self.first = first

    @property
    def directories(self) -> list[str]:
        """The directories of the placement, each once."""
        return list(dict.fromkeys(self.placement.paths.values()))


class Stage:
    """One manager and the cgroup files that it works on.

    Attributes:
        manager: the one under test.
        files: the cgroup files of this host, or a fake.
    """

    def __init__(self, manager: CgroupManager, files: CgroupFiles) -> None:
        self.manager = manager
        self.files = files
        self._subjects: list[Subject] = []
        self._directories: list[str] = []
        self._later: list[LaterProcess] = []

    def request(self, number: int = 0) -> CgroupRequest:
        """The request of one of our containers."""
        return CgroupRequest(f"cl-cg-contract-{os.getpid()}-{number}")

    def place(self, number: int = 0) -> CgroupPlacement:
        """Place a container; skip if the manager says that this host is not for it."""
        try:
            placement = self.manager.place(self.request(number))
        except Unsupported as error:
            host_lacks(f"what the manager needs ({error})")
        for path in placement.paths.values():
            while not os.path.isdir(path):
                self._directories.append(path)
                path = os.path.dirname(path)
        return placement

    def create(self, number: int = 0, ctx: RecordingContext | None = None) -> Made:
        """Place and create; skip if the user of the tests may not make cgroups here."""
        ctx = ctx or RecordingContext(self.request(number).container_id)
        placement = self.place(number)
        first = self.subject() if self.manager.needs_process else None
        made = Made(self.request(number), placement, ctx, first)
        try:
            self.manager.create(placement, made.request, first.handle if first else None, ctx)
        except KernelError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and os.geteuid() != 0:
                host_lacks(f"the right to make cgroups ({error})")
            raise
        return made

    def subject(self, script: str = "exec sleep 1000", pass_fds: Sequence[int] = ()) -> Subject:
        """Start a process; it is killed after the test."""
        subject = Subject(script, pass_fds)
        self._subjects.append(subject)
        return subject

    def join(self, made: Made, script: str = "exec sleep 1000") -> Subject:
        """Start a process that runs the script as soon as it is in the cgroup."""
        subject = self.subject(f"read go; {script}")
        self.manager.add_process(made.placement, subject.handle)
        subject.tell("go")
        return subject

    def move_inside(self, made: Made, subject: Subject) -> None:
        """Nest a cgroup, as a container may do, and move a process of the container into it, in every hierarchy."""
        for path in made.directories:
            self.files.mkdir(f"{path}/inside")
            if os.path.exists(f"{path}/inside/cpuset.cpus"):
                for name in ("cpuset.cpus", "cpuset.mems"):  # a new cpuset of v1 takes no process without these
                    self.files.write(f"{path}/inside/{name}", self.files.read(f"{path}/{name}"))
            self.files.write(f"{path}/inside/cgroup.procs", str(subject.pid))

    def make_foreign(self, path: str) -> None:
        """Make a cgroup, and its parents, as somebody else would."""
        if not os.path.isdir(os.path.dirname(path)):
            self.make_foreign(os.path.dirname(path))
        self.files.mkdir(path)

    def end_processes(self) -> None:
        """Kill every process of the test."""
        for subject in self._subjects:
            subject.end()
        self._subjects.clear()

    def left(self, made: Made) -> list[str]:
        """What is still there of all that was announced or placed."""
        announced = [effect.args.get("path", effect.name) for effect in made.ctx.all_effects]
        return sorted({path for path in [*made.directories, *announced] if os.path.lexists(path)})

    def later_process(self) -> LaterProcess:
        """A process that has seen nothing of what the test does from here on."""
        self._later.append(LaterProcess(self.manager))
        return self._later[-1]

    def need(self, *features: str) -> None:
        """Skip unless the manager claims all of these."""
        for feature in features:
            if feature not in self.manager.features:
                not_claimed(feature)

    def need_kernel(self) -> None:
        """Skip unless limits are enforced here."""
        if not self.files.enforces:
            host_lacks("a kernel behind its cgroup files")

    def set(self, made: Made, resources: Mapping[str, Any]) -> None:
        """Set limits; skip if this host has no such controller."""
        try:
            self.manager.set_resources(made.placement, resources)
        except Unsupported as error:
            host_lacks(f"a controller ({error})")

    def control(self, made: Made, controller: str, v1: str, v2: str) -> str:
        """The value of a control file, whichever version of cgroups holds it."""
        paths = made.placement.paths
        path = f"{paths[controller]}/{v1}" if controller in paths else f"{paths.get('', '')}/{v2}"
        try:
            return self.files.read(path)
        except FileNotFoundError:
            host_lacks(f"the controller {controller}")

    def close(self) -> None:
        """End all processes, and remove what a broken manager has left."""
        for later in self._later:
            later.close()
        for path in dict.fromkeys(self._directories):
            for pid in self._below(path, self.files.processes):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            if os.path.exists(f"{path}/freezer.state"):
                self.files.write(f"{path}/freezer.state", "THAWED")
        self.end_processes()
        for path in sorted(dict.fromkeys(self._directories), key=len, reverse=True):
            wait_until(lambda path=path: not self._below(path, self.files.processes))  # type: ignore[misc]
            self._remove(path)

    def _below(self, path: str, found: Callable[[str], list[int]]) -> list[int]:
        if not os.path.isdir(path):
            return []
        return found(path) + [pid for name in self.files.children(path) for pid in self._below(f"{path}/{name}", found)]

    def _remove(self, path: str) -> None:
        if os.path.isdir(path):
            for name in self.files.children(path):
                self._remove(f"{path}/{name}")
            self.files.rmdir(path)


class LaterProcess:
    """A process that was forked before the manager did anything: the ``delete`` that runs months later.

    All that it gets is what the journal has: placement and effects, as JSON.
    """

    def __init__(self, manager: CgroupManager) -> None:
        read, self._write = os.pipe()
        self._result, write = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns of threads; the child takes no lock that the runner's timer could hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            os.close(self._write)
            _serve(manager, read, write)
        os.close(read)
        os.close(write)

    def processes_then_destroy(self, placement: CgroupPlacement, effects: Sequence[Effect]) -> tuple[list[int], str]:
        """Let it list the processes, kill them and destroy the cgroup; the list, and "" or the error as text."""
        message = {"placement": placement.as_dict(), "effects": [effect.as_dict() for effect in effects]}
        os.write(self._write, json.dumps(message).encode())
        self.close()
        with open(self._result, encoding="utf-8") as result:
            pids, error = json.loads(result.read() or '[[], "it died without an answer"]')
        return pids, error

    def close(self) -> None:
        """Let it end; harmless when it has."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1
            os.waitpid(self._pid, 0)


def _serve(manager: CgroupManager, read: int, write: int) -> None:
    answer: tuple[list[int], str] = ([], "")
    try:
        with open(read, encoding="utf-8") as messages:
            text = messages.read()
        if text:
            message = json.loads(text)
            placement = CgroupPlacement(**message["placement"])
            pids = manager.processes(placement)
            answer = (pids, "")
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not manager.processes(placement))
            manager.destroy(placement, [Effect(**fields) for fields in message["effects"]])
    except BaseException as error:  # noqa: BLE001 -- the test that asked reads it
        answer = (answer[0], f"{type(error).__name__}: {error}")
    finally:
        os.write(write, json.dumps(answer).encode())
        # Not sys.exit: the test runner's own clean-up must not run twice.
        os._exit(0)


def wait_until(condition: Callable[[], bool]) -> bool:
    """Wait until something is so; False if it is not so in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
