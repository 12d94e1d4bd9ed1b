"""From a prepared launch to a created container, with everything undone if any of it fails."""

from __future__ import annotations

import os
import time

from . import lifecycle, teardown
from .bootstrap.init_process import InitProcess
from .container import Container
from .errors import ConfigError, CorelaunchError
from .kernel import procfs
from .process import Process
from .spec.resources import updatable
from .state import lock, state_file
from .state.book import Book
from .state.journal import VERSION, Journal
from .state.ledger import Ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .bootstrap.stdio import ProcessIO
    from .plan import Plan
    from .preparation import Prepared
    from .runtime import Runtime
    from .trace import Trace


def create(
    runtime: Runtime,
    prepared: Prepared,
    io: ProcessIO,
    *,
    pid_file: str = "",
    console_socket: str = "",
    pidfd_socket: str = "",
    detached: bool = False,
    notify: bool = False,
) -> Container:
    """Make the container that ``prepared`` describes.

    Raises:
        CorelaunchError: the first failure; nothing of the container is left, or the error says what is.
    """
    terminal = prepared.plan.has_console
    if console_socket and not terminal:
        raise ConfigError(
            "cannot use console socket if runc will not detach or allocate tty",
            where="process.terminal",
            why="it is not true",
        )
    if terminal and detached and not console_socket:
        raise ConfigError(
            "cannot allocate tty if runc will detach without setting console socket",
            where="process.terminal",
            hint="give a console socket, or set it to false",
        )
    with runtime.trace.step("claim"):
        book = _begin(runtime, prepared)
    launch = lifecycle.Launch(
        book,
        prepared.backends,
        prepared.config,
        prepared.bundle,
        runtime.log,
        _own_trace(runtime) if prepared.lifecycle else runtime.trace,
        runtime.guard.seconds,
    )
    process = InitProcess(prepared.plan, runtime.log, netlink=bool(prepared.backends.networks))
    runtime.guard.child = process.newest_pidfd
    if prepared.lifecycle:
        launch.observe = lambda name, pid: _observe(launch, runtime, name, pid)
    try:
        if prepared.files or prepared.config_text:
            from .state import files

            files.write(book.directory, prepared.files, 0o644)
            if prepared.config_text:  # exec and hooks read it; what is in its environment is not for everybody
                files.write(book.directory, {"config.json": prepared.config_text}, 0o600)
        if launch.observe is not None:
            launch.observe("creating", 0)
        if notify:
            from .notify import make_directory

            make_directory(book.directory)
        lifecycle.create(launch, process, io, lambda ready: _save_state(book, ready))
        if console_socket:
            from .bootstrap.handover import send_console

            send_console(console_socket, process.master_fd)
            os.close(process.master_fd)
            process.master_fd = -1
        if pidfd_socket:
            from .bootstrap.handover import send_pidfd

            assert process.handle is not None
            send_pidfd(pidfd_socket, process.handle.pidfd, "standard")
        if launch.observe is not None:
            launch.observe("created", process.pid)
        if pid_file:
            from .bootstrap.handover import write_pid_file

            write_pid_file(pid_file, process.pid)  # last: conmon takes its existence for success
    except BaseException as error:
        if prepared.edits and isinstance(error, CorelaunchError):
            from .adjustment import blamed

            blamed(error, prepared.edits, plan=prepared.plan)
        _undo_failed(runtime, launch, process, error)
        raise
    finally:
        runtime.guard.child = None
    process.close()
    book.close()
    assert process.handle is not None
    init = Process(
        process.handle, child=True, master_fd=process.master_fd, external_descriptors=process.external_descriptors
    )
    return Container(runtime, prepared.container_id, book.directory, book.ledger, init)


def _begin(runtime: Runtime, prepared: Prepared) -> Book:
    """Claim the id and write down what will be made and where, before any of it is made."""
    directory = runtime.root.claim(prepared.container_id)
    try:
        journal = Journal.create(directory)
        lock.take(journal, exclusive=True, wait_seconds=0)
    except BaseException:
        teardown.remove_directory(directory)
        raise
    book = Book(prepared.container_id, directory, journal, Ledger())
    try:
        _write_down(book, runtime, prepared)
    except BaseException:  # a record that is too large, a full disk
        book.close()
        teardown.remove_directory(directory)
        raise
    return book


def _write_down(book: Book, runtime: Runtime, prepared: Prepared) -> None:
    hooks = prepared.config.get("hooks") or {}
    book.record(
        "begin",
        version=VERSION,
        id=prepared.container_id,
        bundle=prepared.bundle,
        boot_id=procfs.boot_id(),
        created=_now(),
        lifecycle=[list(plugin) for plugin in prepared.lifecycle],
        # Kept here because the bundle may be gone, or changed, when start and delete need them.
        hooks={moment: hooks[moment] for moment in ("poststart", "poststop") if hooks.get(moment)},
        annotations=prepared.config.get("annotations") or {},
        oci_version=prepared.config.get("ociVersion") or "1.0.0",
        rootfs=prepared.rootfs,
        owner_uid=os.geteuid(),
        namespaces=prepared.plan.new_namespaces,
        joined=prepared.plan.joined,
        **_hook_time(prepared.plan),
        keyring=prepared.keyring,
        cgroup_mode=prepared.backends.cgroup_mode,
        call_seconds=runtime.guard.seconds,
    )
    if prepared.edits:
        book.record("edits", edits=[edit.json() for edit in prepared.edits])
    linux = prepared.config.get("linux") or {}
    rdt = linux.get("intelRdt") or {}
    book.record(
        "resources",
        done=True,
        resources=updatable(linux.get("resources") or {}),
        schemata={key: rdt[key] for key in ("l3CacheSchema", "memBwSchema") if rdt.get(key)},
    )
    for backend in prepared.backends:
        plain = "plain-directories" in backend.manager.features
        book.place(
            backend.owner, backend.kind, backend.name, backend.distribution, backend.placement, plain=plain
        )


def _hook_time(plan: Plan) -> dict[str, int]:
    """What ``start``, which has no plan, must know of the hooks that run behind its gate."""
    seconds = plan.hook_seconds()[1]
    return {"start_hook_seconds": seconds} if seconds else {}


def _save_state(book: Book, process: InitProcess) -> None:
    book.record("descriptors", targets=list(process.external_descriptors))
    book.record("status", status="created")
    state_file.write(book.directory, book.container_id, book.ledger.records)


def _undo_failed(runtime: Runtime, launch: lifecycle.Launch, process: InitProcess, error: BaseException) -> None:
    """Kill the child, undo by the journal, remove the directory. The first error stays the one that is reported."""
    book = launch.book
    runtime.guard.child = None
    lifecycle.fail(launch, process)
    try:
        with runtime.trace.step("undo"):
            teardown.undo(book, runtime.registry, runtime.log, skip_missing=True)
        teardown.run_poststop(book, runtime.log, runtime.trace)
        teardown.remove_directory(book.directory)
    except (CorelaunchError, OSError) as second:
        runtime.log("warning", f"after a failed create: {second}")
        if isinstance(error, CorelaunchError) and not error.hint:
            error.hint = f"something is left of it: delete --force {book.container_id}"
    finally:
        if launch.observe is not None:
            from .moments import tell

            first = {"step": launch.reached, "error": str(error), "steps": launch.trace.told()}
            tell(runtime.registry, runtime.log, book.container_id, book.ledger, "failed", **first)
        book.close()


def _observe(launch: lifecycle.Launch, runtime: Runtime, name: str, pid: int) -> None:
    """Tell the lifecycle plugins of a moment; they may veto."""
    from .moments import observe

    steps = launch.trace.told() if name == "created" else ()
    container_id, ledger = launch.book.container_id, launch.book.ledger
    observe(runtime.registry, container_id, ledger, name, pid, step=launch.reached, steps=steps)


def _own_trace(runtime: Runtime) -> Trace:
    """A trace of this launch alone, for its lifecycle plugins."""
    from .trace_part import TracePart

    return TracePart(runtime.trace)


def _now() -> str:
    """The time as RFC 3339 with nanoseconds, in UTC."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09d}Z"
