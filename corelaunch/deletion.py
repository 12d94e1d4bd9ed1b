"""``delete``: by the rules when all is well, by force when a runtime died or hangs in the middle of something."""

from __future__ import annotations

import os
import time

from . import teardown
from .errors import ContainerNotFound, CorelaunchError, DeadlineExceeded, WrongStatus
from .state import lock, state_file
from .state.journal import Journal
from .state.ledger import Ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .api import ProcessHandle
    from .container import Container
    from .runtime import Runtime
    from .state.book import Book

#: Between mkdir of the state directory and the first byte of its journal, so that a new create is not mistaken
#: for one that was killed there.
_YOUNG_SECONDS = 1.0


def delete(runtime: Runtime, container: Container, *, force: bool) -> None:
    """Delete a container; see :meth:`Container.delete`."""
    book = open_to_delete(container, force=force)
    if book is None:
        _remove_unjournaled(container, force=force)
        return
    try:
        if not force:
            _refuse_if_alive(container)
        if book.ledger.begin.get("lifecycle"):
            from . import farewell

            if not farewell.before(runtime, container, book, force=force):
                return
        book.record("status", status="deleting")
        with runtime.trace.step("undo"):
            teardown.undo(book, runtime.registry, runtime.log, skip_missing=force)
        teardown.run_poststop(book, runtime.log, runtime.trace)
        if book.ledger.begin.get("lifecycle") and not farewell.after(runtime, book):
            return
        teardown.remove_directory(book.directory)
    finally:
        book.close()


def open_to_delete(container: Container, *, force: bool) -> Book | None:
    """The books of a container for whoever removes it, alone; None if it was killed before it had any.

    Args:
        force: stop a runtime that hangs on it.
    """
    try:
        book = _open(container, force=force)
    except ContainerNotFound:
        if not _rebuild_journal(container):
            return None
        book = _open(container, force=force)
    try:
        _fill_in(book)
    except BaseException:
        book.close()
        raise
    return book


def after_failure(runtime: Runtime, container: Container) -> None:
    """Delete a container for which something has failed, which the caller raises: that this fails, too, is a warning.

    Also if it was a first delete that failed, or that a KeyboardInterrupt came into.
    """
    try:
        container.delete(force=True)
    except ContainerNotFound:
        pass  # it had come that far, or somebody else has
    except CorelaunchError as second:
        runtime.log("warning", f"after a failed run: {second}")


def _open(container: Container, *, force: bool) -> Book:
    from .container import FORCE_SECONDS

    if not force:
        return container.open_book(exclusive=True)
    try:
        return container.open_book(exclusive=True, wait_seconds=FORCE_SECONDS)
    except DeadlineExceeded:
        pass
    try:
        # Nobody has it for himself, so only execs are in the way, and one of them stands still. It cannot do harm: its
        # child is recorded and in the cgroup, and what it does with the container from here on fails.
        return container.open_book(exclusive=False, wait_seconds=0)
    except DeadlineExceeded:
        _break_lock(container)
        return container.open_book(exclusive=True, wait_seconds=FORCE_SECONDS)


def _break_lock(container: Container) -> None:
    """Stop whoever hangs on a container: its init first, which lets a waiting runtime finish; then the runtime."""
    init = container.handle()
    if init is not None:
        teardown.kill_process_handle(init)
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        holder: ProcessHandle | None = lock.read_holder(container.directory)
        if holder is None or holder.pid == os.getpid() or not container.locked():
            return
        time.sleep(0.05)
    if holder is not None:
        teardown.kill_process_handle(holder)


def _refuse_if_alive(container: Container) -> None:
    status = container.status
    if status in ("running", "paused", "creating"):
        raise WrongStatus(
            f"cannot delete container {container.id} that is not stopped: {status}",
            hint="kill it first, or use delete --force",
        )


def _fill_in(book: Book) -> None:
    """Take from state.json what a damaged or shortened journal has lost.

    A journal that says "creating" beside a state.json was cut: the record of "created" was written before it.
    """
    if book.ledger.damaged or book.ledger.status == "creating":
        copy = state_file.read(book.directory)
        if copy:
            offset = book.ledger.offset
            book.ledger = Ledger().catch_up(state_file.merge(copy, book.ledger.records), offset)


def _rebuild_journal(container: Container) -> bool:
    """Write a lost journal anew from state.json. False when there is none: the container was never ready."""
    records = state_file.read(container.directory)
    if not records:
        return False
    try:
        journal = Journal.create(container.directory)
    except FileExistsError:
        return True  # another delete did it
    try:
        journal.append(records)
    finally:
        journal.close()
    return True


def _remove_unjournaled(container: Container, *, force: bool) -> None:
    """A directory without journal and state.json: killed right after its mkdir, so nothing else was made."""
    try:
        age = time.time() - os.stat(container.directory).st_mtime
    except FileNotFoundError:
        raise ContainerNotFound(container.id) from None
    if not force and age < _YOUNG_SECONDS:
        raise WrongStatus(f"cannot delete container {container.id} that is not stopped: creating")
    teardown.remove_directory(container.directory)
