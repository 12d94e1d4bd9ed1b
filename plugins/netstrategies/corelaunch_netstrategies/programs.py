"""Programs of others: started with nothing but what they are given, and ended in time.

A program is the leader of a process group of its own, so that it dies with all that it has started. It blocks on its
standard input (a CNI plugin, which can do nothing without its configuration) or in a gate of its starter's until it
was announced; if the runtime is killed before that, it sees the end of that pipe and ends.
"""

from __future__ import annotations

import errno
import os
import select
import time
from _signal import SIGKILL

from corelaunch.api import DeadlineExceeded, KernelError, PluginError, Record, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: What a program finds in its environment, beside what it is given.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: A result has some hundred bytes; more than this is an error.
LARGEST_OUTPUT = 1 << 20
_PORTION = 1 << 16
_STDERR_IN_ERROR = 1000
#: From SIGKILL to the end.
_REAP_SECONDS = 10.0
#: Signals that a program may not inherit as ignored (Python ignores SIGPIPE); 32 and 33 are the C library's own.
_SIGNALS = [number for number in range(1, 32) if number not in (9, 19)]


class Finished(Record):
    """What a program has done."""

    #: Its exit status, 128 + N if signal N ended it, -1 if nobody can tell.
    status: int
    output: bytes
    #: The end of what it wrote to standard error, as the end of a sentence.
    said: str


class Program:
    """A program that was started, leader of its own process group; not reaped before :meth:`close`.

    Attributes:
        pid, start_time: which process it is.
        pidfd: readable when it has ended.
    """

    def __init__(
        self, path: str, arguments: Sequence[str], environment: Mapping[str, str], descriptors: Mapping[int, int]
    ) -> None:
        """Start it.

        Args:
            arguments: all of them, its name first.
            descriptors: number in the program -> ours; the others that we have are not passed on.

        Raises:
            KernelError: it could not be executed.
        """
        # Our numbers first move out of the way of the program's, or one could overwrite another.
        moved = {number: _moved(fd) for number, fd in descriptors.items()}
        actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()]
        actions += [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in moved.items()]
        try:
            self.pid = os.posix_spawn(
                path,
                list(arguments),
                {"PATH": PATH, **environment},
                file_actions=actions,
                setpgroup=0,
                setsigmask=(),
                setsigdef=_SIGNALS,
            )
        except OSError as error:
            raise KernelError.of("cannot execute", error, where=path) from error
        finally:
            for fd in moved.values():
                os.close(fd)
        self.pidfd = os.pidfd_open(self.pid)
        self.start_time = start_time(self.pid)

    def kill(self) -> None:
        """Kill it and all that it has started (but for what has left its process group)."""
        try:
            os.killpg(self.pid, SIGKILL)
        except ProcessLookupError:
            return  # nobody of it is left

    def ended(self, deadline: float) -> bool:
        """Wait for its end until ``deadline`` (``time.monotonic()``); False if it is not there by then."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))

    def close(self) -> int:
        """Reap it, killed if it has not ended, with its group if it has not ended well; its status.

        That is 128 + N if signal N ended it, and -1 if the caller of the runtime ignores SIGCHLD, so that nobody is
        told. What a program that ended well has left running is meant to run.
        """
        try:
            status = self._status(os.WNOHANG | os.WNOWAIT)
            if status != 0:
                self.kill()
                self.ended(time.monotonic() + _REAP_SECONDS)
            # Only now: before it is reaped, its number and that of its group are nobody else's.
            return self._status(os.WNOHANG)
        finally:
            os.close(self.pidfd)

    def _status(self, options: int) -> int:
        try:
            result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | options)
        except ChildProcessError:
            return -1
        if result is None:
            return -1  # it runs
        return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status

    def release(self) -> None:
        """Let it run on, without us: it is reaped by whoever it comes to when this process has ended."""
        os.close(self.pidfd)


def run(
    path: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    text: bytes,
    deadline: float,
    announce: Callable[[int, int], object] | None = None,
) -> Finished:
    """Run a program to its end.

    Args:
        text: its standard input.
        deadline: ``time.monotonic()`` by which it must have ended.
        announce: called with its pid and start time before it gets the first byte.

    Raises:
        DeadlineExceeded, PluginError: it took too long, or wrote too much; nothing of it is left.
        KernelError: it could not be executed.
    """
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
    (theirs_in, ours_in), (ours_out, theirs_out), (ours_error, theirs_error) = pipes
    try:
        program = Program(path, arguments, environment, {0: theirs_in, 1: theirs_out, 2: theirs_error})
    except BaseException:
        for fd in (fd for pipe in pipes for fd in pipe):
            os.close(fd)
        raise
    for fd in (theirs_in, theirs_out, theirs_error):
        os.close(fd)
    streams = _Streams(path, text, ours_in, ours_out, ours_error)
    closed = False
    try:
        if announce is not None:
            announce(program.pid, program.start_time)
        streams.serve(program.pidfd, deadline)
        closed = True
        return Finished(program.close(), bytes(streams.output), streams.said())
    finally:
        if not closed:
            program.close()
        streams.close()


class _Streams:
    """Our ends of a program's standard streams."""

    def __init__(self, path: str, text: bytes, stdin: int, stdout: int, stderr: int) -> None:
        self.path, self.stdin, self.stdout, self.stderr = path, stdin, stdout, stderr
        self.left = memoryview(text)
        self.output, self.error = bytearray(), bytearray()
        for fd in (stdin, stdout, stderr):
            os.set_blocking(fd, False)

    def serve(self, pidfd: int, deadline: float) -> None:
        """Write and read until the program has ended; what it has started may keep the pipes open."""
        poll = select.poll()
        for fd, events in (
            (pidfd, select.POLLIN),
            (self.stdin, select.POLLOUT),
            (self.stdout, select.POLLIN),
            (self.stderr, select.POLLIN),
        ):
            poll.register(fd, events)
        while True:
            left = deadline - time.monotonic()
            ready = dict(poll.poll(left * 1000)) if left > 0 else {}
            if not ready:
                hint = "its operator's manual may say what it waits for"
                raise DeadlineExceeded(f"{os.path.basename(self.path)} did not end in time{self.said()}", hint=hint)
            if self.stdin in ready and not self._write():
                poll.unregister(self.stdin)
                os.close(self.stdin)
                self.stdin = -1
            for fd in (self.stdout, self.stderr):
                if fd in ready and not self._read(fd):
                    poll.unregister(fd)
            if pidfd in ready:
                # What it wrote itself is in the pipes (64 KiB, pipe(7)); a read may return a part of it.
                for fd in (self.stdout, self.stderr):
                    for _ in range(16):
                        if not self._read(fd, empty=False):
                            break
                return

    def said(self) -> str:
        """The end of standard error as the end of a sentence."""
        text = " ".join(self.error[-_STDERR_IN_ERROR:].decode("utf-8", "replace").split())
        return f", and said: {text}" if text else ""

    def close(self) -> None:
        for fd in (self.stdin, self.stdout, self.stderr):
            if fd >= 0:
                os.close(fd)

    def _write(self) -> bool:
        """Write a portion; False when that is all."""
        try:
            self.left = self.left[os.write(self.stdin, self.left[:_PORTION]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False  # it does not want it; its status says whether that is an error
        return bool(self.left)

    def _read(self, fd: int, *, empty: bool = True) -> bool:
        """Read a portion; False at the end, ``empty`` when there is nothing at the moment."""
        try:
            data = os.read(fd, _PORTION)
        except BlockingIOError:
            return empty
        if fd == self.stderr:
            self.error = (self.error + data)[-_STDERR_IN_ERROR:]
            return bool(data)
        self.output += data
        if len(self.output) > LARGEST_OUTPUT:
            why = f"it wrote more than {LARGEST_OUTPUT >> 20} MiB to standard output"
            raise PluginError(f"{os.path.basename(self.path)} failed", why=f"{why}{self.said()}")
        return bool(data)


def _moved(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


def _inheritable() -> list[int]:
    """Descriptors from 3 up that a program would get without being given them."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError as error:
            if error.errno != errno.EBADF:  # the one of the list itself
                raise
    return found
