"""Readiness of a container told to the service manager above us (sd_notify(3)), as runc does.

The container gets a socket of its own, /run/notify/notify.sock, and never the service manager's. Whoever is in there
may send to it what he likes: one datagram at a time is read, at most 4096 bytes of it, and nothing of it is passed on;
that a line of it is READY=1 is all that it can say, once. What the service manager gets is written by us.
"""

from __future__ import annotations

import os
import select
import stat

from .errors import KernelError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

#: In the state directory of the container; bound into it, read-only.
DIRECTORY = "notify"
SOCKET = "notify.sock"
IN_CONTAINER = "/run/notify"

_READY = b"READY=1"
_DATAGRAM_LIMIT = 4096
#: More than the queue of a socket holds (net.unix.max_dgram_qlen).
_LAST_DATAGRAMS = 1024
#: How long the service manager may take for one message, and to say that it has taken all of them (runc's).
_SEND_SECONDS = 5.0
_BARRIER_SECONDS = 30.0


def check_address(address: str) -> str:
    """The address of a service manager's socket as NOTIFY_SOCKET has it.

    Raises:
        UsageError: it is neither an absolute path nor ``@`` and an abstract name.
    """
    if len(address) < 2 or address[0] not in "/@":
        raise UsageError("invalid NOTIFY_SOCKET", where=repr(address), hint="it is an absolute path, or @ and a name")
    return address


def with_socket(config: Mapping[str, Any], state_directory: str) -> dict[str, Any]:
    """A config with the mount and the environment variable that let its process find the socket."""
    mount = {
        "destination": IN_CONTAINER,
        "type": "bind",
        "source": os.path.join(state_directory, DIRECTORY),
        "options": ["bind", "nosuid", "noexec", "nodev", "ro"],
    }
    process = config["process"]
    environment = [*(process.get("env") or ()), f"NOTIFY_SOCKET={IN_CONTAINER}/{SOCKET}"]
    return {
        **config,
        "mounts": [*(config.get("mounts") or ()), mount],
        "process": {**process, "env": environment},
    }


def make_directory(state_directory: str) -> None:
    """Make the directory that is bound into the container; the socket in it comes with ``start``."""
    path = os.path.join(state_directory, DIRECTORY)
    os.mkdir(path, 0o755)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(fd, 0o755)  # whatever our umask is: users of the container must get at the socket
    finally:
        os.close(fd)


def remove_directory(state_directory: str) -> None:
    """Remove the directory with all that is in it: a container with privileges may have put more there.

    By descriptors, and no link is followed; the container's processes are gone. However deep it is: what is in a
    directory is moved up before that is removed.
    """
    path = os.path.join(state_directory, DIRECTORY)
    top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        moved = 0
        while names := os.listdir(top):
            for name in names:
                moved = _remove(top, name, moved)
    finally:
        os.close(top)
    os.rmdir(path)


def _remove(top: int, name: str, moved: int) -> int:
    """Remove one entry of ``top``; the directories in it come to be in ``top``, under numbers from ``moved`` on."""
    if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
        os.unlink(name, dir_fd=top)
        return moved
    inside = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    try:
        for entry in os.listdir(inside):
            if not stat.S_ISDIR(os.lstat(entry, dir_fd=inside).st_mode):
                os.unlink(entry, dir_fd=inside)
                continue
            moved = _unused(top, moved + 1)
            os.rename(entry, str(moved), src_dir_fd=inside, dst_dir_fd=top)
    finally:
        os.close(inside)
    os.rmdir(name, dir_fd=top)
    return moved


def _unused(top: int, number: int) -> int:
    """The first number from ``number`` on that is no name in ``top``: the container may have thought of it, too."""
    while True:
        try:
            os.lstat(str(number), dir_fd=top)
        except FileNotFoundError:
            return number
        number += 1


class NotifySocket:
    """The socket of one container, and the way from it to the service manager.

    Args:
        address: of the service manager, as NOTIFY_SOCKET has it.
        log: is told what could not be passed on; the container runs all the same.

    Raises:
        UsageError: that is no address.
    """

    def __init__(self, address: str, log: Callable[[str, str], None]) -> None:
        self._address = check_address(address)
        self._log = log
        self._socket: Any = None
        self._manager: Any = None
        self._barrier = -1

    def bind(self, state_directory: str) -> None:
        """Make the socket, before the container's process can want it.

        Nothing is made for a container that was created without the directory for it, or if nobody would be told:
        a socket that nobody reads would only fill up.

        Raises:
            KernelError: it cannot be made.
        """
        import _socket

        try:
            where = os.open(
                os.path.join(state_directory, DIRECTORY),
                os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
            )
        except FileNotFoundError:
            return
        self._manager = self._connected()
        if self._manager is None:
            os.close(where)
            return
        made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
        try:
            try:
                os.unlink(SOCKET, dir_fd=where)  # of a `start` that was killed
            except FileNotFoundError:
                pass
            # By descriptor: a state root and an id may be longer than the 107 bytes of a socket's address.
            made.bind(f"/proc/self/fd/{where}/{SOCKET}")
            _open_to_all(where)
        except OSError as error:
            made.close()
            self.close()
            path = os.path.join(state_directory, DIRECTORY)
            raise KernelError.of("cannot make the notify socket", error, where=path) from error
        finally:
            os.close(where)
        self._socket = made

    def fileno(self) -> int:
        """Descriptor to poll for input, -1 once the container was ready, or if there is no socket."""
        return -1 if self._socket is None else int(self._socket.fileno())

    def take(self, pid: int) -> bool:
        """Read one datagram; if it says ready, tell the service manager, with ``pid`` as the main process.

        Returns:
            whether the container is ready; its socket is closed then.
        """
        try:
            data = self._socket.recv(_DATAGRAM_LIMIT)
        except OSError:
            return False
        if _READY not in data.split(b"\n"):
            return False
        self._socket.close()
        self._socket = None
        self._tell(pid)
        return True

    def forward(self, pid: int, pidfd: int, *, stay: bool = False) -> None:
        """Wait until the container is ready, or has ended, and tell the service manager.

        Args:
            pid: who is the main process of the service from then on.
            pidfd: of the container's init.
            stay: we do not end now, so nobody needs to have taken in what we said before that.
        """
        if self._socket is None:
            return
        poller = select.poll()
        poller.register(self.fileno(), select.POLLIN)
        poller.register(pidfd, select.POLLIN)
        while True:
            ended = pidfd in dict(poller.poll())
            # What was said before the end counts, but not without end: whoever is left in there could go on for ever.
            for _ in range(_LAST_DATAGRAMS if ended else 1):
                if self.take(pid):
                    if not stay:
                        self._await_barrier()
                    return
            if ended:
                return

    def close(self) -> None:
        """Close all that is open; senders in the container get ECONNREFUSED from then on."""
        for one in (self._socket, self._manager):
            if one is not None:
                one.close()
        if self._barrier >= 0:
            os.close(self._barrier)
        self._socket, self._manager, self._barrier = None, None, -1

    def _connected(self) -> Any:
        import _socket

        manager = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        manager.settimeout(_SEND_SECONDS)
        try:
            manager.connect("\0" + self._address[1:] if self._address[0] == "@" else self._address)
        except OSError as error:
            manager.close()
            self._warn(f"{error.strerror or error}; nobody is told when the container is ready")
            return None
        return manager

    def _tell(self, pid: int) -> None:
        """Say that the service is ready, who its main process is, and ask to be told when that was taken in."""
        import _socket
        from struct import pack

        self._barrier, theirs = os.pipe2(os.O_CLOEXEC)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("=i", theirs))
        try:
            self._manager.send(_READY + b"\n")
            self._manager.send(b"MAINPID=%d\n" % pid)
            self._manager.sendmsg([b"BARRIER=1"], [rights])
        except OSError as error:
            self._warn(error.strerror or str(error))
        finally:
            os.close(theirs)

    def _await_barrier(self) -> None:
        """Wait until the service manager has let go of our pipe: it must know of its main process before our end."""
        if self._barrier < 0:
            return
        poller = select.poll()
        poller.register(self._barrier, 0)
        if not poller.poll(_BARRIER_SECONDS * 1000):
            self._warn(f"no answer to BARRIER=1 in {_BARRIER_SECONDS:g} s")

    def _warn(self, why: str) -> None:
        self._log("warning", f"NOTIFY_SOCKET: {self._address}: {why}")


def _open_to_all(directory: int) -> None:
    """Let every user of the container send. By a descriptor of the socket itself, and never through a link."""
    fd = os.open(SOCKET, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise FileExistsError(17, "File exists", SOCKET)
        os.chmod(f"/proc/self/fd/{fd}", 0o777)
    finally:
        os.close(fd)
