"""The processes that a contract needs: some for cgroups to hold, and one that knows only what the journal has."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress

from corelaunch.api import CgroupManager, CgroupPlacement, Effect, ProcessHandle, start_time

#: How long what is sure to happen may take (a process that is killed ends): a guest is slow, and the host of many busy.
PATIENCE = 60.0

#: How long something may take that a wrong backend never does.
_AT_ONCE = 10.0

#: A script that needs more memory than a cgroup of some MiB has; where nothing limits it, it ends with an error soon.
TOO_MUCH = "ulimit -v 500000; exec tail /dev/zero"


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

    def line(self) -> str:
        """The next line that it writes."""
        return self._output.readline().decode()

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
            wait_until(lambda: not manager.processes(placement), PATIENCE)
            manager.destroy(placement, [Effect(**fields) for fields in message["effects"]])
    except BaseException as error:  # noqa: BLE001 -- the test that asked reads it
        answer = (answer[0], f"{type(error).__name__}: {error}")
    finally:
        os.write(write, json.dumps(answer).encode())
        # Not sys.exit: the test runner's own clean-up must not run twice.
        os._exit(0)


def is_alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = _AT_ONCE) -> bool:
    """Wait until something is so; False if it is not so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
