"""``spec``: write an example config.json."""

from __future__ import annotations

import os

from ..default_config import default_config
from ..errors import AlreadyExists, KernelError
from .command import Call, Command
from .options import FLAG, Option
from .output import indented


def run(call: Call) -> int:
    """Write it into the bundle; an existing one is left alone."""
    path = os.path.join(call.options["bundle"] or "", "config.json")
    config = default_config(terminal=True, rootless=call.options["rootless"], uid=os.geteuid(), gid=os.getegid())
    data = indented(config, 4).encode()
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise AlreadyExists("File config.json exists. Remove it first", where=path) from None
    except OSError as error:
        raise KernelError.of("cannot write config.json", error, where=path) from None
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError as error:
        os.unlink(path)
        raise KernelError.of("cannot write config.json", error, where=path) from None
    finally:
        os.close(fd)
    return 0


COMMAND = Command(
    "spec",
    "",
    """Writes a config.json to start from: it runs "sh" on a terminal, from the root filesystem in ./rootfs.

Example:
   mkdir -p bundle/rootfs/bin && cp /bin/busybox bundle/rootfs/bin/sh
   cd bundle && {program} spec && {program} run demo""",
    run,
    (
        Option("bundle b", "bundle directory (default: the current directory)", metavar="dir"),
        Option("rootless", "for a container that an ordinary user runs, in a user namespace", FLAG),
    ),
    fewest=0,
    most=0,
)
