"""A process in which a plugin may misbehave: forked from that of the tests, and as bare as that of a command.

What it has to say goes through shared memory, so that a plugin which closes descriptors is found out, too.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import select
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from corelaunch.records import Record

from .orphans import orphans_end

#: What stands in the child's standard input, for the container.
INPUT = b"for the container\n"

_SIZE = 1 << 20
#: Where the name of the call that is under way begins, after its number, and where the answer does.
_WHAT, _ANSWER = 8, 4096


class Told(Record):
    """What a child had to say.

    Attributes:
        answer: what ``work`` returned, as JSON.
        error: its exception as text, "" if it raised none.
        lost: "" or why there is neither: a call did not return, or the process ended in one.
        output: what it wrote to stdout and stderr.
        input_left: what it left of the standard input.
    """

    answer: Any = None
    error: str = ""
    lost: str = ""
    output: str = ""
    input_left: bytes = INPUT


class Child:
    """The place where the child notes what it does.

    Args:
        seconds: how long one call may take.

    Attributes:
        strict: whether arguments and answers of each call are looked at.
    """

    strict = False

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._memory = mmap.mmap(-1, _SIZE)
        self._calls = 0

    def calls(self, what: str) -> None:
        """Note, in the child, that the plugin is called."""
        self._calls += 1
        self._memory[_WHAT:_ANSWER] = what.encode()[: _ANSWER - _WHAT].ljust(_ANSWER - _WHAT, b"\0")
        self._memory[:_WHAT] = self._calls.to_bytes(_WHAT, "little")

    def run(self, work: Callable[[], Any]) -> Told:
        """Do ``work`` in a forked process: an empty environment, no log, its own standard streams."""
        self._memory[:] = bytes(_SIZE)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as standard_input:
            standard_input.write(INPUT)
            standard_input.flush()
            standard_input.seek(0)
            with orphans_end():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child takes no lock of one
                    pid = os.fork()
                if pid == 0:
                    self._child(work, standard_input.fileno(), output.fileno())
                lost = self._wait(pid)
            position = os.lseek(standard_input.fileno(), 0, os.SEEK_CUR)
            output.seek(0)
            said = output.read().decode(errors="replace")
        answer = self._memory[_ANSWER:].rstrip(b"\0")
        if lost or not answer:
            ended = f"it ended the process of the runtime in {self._under_way()[1] or 'the beginning'}"
            return Told(lost=lost or ended, output=said)
        fields = json.loads(answer)
        return Told(fields["answer"], fields["error"], "", said, INPUT[position:])

    def _child(self, work: Callable[[], Any], standard_input: int, output: int) -> None:
        fields: dict[str, Any] = {"answer": None, "error": ""}
        try:
            for fd, number in ((standard_input, 0), (output, 1), (output, 2)):
                os.dup2(fd, number)
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
            logging.getLogger().handlers.clear()
            warnings.resetwarnings()
            for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", kind)
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            fields["answer"] = work()
        except BaseException as error:  # noqa: BLE001 -- the test that asked reads it
            fields["error"] = f"{type(error).__name__}: {error}"
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):  # whatever a plugin has put there
                    stream.flush()
            text = json.dumps(fields, default=str).encode()
            self._memory[_ANSWER : _ANSWER + len(text)] = text
            os._exit(0)  # not sys.exit: the test runner's own clean-up must not run twice

    def _wait(self, pid: int) -> str:
        """Wait for the child; why it was killed, "" if it was not."""
        pidfd, poll = os.pidfd_open(pid), select.poll()
        poll.register(pidfd, select.POLLIN)
        lost, seen, since = "", -1, time.monotonic()
        try:
            while not poll.poll(max(0.0, since + self._seconds - time.monotonic()) * 1000):
                number, what = self._under_way()
                if number == seen:
                    lost = f"{what} has not returned after {self._seconds:g} s"
                    break
                seen, since = number, time.monotonic()
        finally:
            os.close(pidfd)
            os.kill(pid, signal.SIGKILL)  # a zombie does not mind
            os.waitpid(pid, 0)
        return lost

    def _under_way(self) -> tuple[int, str]:
        return int.from_bytes(self._memory[:_WHAT], "little"), self._memory[_WHAT:_ANSWER].rstrip(b"\0").decode()


def _show_warning(message: Warning | str, category: type[Warning], filename: str, number: int, *_more: Any) -> None:
    os.write(2, warnings.formatwarning(message, category, filename, number).encode())


class Changes:
    """What is changed in the file system from here on, as Python's audit events tell; for a child, as it stays."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.changed: list[str] = []
        self.active = True
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active or event not in _EVENTS:
            return
        paths = [_path(arguments[index]) for index in _EVENTS[event]]
        if event == "open":
            flags = arguments[2] or 0
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                return
            made = bool(flags & os.O_CREAT)
        else:
            made = event in ("os.mkdir", "os.symlink", "os.link", "os.rename")
        for path in paths:
            if path and path != os.devnull and "__pycache__" not in path:
                self.changed.append(f"{event} {path}")
                if made:
                    self.made.append(path)

    def left(self, word: str, inside: tuple[str, ...], outside: str) -> list[str]:
        """What was made, has ``word`` in its name and is still there; below ``inside`` and not below ``outside``."""
        paths = [os.path.abspath(path) for path in self.made]
        return sorted(
            {
                path
                for path in paths
                if word in path
                and any(path.startswith(f"{place}/") for place in inside)
                and not path.startswith(f"{outside}/")
                and os.path.lexists(path)
            }
        )


#: Audit event of CPython -> which of its arguments are paths that it changes.
_EVENTS = {
    "open": (0,),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.truncate": (0,),
    "os.utime": (0,),
    "os.setxattr": (0,),
    "os.removexattr": (0,),
}


def _path(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return os.fsdecode(value)
    return value if isinstance(value, str) else ""


def at_once(*works: Callable[[], None]) -> list[BaseException]:
    """Do several things in threads at the same time; what they raised."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- a thread must not swallow it
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that they meet
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    return failures
