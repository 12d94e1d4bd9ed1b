"""The open books of one container: directory, locked journal and ledger, kept in step with each other."""

from __future__ import annotations

import os
import time

from ..api import Effect, LaunchContext, ProcessHandle
from ..errors import AlreadyExists, ContainerNotFound, KernelError
from . import lock
from .journal import Journal
from .ledger import Ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ..records import Record
    from ..trace import Trace


class Book:
    """Directory, journal and ledger of one container while a verb works on it.

    Every write goes to the journal first and to the ledger after, so the ledger never knows more than the disk.
    """

    def __init__(self, container_id: str, directory: str, journal: Journal, ledger: Ledger) -> None:
        self.container_id = container_id
        self.directory = directory
        self.journal = journal
        self.ledger = ledger

    def record(self, record: str, **fields: Any) -> None:
        """Write one record and take it into account."""
        self.record_all([{"record": record, **fields}])

    def record_all(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write several records at once and take them into account."""
        begin, end = self.journal.append(records)
        if begin == self.ledger.offset:
            self.ledger.catch_up(records, end)
        else:  # a concurrent exec wrote before us
            self.ledger.catch_up(*self.journal.read(self.ledger.offset))

    def place(
        self, owner: str, kind: str, name: str, distribution: str, placement: Record, *, plain: bool = False
    ) -> None:
        """Write a placement before its manager makes anything.

        Args:
            plain: its directories are all that is to be removed of it (the feature ``plain-directories``); the front
                then can delete the container without the manager (native/quick_delete.c).
        """
        fields = placement.as_dict()
        self.record("place", owner=owner, kind=kind, name=name, distribution=distribution, fields=fields, plain=plain)

    def process(self, role: str, handle: ProcessHandle, process_group: int = 0) -> None:
        """Write a process of ours; it must still be blocked when this is called."""
        self.record("process", role=role, pid=handle.pid, start_time=handle.start_time, process_group=process_group)

    def gone(self, *effects: Effect) -> None:
        """Write that effects are not there, or not any more."""
        if effects:
            self.record_all([{"record": "gone", "number": effect.number} for effect in effects])

    def context(self, owner: str, seconds: float, log: Callable[[str, str], None], trace: Trace) -> JournalContext:
        """The context to hand to a manager for one call of at most ``seconds``."""
        return JournalContext(self, owner, time.monotonic() + seconds, log, trace)

    def unlock(self) -> None:
        """Release the lock and keep the journal open: what is still to be appended is whole in itself."""
        lock.release(self.journal)

    def close(self) -> None:
        """Close the journal, which releases its lock."""
        self.journal.close()


def open_book(container_id: str, directory: str, ledger: Ledger, *, exclusive: bool, wait_seconds: float) -> Book:
    """Open and lock the journal of an existing container, and bring ``ledger`` up to date with it.

    Raises:
        ContainerNotFound: it has no journal, or was deleted while we waited.
        DeadlineExceeded: somebody else holds it.
    """
    try:
        journal = Journal.open(directory)
    except FileNotFoundError:
        raise ContainerNotFound(container_id) from None
    try:
        lock.take(journal, exclusive=exclusive, wait_seconds=wait_seconds)
        return Book(container_id, directory, journal, ledger.catch_up(*journal.read(ledger.offset)))
    except FileNotFoundError:
        journal.close()
        raise ContainerNotFound(container_id) from None  # deleted while we waited
    except BaseException:
        journal.close()
        raise


class JournalContext(LaunchContext):
    """The LaunchContext of a real launch: announcements go to the journal."""

    __slots__ = ("_book", "_log", "_owner", "_trace")

    def __init__(self, book: Book, owner: str, deadline: float, log: Callable[[str, str], None], trace: Trace) -> None:
        super().__init__(book.container_id, deadline)
        self._book = book
        self._owner = owner
        self._log = log
        self._trace = trace

    def intend(self, kind: str, name: str, *, absent: bool, **args: Any) -> Effect:
        """Write the announcement; see :meth:`LaunchContext.intend`."""
        number = self._book.ledger.last_number + 1
        self._book.record("intend", number=number, owner=self._owner, kind=kind, name=name, args=args, absent=absent)
        return Effect(number, kind, name, args, absent)

    def done(self, effect: Effect, **facts: Any) -> Effect:
        """Write the confirmation; see :meth:`LaunchContext.done`."""
        self._book.record("done", number=effect.number, facts=facts)
        return effect.replace(done=True, facts=facts)  # type: ignore[no-any-return]

    def withdraw(self, effect: Effect) -> None:
        """Write that it is not there; see :meth:`LaunchContext.withdraw`."""
        self._book.gone(effect)

    def directory(self, kind: str, path: str, mode: int = 0o755) -> Effect:
        """Make a directory; see :meth:`LaunchContext.directory`."""
        effect = self.intend(kind, path, absent=not os.path.lexists(path), path=path)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            self._book.gone(effect)
            raise AlreadyExists(
                f"{kind} exists already",
                where=path,
                why="it is not of this container",
                hint="remove it or choose another path",
            ) from None
        except OSError as error:
            self._book.gone(effect)
            raise KernelError.of(f"cannot make {kind}", error, where=path) from error
        made = os.stat(path, follow_symlinks=False)
        return self.done(effect, dev=made.st_dev, ino=made.st_ino)

    def log(self, level: str, message: str) -> None:
        """Write to the runtime's log."""
        self._log(level, message)

    def step(self, name: str) -> Any:
        """Time a part of the call under its own name."""
        return self._trace.step(name, self._owner)
