"""A booted guest, frozen: its memory in a file and the rest of its state in another; each run goes on from there.

The guest stops itself before it mounts anything of the host (a mounted 9p share cannot be migrated), says so on the
console, and waits there for the time of day.
"""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from . import qemu
from .cache import cache_directory, digest, held, say, trim
from .image import Image
from .keeper import kept
from .modes import Mode

#: Templates that are kept beside those in use: one of each kind of guest, and of a second image.
_KEPT = 24
_BOOT_SECONDS = (90, 180)
_FROZEN = b"guest-run: frozen"


class GuestError(Exception):
    """The guest did not come up; the text has its console."""


@contextmanager
def frozen(image: Image, mode: Mode) -> Iterator[Path]:
    """Give the template of this kind of guest until the end of the block, after making it if there is none.

    Raises:
        GuestError: the guest did not boot.
    """
    cache = cache_directory()
    directory = cache / template_name(*qemu.frozen_inputs(image, mode))

    def make(fresh: Path) -> None:
        say(f"booting a guest ({mode}) to resume it from now on")
        # A boot takes 5 to 20 s; one that hangs is not waited for long, and tried once more.
        if not _boot(image, mode, fresh, _BOOT_SECONDS[0]):
            say(f"the guest ({mode}) did not boot in {_BOOT_SECONDS[0]} s, and is booted again")
            if not _boot(image, mode, fresh, _BOOT_SECONDS[1]):
                raise GuestError(f"the guest ({mode}) did not boot in {_BOOT_SECONDS[1]} s, the second time")
        trim(cache, "template-", _KEPT)

    with held(directory, make):
        yield directory


def template_name(*inputs: str) -> str:
    """The name of the directory of a template: a hash of all that its state depends on."""
    return f"template-{digest(*inputs)}"


@contextmanager
def machine(
    image: Image, mode: Mode, template: Path, directory: Path, *, making: bool, control: Path, job: Path
) -> Iterator[tuple[socket.socket, qemu.Qmp]]:
    """Start QEMU, give its console and its machine protocol, end it with the block."""
    with ExitStack() as stack:
        console, console_there = _pair(stack)
        protocol, protocol_there = _pair(stack)
        command = qemu.command(
            image,
            mode,
            memory=template / "memory",
            shared=making,
            control=control,
            job=job,
            serial=console_there.fileno(),
            qmp=protocol_there.fileno(),
        )
        if not making:
            command += ["-incoming", "defer"]
        stack.enter_context(kept(directory, command, (console_there.fileno(), protocol_there.fileno())))
        console_there.close()
        protocol_there.close()
        try:
            yield console, stack.enter_context(closing(qemu.Qmp(protocol)))
        except qemu.QmpError as error:
            log = (directory / "log").read_text(errors="replace")
            raise GuestError(f"{mode}: {error}\n{log}") from error


def resume(protocol: qemu.Qmp, template: Path, console: socket.socket) -> None:
    """Go on from the template, and tell the guest the time."""
    protocol("migrate-incoming", uri=f"exec:cat {shlex.quote(str(template / 'state'))}")
    while protocol("query-status")["status"] == "inmigrate":
        time.sleep(0.01)
    protocol("cont")
    console.sendall(b"%d\n" % time.time())


def _boot(image: Image, mode: Mode, fresh: Path, seconds: float) -> bool:
    """Boot and freeze a guest in the directory ``fresh``; False if it said nothing in time.

    Raises:
        GuestError: it ended, or cannot be frozen.
    """
    for name in ("control", "job"):
        (fresh / name).mkdir(exist_ok=True)
    started = machine(
        image, mode, fresh, fresh / "machine", making=True, control=fresh / "control", job=fresh / "job"
    )
    with started as (console, protocol):
        seen, ended = _until(console, _FROZEN, time.monotonic() + seconds)
        if ended:
            raise GuestError(f"the guest ({mode}) ended in its boot; its console:\n{seen.decode(errors='replace')}")
        if _FROZEN not in seen:
            return False
        time.sleep(0.5)  # for what still runs there beside the runner, and for its `read` to be reached
        protocol("stop")
        protocol("migrate", uri=f"exec:cat >{shlex.quote(str(fresh / 'state'))}")
        while (state := protocol("query-migrate")["status"]) not in ("completed", "failed", "cancelled"):
            time.sleep(0.05)
        if state != "completed":
            raise GuestError(f"the guest ({mode}) cannot be frozen: migration {state}")
    for name in ("control", "job"):
        (fresh / name).rmdir()
    return True


def _until(console: socket.socket, wanted: bytes, deadline: float) -> tuple[bytes, bool]:
    """What the console says up to ``wanted`` or the deadline; and whether QEMU ended before."""
    seen = b""
    while wanted not in seen and (left := deadline - time.monotonic()) > 0:
        console.settimeout(left)
        try:
            data = console.recv(65536)
        except TimeoutError:
            break
        if not data:
            return seen, True
        seen += data
    return seen, False


def _pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    stack.enter_context(closing(ours))
    stack.enter_context(closing(theirs))
    return ours, theirs
