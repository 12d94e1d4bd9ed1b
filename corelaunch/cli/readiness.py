"""NOTIFY_SOCKET of the command line: who is told when a container is ready. Imported only where that is set."""

from __future__ import annotations

import os

from ..notify import NotifySocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..container import Container
    from ..process import Process
    from ..trace import Trace
    from .command import Call


def notify_socket(call: Call) -> NotifySocket:
    """What tells the service manager when the container is ready.

    Raises:
        UsageError: NOTIFY_SOCKET is no address.
    """
    return NotifySocket(os.environ["NOTIFY_SOCKET"], call.log.write)


def start_and_tell(call: Call, container: Container) -> None:
    """Start a container that is left to itself, and return when it is ready and the service manager knows, or it ended.

    Raises:
        CorelaunchError: as :meth:`Container.start`.
    """
    notify = notify_socket(call)
    # Opened before it runs: by the time that it is started it may have said all that it has to say, and be gone.
    init = container.process if container.status == "created" else None
    container.start(notify)
    if init is not None:
        notify.forward(init.pid, init.pidfd)


def attended(call: Call, trace: Trace, *, subreaper: bool) -> Callable[[Process, Callable[..., None]], int]:
    """As ``foreground.run_in_foreground``, with a notify socket."""
    from .foreground import run_in_foreground

    notify = notify_socket(call)

    def attend(init: Process, start: Callable[..., None]) -> int:
        return run_in_foreground(init, lambda: start(notify), trace, subreaper=subreaper, notify=notify)

    return attend
