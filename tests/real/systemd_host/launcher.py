"""The service that runs the command, with the streams, and environment of the caller."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

_NOT_EXECUTABLE, _NOT_FOUND = 126, 127


def main(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        _, streams, _, _ = socket.recv_fds(connection, 1, 4)
        with connection.makefile("r") as text:
            job = json.loads(text.read())
    *streams, report = streams
    os.write(report, b"started\n")
    code = _run(job, streams)
    os.write(report, f"{code}\n".encode())


def _run(job: dict, streams: list[int]) -> int:
    """The command's exit code, as a shell gives it."""
    # systemd's own words to a service (INVOCATION_ID ...) are not for the command: it is no service, it is in one.
    try:
        os.chdir(job["directory"])
        stdin, stdout, stderr = streams
        process = subprocess.Popen(job["command"], stdin=stdin, stdout=stdout, stderr=stderr, env=job["environment"])
    except OSError as error:
        os.write(streams[2], f"with-systemd: {error.filename}: {error.strerror}\n".encode())
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    for fd in streams:
        os.close(fd)
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main(sys.argv[1])
