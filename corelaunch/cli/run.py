"""``run``: create, start, and in the foreground wait for the container and delete it."""

from __future__ import annotations

import posix

from .command import Call, Command
from .foreground import run_in_foreground
from .launch import LAUNCH_OPTIONS, bundle_of, create_keywords
from .options import FLAG, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..process import Process
    from ..trace import Trace


def run(call: Call) -> int:
    """Run the container; the exit code is that of its process, 128+N if signal N ended it."""
    options = call.options
    keywords = create_keywords(call, detached=options["detach"])
    runtime = call.runtime()
    container_id, bundle = call.arguments[0], bundle_of(call)
    if not options["detach"]:
        attend = _attendance(call, runtime.trace)
        return runtime.run(container_id, bundle, attend=attend, keep=options["keep"], **keywords)
    container = runtime.create(container_id, bundle, **keywords)
    try:
        if posix.environ.get(b"NOTIFY_SOCKET"):
            from .readiness import start_and_tell

            start_and_tell(call, container)
        else:
            container.start()
    except BaseException:
        container.delete(force=True)
        raise
    return 0


def _attendance(call: Call, trace: Trace) -> Callable[[Process, Callable[..., None]], int]:
    """What stays with the container in the foreground."""
    subreaper = not call.options["no-subreaper"]
    if posix.environ.get(b"NOTIFY_SOCKET"):
        from .readiness import attended

        return attended(call, trace, subreaper=subreaper)
    return lambda init, start: run_in_foreground(init, start, trace, subreaper=subreaper)


COMMAND = Command(
    "run",
    "<container-id>",
    """Makes the container of a bundle and runs the process of its config.json. In the foreground, the default, the
caller's terminal or stdio is the container's, signals are passed on, the exit code is the process's own (128+N
if signal N ended it), and the container is deleted at the end.""",
    run,
    (
        *LAUNCH_OPTIONS,
        Option("detach d", "return as soon as the process runs", FLAG),
        Option("keep", "do not delete the container when its process has ended", FLAG),
        Option("no-subreaper", "leave orphans of the container's processes to who is above us", FLAG),
    ),
    chooses=True,
)
