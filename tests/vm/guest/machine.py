"""Run one shell script as root in a guest, hand back its output and exit code."""

from __future__ import annotations

import os
import select
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from . import image, template
from .keeper import kept
from .modes import Mode
from .template import GuestError

__all__ = ["GuestError", "Result", "run"]

#: Seconds between two looks at the files that the guest writes.
_LOOK = 0.02


@dataclass(frozen=True)
class Result:
    """What a run in the guest gave.

    Attributes:
        code: exit code of the script; 125 when the guest did not come to its end.
        stdout: what the script wrote there.
        stderr: likewise.
        console: messages of the guest's kernel and of its runner since it went on.
        seconds: wall time of the run, without the making of image and template.
    """

    code: int
    stdout: bytes
    stderr: bytes
    console: str
    seconds: float


def run(
    mode: Mode,
    script: str,
    *,
    checkout: Path,
    timeout: float,
    job: Path | None = None,
    layer: Path | None = None,
    streams: tuple[BinaryIO, BinaryIO] | None = None,
    rebuild: bool = False,
) -> Result:
    """Run ``script`` with bash in ``checkout`` (read-only there) of a guest that goes on from its template.

    Args:
        mode: which guest.
        timeout: seconds after which the run is ended; making image and template does not count.
        job: directory that is /job in the guest, read-write; otherwise an empty one, gone afterwards.
        layer: directory of the host that the guest sees laid over the checkout; see bytecode.
        streams: where stdout and stderr are copied to while they come.
        rebuild: make the image anew.

    Raises:
        GuestError: the guest did not come up.
        OSError, subprocess.CalledProcessError, ValueError: the image cannot be made; see image.built().
    """
    with ExitStack() as stack:
        built = stack.enter_context(image.built(rebuild=rebuild))
        frozen = stack.enter_context(template.frozen(built, mode))
        started = time.monotonic()
        directory = Path(tempfile.gettempdir()) / f"corelaunch-vm.{os.getpid()}.{time.monotonic_ns()}"
        stack.enter_context(kept(directory))
        control = directory / "control"
        control.mkdir()
        (control / "run").write_text(script)
        (control / "checkout").write_text(f"{checkout}\n")
        (control / "layer").write_text(f"{layer or ''}\n")
        for name in ("out", "err"):
            (control / name).touch()
        if job is None:
            job = directory / "job"
            job.mkdir()
        console, protocol = stack.enter_context(
            template.machine(
                built, mode, frozen, directory / "machine", making=False, control=control, job=job.resolve()
            )
        )
        template.resume(protocol, frozen, console)
        with (control / "out").open("rb") as out, (control / "err").open("rb") as err:
            copy = _copier((out, err), streams)
            said = _wait(console, control / "rc", started + timeout, copy)
            copy()
        code = _text(control / "rc").strip()
        if not code and time.monotonic() >= started + timeout:
            said += f"\nvm: the guest was ended after {timeout:.0f} s\n"
        return Result(
            int(code) if code else 125,
            (control / "out").read_bytes(),
            (control / "err").read_bytes(),
            said,
            time.monotonic() - started,
        )


def _wait(console: socket.socket, code: Path, deadline: float, copy: Callable[[], None]) -> str:
    """Until the exit code is there, QEMU ends or the deadline comes; give what the console said."""
    said = b""
    # Its buffer must not fill up: the guest would wait for it.
    while not code.exists() and time.monotonic() < deadline:
        if select.select([console], [], [], _LOOK)[0]:
            data = console.recv(65536)
            if not data:
                break  # QEMU ended
            said += data
        copy()
    return said.decode(errors="replace")


def _copier(sources: tuple[BinaryIO, BinaryIO], sinks: tuple[BinaryIO, BinaryIO] | None) -> Callable[[], None]:
    def copy() -> None:
        for source, sink in zip(sources, sinks or (), strict=bool(sinks)):
            if data := source.read():
                sink.write(data)
                sink.flush()

    return copy


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
