"""``exec``: one more program in a running container, through the setns process."""

from __future__ import annotations

import os

from . import lifecycle
from .backends import Backends, recall
from .bootstrap.handover import send_console, send_pidfd, write_pid_file
from .bootstrap.last_words import check_executed, read_to_end
from .bootstrap.setns_process import SetnsProcess
from .bootstrap.stdio import ProcessIO
from .configuration import compiled_seccomp, config_of, process_of
from .errors import ConfigError, UsageError, WrongStatus
from .kernel import procfs
from .plan import setns_plan
from .process import Process
from .spec.process import check_process
from .starting import EXECUTE_SECONDS, EXECVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .container import Container
    from .runtime import Runtime
    from .state.ledger import Ledger


def execute(
    runtime: Runtime,
    container: Container,
    process: Mapping[str, Any],
    io: ProcessIO | None,
    *,
    cgroup: Mapping[str, str],
    ignore_paused: bool,
    pid_file: str = "",
    console_socket: str = "",
    pidfd_socket: str = "",
) -> Process:
    """Execute ``process`` in a running container; see :meth:`Container.exec`."""
    status = container.status
    if status == "paused" and not ignore_paused:
        hint = "resume it, or use --ignore-paused"
        raise WrongStatus("cannot exec in a paused container", where=container.id, hint=hint)
    if status not in ("created", "running", "paused"):
        raise WrongStatus("cannot exec in a stopped container", where=container.id)
    terminal = bool(process.get("terminal"))
    if console_socket and not terminal:
        raise ConfigError(
            "cannot use console socket if runc will not detach or allocate tty",
            where="process.terminal",
            why="it is not true",
        )
    io = io or ProcessIO()
    io.check()
    if io.listening:
        raise UsageError("sockets to listen on are for the init alone", hint="pass them as preserved descriptors")
    config = config_of(container)
    for warning in check_process(process, config.get("linux")):
        runtime.log("warning", warning)
    process = process_of(container, process)
    target = container.handle()
    if target is None:
        raise WrongStatus("container not running", where=container.id)
    begin = container.ledger.begin
    namespaces = begin["namespaces"] | begin.get("joined", 0)
    plan = setns_plan(
        process,
        config,
        terminal=terminal,
        seccomp=compiled_seccomp(config),
        keyring=begin.get("keyring"),
        preserve_fds=len(io.preserved),
        chroot=not namespaces & procfs.CLONE_NEWNS,
    )
    backends = _recalled(runtime, container.ledger)
    observed, trace = bool(container.ledger.begin.get("lifecycle")), runtime.trace
    if observed:
        from .moments import observe, tell
        from .trace_part import TracePart

        trace = TracePart(runtime.trace)

        observe(runtime.registry, container.id, container.ledger, "executing", target.pid, process=process)
    if cgroup:
        from .sub_cgroup import narrowed

        backends = narrowed(backends, cgroup)
    child = SetnsProcess(plan, runtime.log, target, namespaces, lambda: container.freezing)
    # Shared, and released as soon as the child is recorded: it only appends its own records.
    book = container.open_book(exclusive=False)
    try:
        seconds = runtime.guard.seconds
        launch = lifecycle.Launch(book, backends, config, container.bundle, runtime.log, trace, seconds)
        runtime.guard.child = child.newest_pidfd
        executed = _launch(launch, child, io, pid_file, console_socket, pidfd_socket)
    finally:
        runtime.guard.child = None
        book.close()
    if observed:
        more = {"pid": executed.pid, "process": process, "steps": trace.told()}
        tell(runtime.registry, runtime.log, container.id, container.ledger, "executed", **more)
    return executed


def _launch(
    launch: lifecycle.Launch,
    child: SetnsProcess,
    io: ProcessIO,
    pid_file: str,
    console_socket: str,
    pidfd_socket: str,
) -> Process:
    errors, error_pipe = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            lifecycle.execute(launch, child, io, error_pipe)
        finally:
            os.close(error_pipe)
        with launch.trace.step(EXECVE):
            check_executed(read_to_end(errors, EXECUTE_SECONDS, child.excused), gated=False)
        if console_socket:
            send_console(console_socket, child.master_fd)
            os.close(child.master_fd)
            child.master_fd = -1
        if pidfd_socket:
            assert child.handle is not None
            send_pidfd(pidfd_socket, child.handle.pidfd, "setns")
        if pid_file:
            write_pid_file(pid_file, child.pid)
    except BaseException:
        lifecycle.fail(launch, child)
        raise
    finally:
        os.close(errors)
    child.close()
    assert child.handle is not None
    return Process(
        child.handle, child=True, master_fd=child.master_fd, external_descriptors=child.external_descriptors
    )


def _recalled(runtime: Runtime, ledger: Ledger) -> Backends:
    found = {
        placed.kind: recall(placed, runtime.registry)
        for placed in ledger.placements.values()
        if placed.kind != "network_strategy"
    }
    return Backends(found.get("cgroup_manager"), found.get("rdt_manager"))
