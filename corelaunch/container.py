"""One container: which operation is legal in which state, and what each does."""

from __future__ import annotations

import os
from _signal import SIGKILL

from .api import ProcessHandle
from .errors import ContainerNotFound, CorelaunchError, DeadlineExceeded, WrongStatus
from .kernel import pidfd, procfs
from .process import Process
from .state import journal as journal_file
from .state import lock
from .state.journal import Journal
from .state.ledger import Ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .backends import Placed
    from .bootstrap.stdio import ProcessIO
    from .runtime import Runtime
    from .state.book import Book

CLONE_NEWPID = 0x20000000  # clone(2)

#: How long ``delete --force`` waits for another process's create, start or delete before it stops it.
FORCE_SECONDS = 10.0
#: How long start and delete wait for each other; none of them takes a second when all is well.
BUSY_SECONDS = 10.0

#: Why a container cannot be started, by its status; runc's words, which callers match.
_NOT_STARTED = {
    "stopped": "cannot start a container that has stopped",
    "running": "cannot start an already running container",
}


class Container:
    """A container below a state root. What it is now is always looked up, never remembered.

    Attributes:
        id: its id.
        bundle: absolute path of its bundle ("" when it was killed before its first record).
        created: when, RFC 3339.
    """

    def __init__(
        self, runtime: Runtime, container_id: str, directory: str, ledger: Ledger, init: Process | None
    ) -> None:
        self._runtime = runtime
        self._directory = directory
        self._ledger = ledger
        self._init = init
        self.id = container_id
        self.bundle: str = ledger.begin.get("bundle", "")
        self.created: str = ledger.begin.get("created", "")

    @classmethod
    def load(cls, runtime: Runtime, container_id: str, directory: str, init: Process | None = None) -> Container:
        """Read a container's journal, without a lock."""
        return cls(runtime, container_id, directory, Ledger().catch_up(*journal_file.read_records(directory)), init)

    # -- what it is ------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Pid of its init, 0 when it has none (any more)."""
        handle = self._handle()
        return handle.pid if handle is not None and _alive(handle) else 0

    @property
    def status(self) -> str:
        """creating, created, running, paused or stopped, derived from its init, its freezer and its journal."""
        ledger = self._ledger.catch_up(*journal_file.read_records(self._directory, self._ledger.offset))
        handle = self._handle()
        if handle is None:
            return "creating" if lock.read_holder(self._directory) else "stopped"
        if not _alive(handle):
            return "stopped"
        if self._frozen(ledger):
            return "paused"
        return "running" if ledger.status == "started" else "created"

    @property
    def process(self) -> Process:
        """Its init.

        Raises:
            WrongStatus: it has no living init.
        """
        if self._init is None:
            handle = self._handle()
            fd = _open_verified(handle) if handle is not None else -1
            if handle is None or fd < 0:
                raise WrongStatus("container not running", where=self.id)
            self._init = Process(handle.replace(pidfd=fd), child=False)
        return self._init

    def state(self) -> dict[str, Any]:
        """Its OCI state, with runc's additional fields (created, owner, rootfs)."""
        answer: dict[str, Any] = {
            "ociVersion": self._ledger.begin.get("oci_version", "1.0.0"),
            "id": self.id,
            "pid": self.pid,
            "status": self.status,
            "bundle": self.bundle,
            "rootfs": self._ledger.begin.get("rootfs", ""),
            "created": self.created,
        }
        annotations = self._ledger.begin.get("annotations")
        if annotations:
            answer["annotations"] = annotations
        answer["owner"] = ""
        return answer

    @property
    def owner_uid(self) -> int:
        """Uid of the user that created it."""
        return int(self._ledger.begin.get("owner_uid", os.geteuid()))

    def abandoned(self) -> bool:
        """Whether a runtime was killed while it created or deleted this container (what ``gc`` removes)."""
        if lock.read_holder(self._directory) is not None and self.locked():
            return False
        return self._ledger.status in ("creating", "deleting")

    # -- what it does ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Let its init execute the program of config.json.

        Raises:
            WrongStatus: it is not "created".
            ChildError: the program could not be executed; the container is stopped then.
            HookError: a poststart hook failed; the container was killed.
        """
        from .starting import start

        book = self.open_book(exclusive=True)
        try:
            status = self.status
            if status != "created":
                what = _NOT_STARTED.get(status, f"cannot start a container in the {status} state")
                raise WrongStatus(what, where=self.id)
            start(self._runtime, self, book)
        finally:
            book.close()

    def exec(
        self,
        process: Mapping[str, Any],
        *,
        io: ProcessIO | None = None,
        pid_file: str = "",
        console_socket: str = "",
    ) -> Process:
        """Execute one more program inside.

        Args:
            process: an OCI process object (config.md, Process).

        Raises:
            WrongStatus: it is neither created nor running.
            ChildError: the program could not be executed.
        """
        from .execution import execute

        status = self.status
        if status not in ("created", "running"):
            raise WrongStatus(
                "cannot exec in a paused container" if status == "paused" else "cannot exec in a stopped container",
                where=self.id,
            )
        return execute(self._runtime, self, process, io, pid_file=pid_file, console_socket=console_socket)

    def signal(self, number: int, all: bool = False) -> None:
        """Send a signal to its init.

        Args:
            all: also to every other process of its cgroup.

        Raises:
            WrongStatus: it is not running.
        """
        handle = self._handle()
        shared = not self._has_private_pid_namespace()
        if number == SIGKILL and (all or shared) and self._kill_cgroup():
            return
        if handle is None or not _alive(handle):
            raise WrongStatus("container not running", where=self.id)
        if all:
            self._signal_cgroup(number)
        else:
            self.process.signal(number)
        if number == SIGKILL:
            self._thaw()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its init to end; see :meth:`Process.wait`."""
        return self.process.wait(timeout)

    def end_shared_pid_namespace(self) -> None:
        """After the init's end: kill what it left, if its pid namespace was not its own and so did not end with it."""
        if not self._has_private_pid_namespace():
            self._kill_cgroup()

    def delete(self, force: bool = False) -> None:
        """Remove it and everything that was made for it.

        Args:
            force: kill it first, break the lock of a runtime that hangs, skip plugins that are gone.

        Raises:
            WrongStatus: it runs and ``force`` is not set.
            TeardownError: something could not be removed; its journal is kept for the next try.
        """
        from .deletion import delete

        delete(self._runtime, self, force=force)
        self.close()

    def close(self) -> None:
        """Close what this object holds open of its init; the container itself goes on."""
        if self._init is not None:
            self._init.close()
            self._init = None

    # -- for the modules that carry the operations out ---------------------------------------------------------

    @property
    def directory(self) -> str:
        """Its state directory."""
        return self._directory

    @property
    def ledger(self) -> Ledger:
        """What its journal said when it was loaded."""
        return self._ledger

    def handle(self) -> ProcessHandle | None:
        """Its init as its state or journal names it, dead or alive."""
        return self._handle()

    def cgroup(self) -> Placed | None:
        """Its cgroup backend, None if it has no cgroup."""
        from .backends import recall_cgroup

        return recall_cgroup(self._ledger, self._runtime.registry)

    def open_book(self, *, exclusive: bool, wait_seconds: float = BUSY_SECONDS) -> Book:
        """Open and lock its journal.

        Raises:
            ContainerNotFound: it has no journal, or was deleted while we waited.
            DeadlineExceeded: somebody else holds it.
        """
        from .state.book import Book

        try:
            journal = Journal.open(self._directory)
        except FileNotFoundError:
            raise ContainerNotFound(self.id) from None
        try:
            lock.take(journal, exclusive=exclusive, wait_seconds=wait_seconds)
            if not os.path.lexists(journal.path):
                raise ContainerNotFound(self.id)  # deleted while we waited
            # Whoever is alone takes what we know already and reads the rest; execs, which are not, read for themselves.
            ledger = self._ledger if exclusive else Ledger()
            return Book(self.id, self._directory, journal, ledger.catch_up(*journal.read(ledger.offset)))
        except BaseException:
            journal.close()
            raise

    def _handle(self) -> ProcessHandle | None:
        if self._ledger.begin.get("boot_id") != procfs.boot_id():
            return None  # of an earlier boot, or killed before its first record
        return self._ledger.init() if self._ledger.status != "creating" else None

    def _has_private_pid_namespace(self) -> bool:
        return bool(self._ledger.begin.get("namespaces", 0) & CLONE_NEWPID)

    def locked(self) -> bool:
        """Whether another process is working on it right now."""
        try:
            self.open_book(exclusive=True, wait_seconds=0).close()
        except DeadlineExceeded:
            return True
        except ContainerNotFound:
            return False
        return False

    def _frozen(self, ledger: Ledger) -> bool:
        if not ledger.placements:
            return False
        backend = self.cgroup()
        return (
            backend is not None and "freeze" in backend.manager.features and backend.manager.frozen(backend.placement)
        )

    def _thaw(self) -> None:
        """A process in a frozen v1 cgroup gets its SIGKILL only when it is thawed."""
        backend = self.cgroup()
        if backend is not None and "freeze" in backend.manager.features:
            backend.manager.thaw(backend.placement)

    def _kill_cgroup(self) -> bool:
        backend = self.cgroup()
        if backend is None or "kill" not in backend.manager.features:
            return False
        found = bool(backend.manager.processes(backend.placement))
        backend.manager.kill(backend.placement)
        return found

    def _signal_cgroup(self, number: int) -> None:
        backend = self.cgroup()
        if backend is None:
            self.process.signal(number)
            return
        for pid in backend.manager.processes(backend.placement):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue  # ended by itself, or by a signal just sent


def _alive(handle: ProcessHandle) -> bool:
    """Whether a process is there, is the same, and is not a zombie."""
    return procfs.start_time(handle.pid) == handle.start_time != 0 and procfs.state_letter(handle.pid) not in (
        "Z",
        "X",
        "",
    )


def _open_verified(handle: ProcessHandle) -> int:
    """A pidfd of exactly this process, -1 if it is gone; it cannot change hands after the open."""
    try:
        fd = pidfd.open(handle.pid)
    except ProcessLookupError:
        return -1
    if procfs.start_time(handle.pid) != handle.start_time:
        os.close(fd)
        return -1
    return fd


__all__ = ["Container", "CorelaunchError"]
