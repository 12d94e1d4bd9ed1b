"""The order of everything: what create and exec do, step by step. Fail-fast going up; see teardown for coming down.

The order must not change without a reason that is stronger than these:

* nothing goes ahead before the blocked stage 0 is in its cgroup and its CLOS: the bootstrap data is the gate, so
  no descendant can escape, and the cgroup namespace (unshared by stage 0) has the right root;
* a process is journaled while it is blocked, an effect before it is made;
* limits are set at the hooks point, before prestart and createRuntime hooks, which may edit them;
* rlimits are set from here at the ready point, because the child may have lost the privilege;
* state.json is saved before the child is let run: a container that can run can be deleted.
"""

from __future__ import annotations

import os
from errno import EACCES, EBUSY, ENOENT, EOPNOTSUPP

from .backends import open_cgroup_of
from .bootstrap.init_process import InitProcess
from .bootstrap.stdio import open_fifos
from .errors import ChildError, CorelaunchError, KernelError, PluginError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .api import ProcessHandle
    from .backends import Backends, Placed
    from .bootstrap.parent_process import ParentProcess
    from .bootstrap.setns_process import SetnsProcess
    from .bootstrap.stdio import ProcessIO
    from .state.book import Book
    from .trace import Step, Trace

    Log = Callable[[str, str], None]

#: Steps of create, in order. ARCHITECTURE.md draws them; a test compares.
CREATE_STEPS = (
    "cgroup create",
    "spawn",
    "cgroup join",
    "affinity",
    "rdt join",
    "bootstrap",
    "descriptors",
    "reap",
    "networks",
    "plan",
    "hooks point",
    "ready point",
    "end of sync",
)

#: Steps of exec, in order.
EXEC_STEPS = (
    "spawn",
    "cgroup join",
    "bootstrap",
    "reap",
    "affinity",
    "rdt join",
    "plan",
    "ready point",
    "end of sync",
)

#: runc's words; the OOM killer is the usual reason why a child dies without saying anything.
_OOM = "container init was OOM-killed (memory limit too low?)"


class Launch:
    """What the launch of one container works with."""

    def __init__(
        self,
        book: Book,
        backends: Backends,
        config: Mapping[str, Any],
        bundle: str,
        log: Log,
        trace: Trace,
        call_seconds: float,
    ) -> None:
        self.book = book
        self.backends = backends
        self.config = config
        self.bundle = bundle
        self.log = log
        self.trace = trace
        self.call_seconds = call_seconds
        self.observe: Callable[[str, int], None] | None = None  #: tells lifecycle plugins of a moment: name, pid
        #: The step that is under way; journaled only if it fails, because undoing needs the effects and not the step.
        self.reached = ""

    def step(self, name: str) -> Step:
        """Say that a step is under way, and time it."""
        self.reached = name
        return self.trace.step(name)

    def call(self, backend: Placed, method: str, *arguments: Any) -> Any:
        """Call a backend; its errors get its name, whatever else it raises becomes a PluginError."""
        with self.trace.step(method, backend.owner):
            try:
                return getattr(backend.manager, method)(backend.placement, *arguments)
            except CorelaunchError as error:
                error.plugin = error.plugin or backend.owner
                raise
            except Exception as error:
                what, why = f"plugin {backend.owner} failed", f"{type(error).__name__}: {error}"
                raise PluginError(what, where=method, why=why, plugin=backend.owner) from error

    def context(self, backend: Placed) -> Any:
        """The context for one call of a backend."""
        return self.book.context(backend.owner, self.call_seconds, self.log, self.trace)


def create(launch: Launch, process: InitProcess, io: ProcessIO, save_state: Callable[[InitProcess], None]) -> None:
    """Take a placed container from nothing to "created": its init waits at the start gate.

    Args:
        save_state: called at the ready point, when all that state.json holds is known.

    Raises:
        CorelaunchError: the first error of any step, with ``step`` set; the caller undoes by the journal.
    """
    try:
        _create(launch, process, io, save_state)
    except CorelaunchError as error:
        launch.book.record("step", name=launch.reached)
        error.step = error.step or launch.reached
        raise _with_oom(launch, error) from error
    except OSError as error:
        launch.book.record("step", name=launch.reached)
        wrapped = KernelError.of(f"cannot create container: {launch.reached}", error)
        wrapped.step = launch.reached
        raise wrapped from error


def _create(launch: Launch, process: InitProcess, io: ProcessIO, save_state: Callable[[InitProcess], None]) -> None:
    backends = launch.backends
    cgroup, rdt = backends.cgroup, backends.rdt
    with launch.step("cgroup create"):
        if cgroup is not None and not cgroup.manager.needs_process:
            launch.call(cgroup, "create", cgroup.request, None, launch.context(cgroup))
    with launch.step("spawn"):
        process.open_namespaces()
        unified = backends.open_unified() if cgroup is not None and not cgroup.manager.needs_process else -1
        stage0 = _spawn(launch, process, io, "stage 0", unified)
    with launch.step("cgroup join"):
        if cgroup is not None and cgroup.manager.needs_process:
            launch.call(cgroup, "create", cgroup.request, stage0, launch.context(cgroup))
        elif cgroup is not None:
            _join_cgroup(launch, cgroup, process, stage0)
    with launch.step("affinity"):
        process.set_affinity(stage0)
    with launch.step("rdt join"):
        if rdt is not None:
            launch.call(rdt, "create", rdt.request, launch.context(rdt))
            launch.call(rdt, "add_process", stage0)
    with launch.step("bootstrap"):
        init = process.bootstrap()
        launch.book.process("init", init)
        process.await_alive()
        process.check_joined_maps()
    with launch.step("descriptors"):
        process.read_descriptors()
    with launch.step("reap"):
        process.reap_stage0()
    with launch.step("networks"):
        if backends.networks:
            from .networks_step import make

            make(launch, init, process.netlink_fd)
    with launch.step("plan"):
        _send_plan(launch, process)
    with launch.step("hooks point"):
        process.reach_hooks_point()
        _at_hooks_point(launch, init)
        process.leave_hooks_point()
    with launch.step("ready point"):
        process.reach_ready_point()
        process.set_rlimits()
        save_state(process)
    with launch.step("end of sync"):
        process.oci_state = lambda: oci_state(launch, "creating", init.pid)
        process.leave_ready_point()


def _spawn(launch: Launch, process: ParentProcess, io: ProcessIO, role: str, cgroup_fd: int) -> ProcessHandle:
    """Start stage 0, born in the cgroup of ``cgroup_fd`` (closed here), and take its greeting."""
    try:
        stage0 = process.spawn(io, cgroup_fd)
    finally:
        if cgroup_fd >= 0:
            os.close(cgroup_fd)
    launch.trace.follow(process.channel)
    # Recorded while it is blocked. Killed before this line, we leave a stage 0 that sees the end of our socket.
    launch.book.process(role, stage0)
    if process.excused():
        # It is in a paused container, and greets when that is resumed. Nobody need wait for us until then: whoever
        # deletes the container kills it by this record, and what it would fork sees the end of it.
        launch.book.unlock()
    process.greet()
    return stage0


def _spawn_in_container(launch: Launch, process: SetnsProcess, io: ProcessIO) -> tuple[ProcessHandle, Placed | None]:
    """Start stage 0 of an exec in the container's cgroup, or, where that takes no process, in its init's own.

    A container may have moved itself into a cgroup below (v2: one with controllers enabled below it takes no
    process, EBUSY), or have been moved elsewhere (ENOENT), as runc has it. Returns the cgroup to join as well.
    """
    backends = launch.backends
    try:
        return _spawn(launch, process, io, "exec", backends.open_unified(process.excused())), backends.cgroup
    except (FileNotFoundError, KernelError) as error:
        if error.errno == EACCES:  # of a user, from his session into a unit: add_process may have it moved
            return _spawn(launch, process, io, "exec", -1), backends.cgroup
        if error.errno not in (EBUSY, ENOENT, EOPNOTSUPP) or not backends.falls_back:
            raise
        launch.log("debug", f"exec goes to the cgroup of the init: {error}")
    return _spawn(launch, process, io, "exec", open_cgroup_of(process.target.pid)), backends.cgroup_v1()


def _join_cgroup(launch: Launch, cgroup: Placed, process: ParentProcess, stage0: ProcessHandle) -> None:
    """Put the blocked stage 0 into its cgroup: by itself where the manager can arrange that, else by its pid."""
    if "self-join" not in cgroup.manager.features:
        launch.call(cgroup, "add_process", stage0)
        return
    files = launch.call(cgroup, "open_join_files")
    try:
        process.join_cgroups(files)
    finally:
        for fd in files:
            os.close(fd)


def _send_plan(launch: Launch, process: InitProcess) -> None:
    start_fifo, error_fifo = open_fifos(launch.book.directory)
    try:
        process.send_plan(start_fifo, error_fifo)
    finally:
        os.close(start_fifo)
        os.close(error_fifo)


def _at_hooks_point(launch: Launch, init: ProcessHandle) -> None:
    cgroup, rdt = launch.backends.cgroup, launch.backends.rdt
    resources = launch.backends.resources()
    if cgroup is not None and resources:
        launch.call(cgroup, "set_resources", resources)
    if rdt is not None and rdt.request.schemata:
        launch.call(rdt, "set", rdt.request)
    if launch.observe is not None:
        launch.observe("hooks point", init.pid)
    hooks = launch.config.get("hooks") or {}
    for moment in ("prestart", "createRuntime"):
        if hooks.get(moment):
            with launch.trace.step(f"hooks {moment}"):
                run_hooks(launch.book, moment, hooks[moment], oci_state(launch, "creating", init.pid), launch.bundle)


def run_hooks(
    book: Book, moment: str, hooks: Sequence[Mapping[str, Any]], state: Mapping[str, Any], bundle: str
) -> None:
    """Run the OCI hooks of one moment, each journaled before it may run."""
    from . import oci_hooks

    oci_hooks.run(moment, hooks, state, bundle, lambda hook: book.process("hook", hook, process_group=hook.pid))


def oci_state(launch: Launch, status: str, pid: int) -> dict[str, Any]:
    """The OCI state of the container as hooks get it (runtime-spec, runtime.md)."""
    state: dict[str, Any] = {
        "ociVersion": launch.config.get("ociVersion", "1.0.0"),
        "id": launch.book.container_id,
        "status": status,
        "pid": pid,
        "bundle": launch.bundle,
    }
    if launch.config.get("annotations"):
        state["annotations"] = launch.config["annotations"]
    return state


def execute(launch: Launch, process: SetnsProcess, io: ProcessIO, error_pipe: int) -> None:
    """Take an exec from nothing to the end of sync; the error pipe then tells how its execve went.

    Raises:
        CorelaunchError: the first error of any step; the child is killed by the caller, the container stays.
    """
    try:
        _execute(launch, process, io, error_pipe)
    except OSError as error:
        raise KernelError.of("cannot execute in container", error) from error


def _execute(launch: Launch, process: SetnsProcess, io: ProcessIO, error_pipe: int) -> None:
    rdt, trace = launch.backends.rdt, launch.trace
    with trace.step("spawn"):
        process.open_namespaces()
        stage0, cgroup = _spawn_in_container(launch, process, io)
    with trace.step("cgroup join"):
        if cgroup is not None:
            _join_cgroup(launch, cgroup, process, stage0)
    with trace.step("bootstrap"):
        handle = process.bootstrap()
        launch.book.process("exec", handle)
        # All that delete must know is recorded; from here on nobody need wait for us, whatever the program does.
        launch.book.unlock()
        process.await_alive()
    with trace.step("reap"):
        process.reap_stage0()
    with trace.step("affinity"):
        process.set_affinity(handle)
    with trace.step("rdt join"):
        if rdt is not None:
            launch.call(rdt, "add_process", handle)
    with trace.step("plan"):
        process.send_plan(-1, error_pipe)
    with trace.step("ready point"):
        process.reach_ready_point()
        process.set_rlimits()
    with trace.step("end of sync"):
        process.oci_state = lambda: oci_state(launch, "running", process.target.pid)
        process.leave_ready_point()


def fail(launch: Launch, process: ParentProcess) -> None:
    """Kill and reap the child of a launch that failed, and close all that we hold of it."""
    from .bootstrap.abandon import abandon

    abandon(process, launch.log)


def _with_oom(launch: Launch, error: CorelaunchError) -> CorelaunchError:
    """The error, or, if the kernel killed the child for its memory, that (with the first error inside it)."""
    cgroup = launch.backends.cgroup
    if cgroup is None or "oom" not in cgroup.manager.features or isinstance(error, ChildError):
        return error
    try:
        kills = cgroup.manager.oom_kill_count(cgroup.placement)
    except (CorelaunchError, OSError) as second:
        launch.log("warning", f"cannot read the OOM count: {second}")
        return error
    if kills <= 0:
        return error
    return CorelaunchError(_OOM, why=error.line(), step=error.step, hint="raise linux.resources.memory.limit")
