"""A verb in a process of its own, traced from outside: what it does from its execve to its end, and what it used.

It is started by the interpreter, and the file, that we were started by. Its streams are ours. A signal that somebody
sends us goes to it; one that the terminal sends, it has got from there.
"""

from __future__ import annotations

import _signal
import os
import posix
import time

from ..errors import KernelError
from ..records import Record
from .foreground import forwardable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, NoReturn

#: si_code of a signal that the kernel made: of a terminal, which tells every process of its foreground (sigaction(2)).
_SI_KERNEL = 0x80
#: What an interpreter ignores, and its children would then ignore from birth (signal(7)).
_IGNORED = (_signal.SIGPIPE, _signal.SIGXFSZ)
_LISTEN_PID = b"LISTEN_PID"


class Ended(Record):
    """How it ended.

    Attributes:
        code: its exit code, 128 + N if signal N ended it.
        start, end: its execve, and when it was reaped, in nanoseconds of CLOCK_MONOTONIC.
        cpu_us: CPU time of it and of what it waited for.
        trace: what it wrote to the file that it was given, at its end.
        record: what it wrote to the other one, in between.
    """

    code: int
    start: int
    end: int
    cpu_us: int
    trace: bytes
    record: bytes


#: Stand in a command line for the paths of the files that trace and record are to be written to.
TRACE, RECORD = "{trace}", "{record}"


def run(program: str, command: Sequence[str]) -> Ended:
    """Run a command line and wait for it.

    Args:
        program: path of what is executed.
        command: its words, the first is its own name; :data:`TRACE` and :data:`RECORD` among them are replaced.

    Raises:
        KernelError: it cannot be run.
    """
    # Files without names, that it reaches through us: nothing is left, whoever is killed when.
    files = {word: os.memfd_create(f"corelaunch-{word[1:-1]}", os.MFD_CLOEXEC) for word in (TRACE, RECORD)}
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    try:
        command = [f"/proc/{os.getpid()}/fd/{files[word]}" if word in files else word for word in command]
        watched = {_signal.SIGCHLD, *forwardable()}
        mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, watched)
        pid = os.fork()
        if pid == 0:
            _execute(program, command, mask, theirs)
        os.close(theirs)
        theirs = -1
        status, usage = _attend(pid, watched)
        end = time.monotonic_ns()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        start, number = _told(ours)
        if number:
            raise KernelError.of("cannot run the verb", OSError(number, ""), where=program)
        trace, record = (os.pread(fd, os.fstat(fd).st_size, 0) for fd in files.values())
    finally:
        for fd in (*files.values(), ours, theirs):
            if fd >= 0:
                os.close(fd)
    code = os.waitstatus_to_exitcode(status)
    cpu = int((usage.ru_utime + usage.ru_stime) * 1e6)
    return Ended(code if code >= 0 else 128 - code, start, end, cpu, trace, record)


def _execute(program: str, command: list[str], mask: set[int], told: int) -> NoReturn:
    """In the new process: become the command; ``told`` gets the time of it, and the error number if it fails."""
    try:
        for number in _IGNORED:
            _signal.signal(number, _signal.SIG_DFL)
        environment = dict(posix.environ)
        if environment.get(_LISTEN_PID) == b"%d" % os.getppid():
            # The sockets were for the verb, whose place we have taken (sd_listen_fds(3)).
            environment[_LISTEN_PID] = b"%d" % os.getpid()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        os.write(told, time.monotonic_ns().to_bytes(8, "little"))
        os.execve(program, command, environment)
    except OSError as error:
        os.write(told, (error.errno or 0).to_bytes(8, "little"))
    finally:
        os._exit(127)


def _told(fd: int) -> tuple[int, int]:
    """What the new process said: when it executed the command, and the error number if it could not."""
    said = os.read(fd, 16)
    return int.from_bytes(said[:8], "little"), int.from_bytes(said[8:], "little")


def _attend(pid: int, watched: Iterable[int]) -> tuple[int, Any]:
    """Pass signals on until it ends; its wait status and what it used."""
    while True:
        signal = _signal.sigwaitinfo(watched)
        if signal.si_signo == _signal.SIGCHLD:
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                return status, usage
        elif signal.si_code != _SI_KERNEL:
            os.kill(pid, signal.si_signo)
