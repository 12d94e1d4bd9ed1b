"""A companion: a program that works for a container from outside, and ends with the container's init.

It is started blocked, through the gate of corelaunch-init (native/companion.c), so that it can be announced in the
journal before it does anything; if the runtime is killed before that, it ends. From then on corelaunch-init is its
parent, waits for the end of the container's init by pidfd, and ends it, whether a runtime is there or not.
"""

from __future__ import annotations

import os
import select
import time
from _signal import SIGKILL
from struct import unpack

from .api import ProcessHandle
from .errors import DeadlineExceeded, KernelError, PluginError, one_line
from .kernel import native, pidfd, procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Of what it prints before it is ready, in an error.
_OUTPUT_IN_ERROR = 1000
#: What is kept of all that it ever prints: the first of it. Writing more is an error to the program (EPERM), which
#: neither ends it, as a pipe that nobody reads would, nor fills the host's memory.
_OUTPUT_BYTES = 16384
#: From SIGKILL to the end.
_REAP_SECONDS = 10.0
#: Number in the program of the first descriptor that it is given.
FIRST_DESCRIPTOR = 6


def start_companion(
    process: ProcessHandle,
    path: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    descriptors: Sequence[int],
    ready: int,
    deadline: float,
    announce: Callable[[int, int], object],
) -> None:
    """Start a program that ends with a container's init, and wait until it is ready.

    Args:
        process: the container's init.
        path: the program, absolute and trusted.
        arguments: all of them, its name first.
        environment: all of its environment.
        descriptors: what it gets as its descriptors 6, 7, …; its standard input is /dev/null.
        ready: read end of a pipe into which the program writes when it is ready.
        deadline: ``time.monotonic()`` by which it must be.
        announce: called with pid and start time of the process group's leader, while nothing runs yet.

    Raises:
        KernelError: the container's init is gone, or the program cannot be executed.
        PluginError: it ended before it was ready; with what it printed.
        DeadlineExceeded: it was not ready in time. In either case nothing of it runs any more.
    """
    companion = _Companion(process, path, arguments, environment, descriptors)
    try:
        announce(companion.pid, companion.start_time)
        companion.begin(ready, deadline)
    except BaseException:
        companion.kill()
        raise
    finally:
        companion.close()


class _Companion:
    """The program, from its start to the moment from which it is on its own."""

    def __init__(
        self,
        process: ProcessHandle,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        given: Sequence[int],
    ) -> None:
        self._name = arguments[0]
        theirs: list[int] = []
        ours: list[int] = []
        try:
            theirs.append(init := _open(process))
            theirs.append(executable := native.init_executable())
            theirs.append(null := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
            self._output = native.bounded_memfd("companion-output", _OUTPUT_BYTES)
            ours.append(self._output)
            gate, self._gate = os.pipe2(os.O_CLOEXEC)
            ours.append(self._gate)
            theirs.append(gate)
            self._failure, failure = os.pipe2(os.O_CLOEXEC)
            ours.append(self._failure)
            theirs.append(failure)
            self.pid, self._pidfd = native.spawn(
                executable,
                [os.fsencode(word) for word in ("corelaunch-init", "companion", path, *arguments)],
                [os.fsencode(f"{name}={value}") for name, value in environment.items()],
                [null, self._output, self._output, gate, failure, init, *given],
                new_process_group=True,
            )
        except OSError as error:
            for fd in ours:
                os.close(fd)
            raise KernelError.of(f"cannot start {self._name}", error) from error
        finally:
            for fd in theirs:
                os.close(fd)
        self.start_time = procfs.start_time(self.pid)

    def begin(self, ready: int, deadline: float) -> None:
        """Open the gate, and wait for the word that it is ready."""
        os.write(self._gate, b"g")
        failure = os.read(self._failure, 4)  # its end is the execve
        if len(failure) == 4:
            raise KernelError(f"cannot execute {self._name}", errno=unpack("=i", failure)[0])
        poll = select.poll()
        for fd in (ready, self._pidfd):
            poll.register(fd, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            events = dict(poll.poll(left * 1000)) if left > 0 else {}
            if events.get(ready, 0) & select.POLLIN:
                return
            if self._pidfd in events:
                status = pidfd.exit_status(self._pidfd)
                how = f"exit status {status}" if status < 128 else f"killed by signal {status - 128}"
                raise PluginError(f"{self._name} failed", why=": ".join(filter(None, (how, self._said()))))
            if not events:
                raise DeadlineExceeded(f"{self._name} was not ready in time", why=self._said())
            poll.unregister(ready)  # it has closed it without a word

    def _said(self) -> str:
        """The end of what it has printed; our descriptor has its offset."""
        text = os.pread(self._output, _OUTPUT_BYTES, 0)[: os.lseek(self._output, 0, os.SEEK_CUR)]
        return one_line(" ".join(text[-_OUTPUT_IN_ERROR:].decode("utf-8", "replace").split()))

    def kill(self) -> None:
        """End it with all that it has started, and reap it."""
        try:
            os.killpg(self.pid, SIGKILL)
        except ProcessLookupError:
            pass
        try:
            pidfd.wait(self._pidfd, _REAP_SECONDS)
        except ChildProcessError:
            pass  # the caller ignores SIGCHLD: the kernel has reaped it

    def close(self) -> None:
        """Close our ends. What the program prints from now on nobody reads."""
        for fd in (self._output, self._gate, self._failure, self._pidfd):
            os.close(fd)


def _open(process: ProcessHandle) -> int:
    """A pidfd of a process that the caller closes.

    Raises:
        ProcessLookupError: it is gone, or its pid is another's.
    """
    fd = os.dup(process.pidfd) if process.pidfd >= 0 else pidfd.open(process.pid)
    if pidfd.poll_exit(fd, 0) or procfs.start_time(process.pid) != process.start_time:
        os.close(fd)
        raise ProcessLookupError(3, os.strerror(3))
    return fd
