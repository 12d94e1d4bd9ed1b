"""Mount sources for the container of an ordinary user whose root is another of his ids.

The user reaches the sources and may clone no mount; the container's root may, and does not reach them. So a process
that is still the user joins the container's user and mount namespace, and clones there what we name (native/source.c).
It ends with its socket: when we end it, and when we are killed.
"""

from __future__ import annotations

import os
import socket
from _signal import SIGKILL
from struct import unpack

from ..errors import KernelError, ProtocolError
from ..kernel import native, pidfd

#: A look-up of one path; an automount or a network filesystem may take its time.
_SECONDS = 60.0


class SourceProcess:
    """The source process of one launch.

    Args:
        init: pid of the container's init, our child, in its namespaces and before its first mount.

    Raises:
        KernelError: it cannot be started.
    """

    def __init__(self, init: int) -> None:
        opened: list[int] = []
        try:
            for name in ("user", "mnt"):
                opened.append(os.open(f"/proc/{init}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC))
            opened.append(null := os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
            opened.append(executable := native.init_executable())
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._socket.settimeout(_SECONDS)
            with theirs:
                fds = [null, null, null, theirs.fileno(), *opened[:2]]
                try:
                    _, self._pidfd = native.spawn(executable, [b"corelaunch-init", b"source"], [], fds)
                except OSError:
                    self._socket.close()
                    raise
        except OSError as error:
            raise KernelError.of("cannot start the source process", error) from error
        finally:
            for fd in opened:
                os.close(fd)

    def open(self, path: str, recursive: bool) -> int:
        """A detached clone of the mount, or mounts, at ``path``, which belongs to the container's mount namespace.

        Raises:
            KernelError: the user may not reach it, or it is not there.
            ProtocolError: the process is gone.
        """
        try:
            self._socket.send(bytes([recursive]) + os.fsencode(path))
            answer, fds, _, _ = socket.recv_fds(self._socket, 4, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError as error:
            raise KernelError.of("cannot ask the source process", error, where=path) from error
        if len(answer) != 4:
            raise ProtocolError("the source process went away", where=path)
        number = unpack("=i", answer)[0]
        if number or not fds:
            hint = "it is opened as the user who runs corelaunch"
            raise KernelError("cannot open mount source", where=path, errno=number, hint=hint)
        return fds[0]

    def close(self) -> None:
        """End it and reap it."""
        self._socket.close()
        try:
            # It would end by itself; but for one that hangs on a path of a filesystem that does not answer.
            pidfd.send_signal(self._pidfd, SIGKILL)
            pidfd.wait(self._pidfd, _SECONDS)
        except (ProcessLookupError, ChildProcessError):
            pass  # it has ended, and a library's user has reaped it
        finally:
            os.close(self._pidfd)
