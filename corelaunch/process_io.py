"""Three pipes as the standard streams of a container's process (runc's InitializeIO), and what comes out of them.

    with initialize_io(*root_ids(bundle)) as pipes:
        container = runtime.create("one", bundle, io=pipes.io)
        container.start()
        out, err = pipes.communicate(b"what it reads")
        status = container.wait()
"""

from __future__ import annotations

import os
import select
import time

from .bootstrap.stdio import ProcessIO as ProcessIO
from .errors import CorelaunchError, DeadlineExceeded, KernelError
from .spec.bundle import load as load_bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

_CHUNK = 65536
#: As much of each stream is captured; a container is not to fill its caller's memory.
OUTPUT_LIMIT = 64 << 20
#: Ids of the kernel; the last means none.
_IDS = 2**32 - 1


def root_ids(bundle: str | dict[str, Any]) -> tuple[int, int]:
    """Uid and gid on the host of a container's root: what its id mappings make of 0, else 0 itself.

    Args:
        bundle: its directory, or its config.

    Raises:
        ConfigError: there is no such bundle, or it cannot be read.
    """
    config = bundle if isinstance(bundle, dict) else load_bundle(bundle).config
    linux = config.get("linux")
    linux = linux if isinstance(linux, dict) else {}
    return _host_id(linux.get("uidMappings")), _host_id(linux.get("gidMappings"))


def _host_id(mappings: Any) -> int:
    """Nobody has checked them yet: who launches a config with other things in it is told so by the launch."""
    for one in mappings if isinstance(mappings, (list, tuple)) else ():
        known = isinstance(one, dict)
        numbers: list[Any] = [one.get(name) for name in ("containerID", "hostID", "size")] if known else []
        if numbers and all(type(number) is int for number in numbers):
            first, host, size = numbers
            if first == 0 and size > 0 and 0 <= host < _IDS:
                return int(host)
    return 0


class StandardPipes:
    """Our ends of three pipes, and theirs, which a process gets.

    Use it as a context manager: at its end all that is still open is closed.

    Attributes:
        io: their ends, for :meth:`Runtime.create` and :meth:`Container.exec`.
        stdin: we write, the process reads; -1 once it is closed.
        stdout, stderr: the process writes, we read; -1 once they are closed.
    """

    def __init__(self, io: ProcessIO, stdin: int, stdout: int, stderr: int) -> None:
        self.io = io
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._theirs = [io.stdin, io.stdout, io.stderr]

    def __enter__(self) -> StandardPipes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close_theirs(self) -> None:
        """Close the process's ends, of which it has its own since create or exec: else no end ever comes."""
        while self._theirs:
            os.close(self._theirs.pop())

    def close_stdin(self) -> None:
        """Let the process read the end of its input."""
        self._close("stdin")

    def close_output(self, name: str) -> None:
        """Close our end of "stdout" or "stderr": who writes to it then gets EPIPE."""
        self._close(name)

    def close(self) -> None:
        """Close everything that is open here."""
        self.close_theirs()
        for name in ("stdin", "stdout", "stderr"):
            self._close(name)

    def communicate(
        self, data: bytes = b"", *, timeout: float | None = None, limit: int = OUTPUT_LIMIT
    ) -> tuple[bytes, bytes]:
        """Write all input, read all output, until everybody who has the other ends has closed them.

        Args:
            data: for stdin, which is closed behind it. What the process does not read is dropped.
            timeout: seconds for all of it; None waits for ever.
            limit: bytes of stdout, and of stderr, that are taken.

        Returns:
            what came over stdout and over stderr.

        Raises:
            DeadlineExceeded: somebody still had them open after ``timeout``; the pipes are as they were, and what was
                read so far is lost.
            CorelaunchError: there was more than ``limit``.
        """
        self.close_theirs()
        deadline = None if timeout is None else time.monotonic() + timeout
        output = {"stdout": bytearray(), "stderr": bytearray()}
        pending = self.begin(data)
        while self.stdin >= 0 or self.stdout >= 0 or self.stderr >= 0:
            ready = self._poll(deadline, timeout)
            if self.stdin in ready:
                pending = self.feed(pending)
            for name, taken in output.items():
                if getattr(self, name) in ready:
                    self._drain(name, taken, limit)
        return bytes(output["stdout"]), bytes(output["stderr"])

    def begin(self, data: bytes | memoryview) -> memoryview:
        """What is to be fed; stdin never blocks from here on, and is closed if that is nothing."""
        if self.stdin >= 0:
            os.set_blocking(self.stdin, False)
        if not data:
            self.close_stdin()
        return memoryview(data)

    def register(self, poller: select.poll) -> None:
        """Add the descriptors that are still open."""
        if self.stdin >= 0:
            poller.register(self.stdin, select.POLLOUT)
        for fd in (self.stdout, self.stderr):
            if fd >= 0:
                poller.register(fd, select.POLLIN)

    def _poll(self, deadline: float | None, timeout: float | None) -> dict[int, int]:
        poller = select.poll()
        self.register(poller)
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = dict(poller.poll(left))
        if not ready and timeout is not None:
            raise DeadlineExceeded("the process's streams are still open", why=f"after {timeout:g} s")
        return ready

    def feed(self, pending: memoryview) -> memoryview:
        """Write a piece to stdin, which is writable, and close it behind the last one; what is left."""
        try:
            pending = pending[os.write(self.stdin, pending[:_CHUNK]) :]
        except BlockingIOError:
            return pending
        except BrokenPipeError:
            pending = memoryview(b"")  # it has closed its stdin, or ended
        if not pending:
            self.close_stdin()
        return pending

    def _drain(self, name: str, taken: bytearray, limit: int) -> None:
        chunk = os.read(getattr(self, name), _CHUNK)
        if not chunk:
            self._close(name)
        elif len(taken) + len(chunk) > limit:
            raise CorelaunchError(f"too much output on {name}", why=f"more than {limit} bytes")
        taken += chunk

    def _close(self, name: str) -> None:
        fd = getattr(self, name)
        if fd >= 0:
            os.close(fd)
            setattr(self, name, -1)


def initialize_io(uid: int = 0, gid: int = 0) -> StandardPipes:
    """Make three pipes, owned by the container's root, so that its processes can open them again (/dev/stdout).

    Args:
        uid, gid: on the host; see :func:`root_ids`.

    Raises:
        KernelError: no descriptors are left, or the pipes cannot be given away; nothing is left open.
    """
    fds: list[int] = []
    try:
        for _ in range(3):
            fds += os.pipe2(os.O_CLOEXEC)
        for fd in fds:
            os.fchown(fd, uid, gid)
    except BaseException as error:
        for fd in fds:
            os.close(fd)
        if isinstance(error, OSError):
            raise KernelError.of("cannot make the pipes of a process", error) from error
        raise
    stdin, stdin_ours, stdout_ours, stdout, stderr_ours, stderr = fds
    return StandardPipes(ProcessIO(stdin, stdout, stderr), stdin_ours, stdout_ours, stderr_ours)
