"""``start``: open the init's gate, hear its last words, run the poststart hooks."""

from __future__ import annotations

import os
from _signal import SIGKILL
from errno import ENXIO

from .bootstrap.last_words import check_executed, read_to_end
from .bootstrap.stdio import ERROR_FIFO, START_FIFO
from .errors import ChildError, CorelaunchError, HookError, KernelError, WrongStatus
from .trace import CHILD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container
    from .notify import NotifySocket
    from .runtime import Runtime
    from .state.book import Book

#: From the byte on the start FIFO to execve there is next to nothing to do but for the startContainer hooks.
EXECUTE_SECONDS = 60.0
#: The wait for that, in a trace.
EXECVE = f"{CHILD}: execve"
#: From its last words to its end there is less.
END_SECONDS = 10.0


def start(runtime: Runtime, container: Container, book: Book, notify: NotifySocket | None) -> None:
    """Start a created container; see :meth:`Container.start`."""
    _observe(runtime, container, book, "starting")
    if notify is not None:
        notify.bind(container.directory)
    with runtime.trace.step("start gate"):
        _open_gate(runtime, container, book)
    _observe(runtime, container, book, "started")
    hooks = book.ledger.begin.get("hooks", {}).get("poststart")
    if hooks:
        with runtime.trace.step("hooks poststart"):
            _poststart(container, book, hooks)


def _open_gate(runtime: Runtime, container: Container, book: Book) -> None:
    directory = container.directory
    # Both before the byte is written: the init may execute, and so close its ends, at once.
    errors = gate = -1
    try:
        errors = os.open(
            os.path.join(directory, ERROR_FIFO), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
        )
        gate = os.open(os.path.join(directory, START_FIFO), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        os.write(gate, b"s")
        # Recorded after the byte: killed in between, the container runs and says "created", and delete undoes both.
        book.record("status", status="started")
        with runtime.trace.step(EXECVE):
            hear(container, errors, EXECUTE_SECONDS + book.ledger.begin.get("start_hook_seconds", 0))
    except OSError as error:
        # ENXIO: nobody reads the FIFO, so the init is gone.
        why = ": its init does not wait for start" if error.errno == ENXIO else ""
        raise KernelError.of(f"cannot start container{why}", error, where=container.id) from error
    finally:
        for fd in (errors, gate):
            if fd >= 0:
                os.close(fd)


def _await_end(container: Container) -> None:
    """Wait for an init that has said its last words: whoever looks next is to see "stopped", not its last moment."""
    from .kernel import pidfd

    try:
        pidfd.poll_exit(container.process.pidfd, END_SECONDS)
    except WrongStatus:
        return  # it is gone already


def hear(container: Container, errors: int, seconds: float = EXECUTE_SECONDS) -> None:
    """Hear from the error FIFO how the startContainer hooks and the execve went that the open gate led to.

    If they failed the init has ended when this returns.

    Raises:
        HookError, ChildError: one of them failed.
        WrongStatus: the init did not get that far.
    """
    try:
        if not check_executed(read_to_end(errors, seconds), gated=True):
            raise WrongStatus(
                "cannot start a container that has stopped", where=container.id, why="its init died at the start gate"
            )
    except (ChildError, HookError, WrongStatus):
        _await_end(container)
        raise


def _poststart(container: Container, book: Book, hooks: list[dict[str, object]]) -> None:
    from .lifecycle import run_hooks

    state = container.state()
    try:
        run_hooks(book, "poststart", hooks, {k: state[k] for k in _HOOK_STATE if k in state}, container.bundle)
    except CorelaunchError:
        # runtime-spec 1.3.0, runtime.md: a failing poststart hook stops the container.
        try:
            container.process.signal(SIGKILL)
        except WrongStatus:
            pass  # it ended by itself meanwhile
        raise


_HOOK_STATE = ("ociVersion", "id", "status", "pid", "bundle", "annotations")


def _observe(runtime: Runtime, container: Container, book: Book, name: str) -> None:
    """Tell the lifecycle plugins that this container was created with of a moment; one that has come nobody stops."""
    if book.ledger.begin.get("lifecycle"):
        from .moments import observe, tell

        if name == "starting":
            observe(runtime.registry, container.id, book.ledger, name, container.pid)
        else:
            tell(runtime.registry, runtime.log, container.id, book.ledger, name, pid=container.pid)
