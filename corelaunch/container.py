"""One container: which operation is legal in which state, and what each does."""

from __future__ import annotations

import os

from .api import ProcessHandle
from .control import Control
from .errors import ContainerNotFound, DeadlineExceeded, WrongStatus
from .kernel import cgroup_events, procfs
from .state import journal as journal_file
from .state.ledger import Ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .backends import Placed
    from .bootstrap.stdio import ProcessIO
    from .notify import NotifySocket
    from .process import Process
    from .runtime import Runtime
    from .state.book import Book

#: How long ``delete --force`` waits for another process's create, start or delete before it stops it.
FORCE_SECONDS = 10.0
#: How long start and delete wait for each other; none of them takes a second when all is well.
BUSY_SECONDS = 10.0

#: Why a container cannot be started, by its status; runc's words, which callers match.
_NOT_STARTED = {
    "stopped": "cannot start a container that has stopped",
    "running": "cannot start an already running container",
}


class Container(Control):
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
        if handle is None and self._ledger.status == "creating":
            self._catch_up()  # we found it while it was being created
            handle = self._handle()
        return handle.pid if handle is not None and _alive(handle) else 0

    @property
    def status(self) -> str:
        """creating, created, running, paused or stopped, derived from its init, its freezer and its journal."""
        ledger = self._catch_up()
        handle = self._handle()
        if handle is None:
            from .state.lock import read_holder

            # Whoever holds one of an earlier boot is deleting it.
            return "creating" if read_holder(self._directory) and procfs.is_this_boot(ledger.begin) else "stopped"
        if not _alive(handle):
            return "stopped"
        if self.frozen:
            return "paused"
        return "running" if ledger.status == "started" else "created"

    def _catch_up(self) -> Ledger:
        return self._ledger.catch_up(*journal_file.read_records(self._directory, self._ledger.offset))

    @property
    def exit_status(self) -> int:
        """How its init ended, as :meth:`Process.wait` tells it; -1 if we have not waited for it."""
        return self._init.exit_status if self._init is not None else -1

    @property
    def process(self) -> Process:
        """Its init.

        Raises:
            WrongStatus: it has no living init.
        """
        if self._init is None:
            from .process import find

            found = find(self._handle(), self.external_descriptors)
            if found is None:
                raise WrongStatus("container not running", where=self.id)
            self._init = found
        return self._init

    def state(self) -> dict[str, Any]:
        """Its OCI state, with runc's additional fields (created, owner, rootfs)."""
        status = self.status  # first: it may end meanwhile, and who is stopped has no pid
        answer: dict[str, Any] = {
            "ociVersion": self._ledger.begin.get("oci_version", "1.0.0"),
            "id": self.id,
            "pid": self.pid if status != "stopped" else 0,
            "status": status,
            "bundle": self.bundle,
            "rootfs": self._ledger.begin.get("rootfs", ""),
            "created": self.created,
        }
        annotations = self._ledger.begin.get("annotations")
        if annotations:
            answer["annotations"] = annotations
        answer["owner"] = ""
        mode = self._ledger.begin.get("cgroup_mode", "required")
        if mode != "required":  # so that where root runs it, the state is runc's to the letter
            answer["cgroupMode"] = mode
        return answer

    @property
    def external_descriptors(self) -> tuple[str, ...]:
        """Where descriptors 0, 1, 2 of its init pointed before its program ran, also of a container made elsewhere.

        "" for one that could not be read; () before there is an init. A checkpoint needs them.
        """
        return self._ledger.external_descriptors

    @property
    def owner_uid(self) -> int:
        """Uid of the user that created it."""
        return int(self._ledger.begin.get("owner_uid", os.geteuid()))

    def abandoned(self) -> bool:
        """Whether a runtime was killed while it created or deleted this container (what ``gc`` removes)."""
        from .state.lock import read_holder

        if read_holder(self._directory) is not None and self.locked():
            return False
        return self._ledger.status in ("creating", "deleting")

    # -- what it does ----------------------------------------------------------------------------------------

    def start(self, notify: NotifySocket | None = None) -> None:
        """Let its init execute the program of config.json.

        Args:
            notify: gets the container's notify socket, if it was created with one.

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
            start(self._runtime, self, book, notify)
        finally:
            book.close()

    def exec(
        self,
        process: Mapping[str, Any],
        *,
        io: ProcessIO | None = None,
        pid_file: str = "",
        console_socket: str = "",
        pidfd_socket: str = "",
        cgroup: Mapping[str, str] = {},
        ignore_paused: bool = False,
    ) -> Process:
        """Execute one more program inside.

        Wait for it: it is our child, and the kernel lets the init of a pid namespace end only after every process in
        it was reaped (pid_namespaces(7)).

        Args:
            process: an OCI process object (config.md, Process).
            io: descriptors for its standard streams, and further ones; the caller's standard streams if None.
            pid_file: where to write its pid once its program was executed, "" nowhere.
            console_socket: unix socket that gets the pty master of a process with a terminal.
            pidfd_socket: unix socket that gets its pidfd, with "setns" as the message.
            cgroup: path below the container's cgroup by controller, or one under "" for all hierarchies; {} is the
                container's own.
            ignore_paused: also in a paused container; the call then returns after it was resumed.

        Raises:
            WrongStatus: it is neither created nor running (nor paused).
            ConfigError: the process, or its cgroup, cannot be as it is asked for.
            ChildError: the program could not be executed.
        """
        from .execution import execute

        return execute(
            self._runtime,
            self,
            process,
            io,
            cgroup=cgroup,
            ignore_paused=ignore_paused,
            pid_file=pid_file,
            console_socket=console_socket,
            pidfd_socket=pidfd_socket,
        )

    def signal(self, number: int, all: bool = False) -> None:
        """Send a signal to its init.

        Args:
            all: also to every other process of its cgroup.

        Raises:
            WrongStatus: it is not running.
        """
        from .signalling import send

        send(self, number, everyone=all)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its init to end; see :meth:`Process.wait`."""
        return self.process.wait(timeout)

    def end_shared_pid_namespace(self) -> None:
        """After the init's end: kill what it left, if its pid namespace was not its own and so did not end with it."""
        if not self.has_private_pid_namespace:
            from .signalling import kill_cgroup

            kill_cgroup(self)

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
        from .state.book import open_book

        # Whoever is alone takes what we know already and reads the rest; execs, which are not, read for themselves.
        ledger = self._ledger if exclusive else Ledger()
        return open_book(self.id, self._directory, ledger, exclusive=exclusive, wait_seconds=wait_seconds)

    def _handle(self) -> ProcessHandle | None:
        if self._ledger.begin.get("boot_id") != procfs.boot_id():
            return None  # of an earlier boot, or killed before its first record
        return self._ledger.init() if self._ledger.status != "creating" else None

    @property
    def has_private_pid_namespace(self) -> bool:
        """Whether its processes die with its init; else its cgroup must be killed."""
        return self._ledger.private_pid_namespace

    def locked(self) -> bool:
        """Whether another process is working on it right now."""
        try:
            self.open_book(exclusive=True, wait_seconds=0).close()
        except DeadlineExceeded:
            return True
        except ContainerNotFound:
            return False
        return False

    @property
    def frozen(self) -> bool:
        """Whether its cgroup is frozen."""
        return cgroup_events.frozen(self.cgroup_paths)

    @property
    def freezing(self) -> bool:
        """Whether its cgroup is frozen or on the way there."""
        return cgroup_events.freezing(self.cgroup_paths)

    @property
    def cgroup_paths(self) -> Mapping[str, str]:
        """Its cgroup's directory per controller ("" unified), {} without a cgroup."""
        for placed in self._ledger.placements.values():
            if placed.kind == "cgroup_manager":
                paths: Mapping[str, str] = placed.fields["paths"]
                return paths
        return {}


def _alive(handle: ProcessHandle) -> bool:
    """Whether a process is there, is the same, and is not a zombie."""
    start_time, state = procfs.identity(handle.pid)
    return start_time == handle.start_time != 0 and state not in ("Z", "X")
