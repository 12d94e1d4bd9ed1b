"""``--preserve-fds`` and LISTEN_FDS: descriptors of the caller that the process is to get.

Only what the caller handed to this command counts. A descriptor that came through our own execve is not
close-on-exec, and whatever Python opened since is (PEP 446): so the log, or a socket of ours, that happens to have the
number of a descriptor that the caller promised and did not give is not taken for it.
"""

from __future__ import annotations

import os

from ..bootstrap.stdio import ProcessIO
from ..errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The first descriptor that LISTEN_FDS and --preserve-fds count from (SD_LISTEN_FDS_START).
FIRST = 3


def inherited_io(preserve: int, environment: Mapping[str, str] | None, log: Callable[[str, str], None]) -> ProcessIO:
    """The caller's standard streams, the sockets of LISTEN_FDS, and the ``preserve`` descriptors behind these.

    Args:
        environment: where LISTEN_FDS and LISTEN_PID are looked up; None: they are left alone, as ``exec`` does.
        log: is told of a LISTEN_FDS that is ours and makes no sense.

    Raises:
        UsageError: a descriptor was not handed to us; the first of them is named.
    """
    listening = _listening(environment, log) if environment is not None else 0
    for fd in range(FIRST, FIRST + listening):
        if not _was_inherited(fd):
            raise UsageError("unable to pass the sockets of LISTEN_FDS", where=f"descriptor {fd}", why="it is not open")
    first = FIRST + listening
    for number in range(preserve):
        if not _was_inherited(first + number):
            raise UsageError(
                f"unable to stat preserved-fd {number} (of {preserve})",
                where=f"descriptor {first + number}",
                why="it is not open",
                hint="the caller of this command must leave it open, and not close-on-exec",
            )
    return ProcessIO(preserved=tuple(range(FIRST, first + preserve)), listening=listening)


def _listening(environment: Mapping[str, str], log: Callable[[str, str], None]) -> int:
    """How many sockets sd_listen_fds(3) would find: those of another LISTEN_PID are not for us."""
    if environment.get("LISTEN_PID", "") != str(os.getpid()):
        return 0
    text = environment.get("LISTEN_FDS", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        log("warning", f"LISTEN_FDS is ignored: {text!r} is no number")
        return 0
    return int(text)


def _was_inherited(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False
