"""Where spans go: over HTTP to a collector, if the environment names one, else as lines of a file.

Nothing here may hold up a launch: one collector that does not answer costs TIMEOUT, is told of once, and is then left
alone for a while.
"""

from __future__ import annotations

import os
import time

from corelaunch.api import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

#: A request to export a line, which a collector's otlpjsonfile receiver reads.
FILE = "/var/log/corelaunch-otel.jsonl"
#: Seconds that one export over HTTP may take, unless OTEL_EXPORTER_OTLP_TIMEOUT (in milliseconds) says otherwise.
TIMEOUT = 0.2
#: Seconds without another try after one that failed.
PAUSE = 30.0

_PORT = 4318


class Exporter:
    """Sends what it can, and says so once if it cannot."""

    def __init__(self) -> None:
        self._again = 0.0

    def send(self, request: Mapping[str, Any], log: Callable[[str, str], None]) -> None:
        """Export a request; never raises."""
        if time.monotonic() < self._again:
            return
        try:
            export(request)
        except (OSError, ValueError) as error:
            self._again = time.monotonic() + PAUSE
            why = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
            log("warning", f"spans are lost: {endpoint() or FILE}: {why}")


def endpoint() -> str:
    """The URL that the environment names (OpenTelemetry, "OTLP Exporter Configuration"), "" for none."""
    own = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
    base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    return own or (f"{base.rstrip('/')}/v1/traces" if base else "")


def export(request: Mapping[str, Any]) -> None:
    """Export a request.

    Raises:
        OSError: the file cannot be written, or the collector not be reached, or it did not answer in time.
        ValueError: the URL is none that we know, or the collector refused.
    """
    body = dumps(request).encode()
    url = endpoint()
    if url:
        _post(url, body, _seconds())
        return
    fd = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, body + b"\n")  # one write with O_APPEND: lines of runtimes that work at the same time do not mix
    finally:
        os.close(fd)


def _seconds() -> float:
    milliseconds = os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT", "")
    return int(milliseconds) / 1000 if milliseconds.isdigit() and int(milliseconds) else TIMEOUT


def _post(url: str, body: bytes, seconds: float) -> None:
    # The modules socket and http.client cost 30 ms at import, more than a launch; this is what is below them.
    import _socket

    host, port, path = _parts(url)
    deadline = time.monotonic() + seconds
    # As bytes: a text is encoded as IDNA, and that takes 20 ms to import, too.
    found = _socket.getaddrinfo(host.encode("ascii"), port, 0, _socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, address) in enumerate(found, 1):
        connection = _socket.socket(family, kind, protocol)
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            connection.connect(address)
            break
        except OSError:  # localhost is ::1, too, where fewer listen
            connection.close()
            if number == len(found):
                raise
    try:
        head = f"POST {path} HTTP/1.1\r\nHost: {url.split('/')[2]}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        answer = b""
        while b"\r\n" not in answer and len(answer) < 1024:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            chunk = connection.recv(1024)
            if not chunk:
                break
            answer += chunk
    finally:
        connection.close()
    line = answer.partition(b"\r\n")[0].decode("latin-1")
    version, _, status = line.partition(" ")
    if not version.startswith("HTTP/1.") or not status.startswith("2"):
        raise ValueError(f"it answered {line[:80]!r}")


def _parts(url: str) -> tuple[str, int, str]:
    """Host, port and path."""
    scheme, _, rest = url.partition("://")
    place, _, path = rest.partition("/")
    host, colon, port = place.rpartition(":") if not place.endswith("]") else (place, "", "")
    if not colon:
        host = place
    if scheme != "http" or not host or (colon and not port.isdigit()):
        raise ValueError("only http://HOST:PORT/PATH is known: let a collector on this host do the rest")
    return host.strip("[]"), int(port) if colon else _PORT, f"/{path}"
