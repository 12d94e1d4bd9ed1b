"""What ``create``, ``run`` and ``plan`` have in common: the options that describe the container to be."""

from __future__ import annotations

import os

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
PIDFD_SOCKET = Option(
    "pidfd-socket", "unix socket that gets the pidfd", later="the pidfd is not handed out in this release"
)
PID_FILE = Option("pid-file", "write the pid of the process to this file", metavar="path")
PRESERVE_FDS = Option("preserve-fds", "", NUMBER, later="further descriptors are not passed in this release")

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
        UsageError: a console socket for a container whose terminal we proxy ourselves.
    """
    options = call.options
    check_console_socket(options["console-socket"], detached=detached)
    return {
        **plan_keywords(call),
        "pid_file": absolute(options["pid-file"]),
        "console_socket": absolute(options["console-socket"]),
        "detached": detached,
    }


def check_console_socket(path: str, *, detached: bool) -> None:
    """Refuse a console socket in the foreground, where the pty master is ours."""
    if path and not detached:
        raise UsageError(
            "cannot use console socket if runc will not detach or allocate tty", where=path, hint="add --detach"
        )
