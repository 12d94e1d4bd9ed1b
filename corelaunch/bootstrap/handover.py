"""What ``create`` and ``exec`` hand to their caller in the end: pty and pidfd over a socket each, the pid in a file."""

from __future__ import annotations

import os

from ..errors import KernelError

#: How long the listener may take to accept.
SECONDS = 60.0


def send_console(socket_path: str, master_fd: int) -> None:
    """Send the pty master over the caller's console socket (SCM_RIGHTS, payload is the pty's name as runc sends it).

    Raises:
        KernelError: nobody listens there, or whoever does accepts nobody.
    """
    _send_descriptor(socket_path, master_fd, b"/dev/ptmx", "cannot send the console")


def send_pidfd(socket_path: str, pidfd: int, role: str) -> None:
    """Send the pidfd of a process over the caller's pidfd socket; ``role`` goes along as runc sends it.

    Args:
        role: "standard" for a container's init, "setns" for a process that joined it.

    Raises:
        KernelError: nobody listens there, or whoever does accepts nobody.
    """
    _send_descriptor(socket_path, pidfd, role.encode(), "cannot send the pidfd")


def _send_descriptor(path: str, fd: int, payload: bytes, what: str) -> None:
    import _socket  # the C module: all that is needed here, without the 7 ms of the socket package
    from struct import pack

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(SECONDS)
        connection.connect(path)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("=i", fd))
        # A library's process may have SIGPIPE at its default, which would end it.
        connection.sendmsg([payload], [rights], _socket.MSG_NOSIGNAL)
    except OSError as error:
        raise KernelError.of(what, error, where=path) from error
    finally:
        connection.close()


def write_pid_file(path: str, pid: int) -> None:
    """Put the pid into a file, decimal without a newline, complete or not at all.

    Raises:
        KernelError: the directory cannot be written.
    """
    directory, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(directory, f".{name}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        try:
            fd = os.open(temporary, flags, 0o666)
        except FileExistsError:
            os.unlink(temporary)  # left by a runtime that was killed between the open and the rename
            fd = os.open(temporary, flags, 0o666)
        try:
            try:
                os.write(fd, str(pid).encode())
            finally:
                os.close(fd)
            os.rename(temporary, os.path.join(directory, name))
        except OSError:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise KernelError.of("cannot write pid file", error, where=path) from error
