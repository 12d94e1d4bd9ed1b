"""What ``create``, ``run`` and ``plan`` have in common: the options that describe the container to be."""

from __future__ import annotations

import os
import posix

from ..errors import UsageError
from .options import FLAG, LIST, NUMBER, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .command import Call

BUNDLE = Option("bundle b", "bundle directory (default: the current directory)", metavar="dir")
NETWORK = Option("network", "interface to give the container: TYPE[:key=value,...] (repeatable)", LIST)
NO_PIVOT = Option("no-pivot", "move the root mount instead of pivot_root, for a rootfs on a ramdisk", FLAG)
NO_NEW_KEYRING = Option("no-new-keyring", "keep the caller's session keyring", FLAG)
CONSOLE_SOCKET = Option("console-socket", "unix socket that gets the master of the console's pty", metavar="path")
PIDFD_SOCKET = Option("pidfd-socket", "unix socket that gets the pidfd of the process", metavar="path")
PID_FILE = Option("pid-file", "write the pid of the process to this file", metavar="path")
PRESERVE_FDS = Option("preserve-fds", "pass this many descriptors of the caller on, from 3 upward", NUMBER)

LAUNCH_OPTIONS = (
    BUNDLE,
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    PID_FILE,
    NO_PIVOT,
    NO_NEW_KEYRING,
    PRESERVE_FDS,
    NETWORK,
)


def absolute(path: str) -> str:
    """``path`` made absolute, "" left alone."""
    return os.path.abspath(path) if path else ""


def bundle_of(call: Call) -> str:
    """The bundle that the call is about."""
    return os.path.abspath(call.options["bundle"] or ".")


def plan_keywords(call: Call) -> dict[str, Any]:
    """Keyword arguments of ``Runtime.plan`` from the options of a call."""
    options = call.options
    return {
        "networks": options["network"],
        "no_pivot": options["no-pivot"],
        "no_new_keyring": options["no-new-keyring"],
    }


def create_keywords(call: Call, *, detached: bool) -> dict[str, Any]:
    """Keyword arguments of ``Runtime.create`` from the options of a call.

    Raises:
        UsageError: a console socket for a container whose terminal we proxy ourselves, or a descriptor is missing.
    """
    check_console_socket(call.options["console-socket"], detached=detached)
    keywords = {**plan_keywords(call), **handover_keywords(call, listen=True), "detached": detached}
    if posix.environ.get(b"NOTIFY_SOCKET"):
        from ..notify import check_address

        check_address(os.environ["NOTIFY_SOCKET"])
        keywords["notify"] = True
    return keywords


def handover_keywords(call: Call, *, listen: bool) -> dict[str, Any]:
    """What ``create``, ``run`` and ``exec`` take from their caller and hand back to it.

    Args:
        listen: the sockets of LISTEN_FDS go to the process.

    Raises:
        UsageError: a descriptor that is to be preserved is not there.
    """
    options = call.options
    keywords: dict[str, Any] = {
        "pid_file": absolute(options["pid-file"]),
        "console_socket": absolute(options["console-socket"]),
        "pidfd_socket": absolute(options["pidfd-socket"]),
    }
    if options["preserve-fds"] or (listen and b"LISTEN_FDS" in posix.environ):
        from .descriptors import inherited_io

        environment = os.environ if listen else None
        keywords["io"] = inherited_io(options["preserve-fds"], environment, call.log.write)
    return keywords


def check_console_socket(path: str, *, detached: bool) -> None:
    """Refuse a console socket in the foreground, where the pty master is ours."""
    if path and not detached:
        raise UsageError(
            "cannot use console socket if runc will not detach or allocate tty", where=path, hint="add --detach"
        )
