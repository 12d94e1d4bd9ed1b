"""The process that stays beside systemd: has the caller's streams for the launcher, and reads systemd's console."""

from __future__ import annotations

import dataclasses
import json
import os
import selectors
import socket
from pathlib import Path

from .job import Job
from .mounting import MS_BIND, mount, unmount

SOCKET = Path("/run/with-systemd/socket")
#: Bytes of systemd's console that are kept; it is shown when the command could not be started.
_CONSOLE = 1 << 16


class Keeper:
    """Listens as soon as it is made, so that the launcher finds it; a process of its own from :meth:`start` on.

    Args:
        report: socket on which the launcher tells the host's side of the command's end.
        console: file for what systemd writes to its console.
        covers: mounts to take away before the command runs.
    """

    def __init__(self, job: Job, report: int, console: int, covers: tuple[str, ...]) -> None:
        self._job = job
        self._report = report
        self._console = console
        self._covers = covers
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(SOCKET))
        os.chown(SOCKET, job.uid, job.gid)
        self._listener.listen(1)
        # Both ends stay open: without the other one, reading would fail at once, again and again.
        self._terminal, self._other_end = os.openpty()
        # Not the machine's console, which systemd would reset and write to.
        mount("", "/dev/console", MS_BIND, source=os.ttyname(self._other_end))

    def start(self) -> None:
        """Leave a child that serves; the caller has nothing open of it."""
        if os.fork() == 0:
            status = 1
            try:
                os.setsid()
                self._serve()
            finally:
                os._exit(status)
        self._listener.close()
        for fd in (self._terminal, self._other_end, self._report, self._console):
            os.close(fd)

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ, self._hand_over)
            selector.register(self._terminal, selectors.EVENT_READ, self._keep)
            while True:
                for key, _ in selector.select():
                    if not key.data():
                        selector.unregister(key.fd)

    def _hand_over(self) -> bool:
        """Give the one launcher all that it needs, and keep nothing of it: a pipe must end with its command."""
        connection, _ = self._listener.accept()
        for path in self._covers:
            unmount(path)
        with connection:
            socket.send_fds(connection, [b"\n"], [0, 1, 2, self._report])
            connection.sendall(json.dumps(dataclasses.asdict(self._job)).encode())
        null = os.open("/dev/null", os.O_RDWR)
        for stream in (0, 1, 2, self._report):
            os.dup2(null, stream)
        return False

    def _keep(self) -> bool:
        said = os.read(self._terminal, 4096)
        if os.fstat(self._console).st_size < _CONSOLE:
            os.write(self._console, said)
        return True
