"""The end of a child whose launch failed. Imported only then.

Whatever goes wrong here is a warning: the first error is the one that is told, and undoing by the journal comes next,
which kills every process that was recorded. A plugin in our process may have closed what it was not given.
"""

from __future__ import annotations

from ..errors import CorelaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .parent_process import ParentProcess


def abandon(process: ParentProcess, log: Callable[[str, str], None]) -> None:
    """Kill and reap the child, and close all that we hold of it, the pty master and the pidfd too."""
    for step in (process.terminate, process.close):
        try:
            step()
        except (CorelaunchError, OSError) as error:
            log("warning", f"after a failed launch: {step.__name__}: {error}")
    process.release(process.master_fd, process.handle.pidfd if process.handle is not None else -1)
    process.master_fd = -1
