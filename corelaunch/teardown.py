"""Coming down: everything that the journal says is ours goes, in reverse order, and errors are collected.

This one path serves a failed create, ``delete``, ``delete --force`` after a kill -9, and ``gc``. It trusts the
journal alone: what was announced is undone, what was not announced was not made. Each undo takes "already gone"
as success, and only then is its record dropped; the directory with the journal goes last.
"""

from __future__ import annotations

import os
import stat
from _signal import SIGKILL

from .api import CgroupPlacement, ProcessHandle
from .backends import recall
from .errors import CorelaunchError, KernelError, PluginError, StateError, TeardownError
from .kernel import pidfd, procfs
from .kernel.cgroup_events import freezing, populated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .api import Effect
    from .backends import Placed
    from .plugins.registry import Registry
    from .state.book import Book
    from .state.ledger import OurProcess
    from .trace import Trace

    Log = Callable[[str, str], None]

#: As ``corelaunch.notify.DIRECTORY``, which is imported only for containers that have one.
NOTIFY_DIRECTORY = "notify"

#: How long a killed process may take to be gone: it can be held up by a slow unmount or a core dump.
KILL_SECONDS = 10.0


def undo(book: Book, registry: Registry, log: Log, *, skip_missing: bool) -> None:
    """Kill what is left of the container and undo every effect, newest first.

    Args:
        skip_missing: a plugin that is gone is skipped with a warning (``--force``); its record, and so the
            state directory, stays for ``gc``.

    Raises:
        TeardownError: some effects could not be undone; all others were, and the records of these stay.
        PluginError: a plugin is gone and ``skip_missing`` is not set; nothing was undone.
    """
    same_boot = procfs.is_this_boot(book.ledger.begin)
    errors: list[Exception] = []
    backends = _recall_all(book, registry, log, errors, skip_missing=skip_missing)
    if same_boot:
        _kill_everything(book, backends, errors)
    for backend in backends:
        effects = book.ledger.effects(backend.owner)
        try:
            backend.manager.destroy(backend.placement, effects if same_boot else outliving(backend.kind, effects))
            book.gone(*effects)
        except Exception as error:  # noqa: BLE001 - coming down, everyone is called
            errors.append(_named(error, backend.owner))
    if errors:
        raise TeardownError(
            "cannot remove container completely",
            errors,
            where=book.container_id,
            hint=_what_to_do(book.container_id, errors),
        )


def _what_to_do(container_id: str, errors: Sequence[Exception]) -> str:
    plugins = dict.fromkeys(":".join(owner.split(":")[:2]) for e in errors if (owner := getattr(e, "plugin", "")))
    if not plugins:
        return "its journal is kept: delete it again once that is over"
    forget = " ".join(f"--forget-plugin {plugin}" for plugin in plugins)
    give_up = f"delete --force {forget} {container_id}"
    return f"its journal is kept: mend that and delete it again, or leave behind what the plugin made: {give_up}"


def outliving(kind: str, effects: Sequence[Effect]) -> list[Effect]:
    """The effects that a reboot has not undone.

    What LaunchContext.directory made, cgroups and CLOS groups, went with the kernel that had them. What is there now
    is a stranger's, even if it has the numbers of device and inode that ours had: kernels begin to count again.
    """
    if kind == "network_strategy":
        return list(effects)
    return [effect for effect in effects if list(effect.args) != ["path"]]


def _recall_all(
    book: Book, registry: Registry, log: Log, errors: list[Exception], *, skip_missing: bool
) -> list[Placed]:
    """The backends that placed something, newest first."""
    backends = []
    for owner in reversed(book.ledger.placements):
        try:
            backends.append(recall(book.ledger.placements[owner], registry))
        except PluginError as error:
            if not skip_missing:
                raise
            log("warning", f"{error}; its part of container {book.container_id} stays for gc")
            error.plugin = error.plugin or owner
            if book.ledger.effects(owner):
                errors.append(error)
    # Created cgroup, then RDT, then networks; undone networks last, as in the seed: cgroup, RDT, networks.
    order = {"cgroup_manager": 0, "rdt_manager": 1, "network_strategy": 2}
    return sorted(backends, key=lambda backend: order[backend.kind])


def _kill_everything(book: Book, backends: list[Placed], errors: list[Exception]) -> None:
    """Kill the processes that the journal names, then all that the cgroup holds; wait until they are gone."""
    _kill_frozen(book, backends, errors)
    for process in reversed(book.ledger.processes):
        try:
            kill_process(process)
        except (OSError, CorelaunchError) as error:
            errors.append(error)
    for backend in backends:
        if backend.kind != "cgroup_manager" or not book.ledger.effects(backend.owner):
            continue
        placement = _what_was_made(backend, book)
        # A private pid namespace has died with its init, exec'd processes included; only the rest need be looked for.
        if book.ledger.private_pid_namespace and not populated(placement.paths):
            continue
        try:
            if "kill" in backend.manager.features:
                backend.manager.kill(placement)
            else:
                for pid in backend.manager.processes(placement):
                    kill_process_handle(ProcessHandle(pid, procfs.start_time(pid)))
        except (OSError, CorelaunchError) as error:
            errors.append(_named(error, backend.owner))


def _kill_frozen(book: Book, backends: list[Placed], errors: list[Exception]) -> None:
    """A paused container dies as a whole: no process of a frozen v1 cgroup takes a SIGKILL before it is thawed."""
    for backend in backends:
        if backend.kind != "cgroup_manager" or not book.ledger.effects(backend.owner):
            continue
        placement = _what_was_made(backend, book)
        if freezing(placement.paths) and "kill" in backend.manager.features:
            try:
                backend.manager.kill(placement)
            except (OSError, CorelaunchError) as error:
                errors.append(_named(error, backend.owner))


def _what_was_made(backend: Placed, book: Book) -> CgroupPlacement:
    """The cgroup without the directories that were never made, or are gone: a stranger's may be there since.

    What was announced and not confirmed holds no process of ours: none enters before ``create`` has returned, but a
    stage 0, which has a record of its own.
    """
    placement: CgroupPlacement = backend.placement
    effects = book.ledger.effects(backend.owner)
    if not any({"path", "paths"} & set(effect.args) for effect in effects):
        return placement  # a manager that announces something else than directories
    made = [directory for effect in effects if effect.done for directory in directories(effect)]
    ours = {path for path, known in made if not known or known == identity(path)}
    paths = {controller: path for controller, path in placement.paths.items() if path in ours}
    return CgroupPlacement(paths, placement.extra)


def directories(effect: Effect) -> list[tuple[str, list[int]]]:
    """Directories that an effect comes with, each with device and inode; [] if they are not known."""
    facts, path = effect.facts, effect.args.get("path", "")
    if "paths" in effect.args:
        known = facts.get("directories")
        if known is not None:
            return [(each, list(identity)) for each, identity in known.items()]
        return [(each, []) for each in effect.args["paths"]]
    return [(path, [facts["dev"], facts["ino"]] if {"dev", "ino"} <= set(facts) else [])] if path else []


def identity(path: str) -> list[int]:
    """Device and inode, [] of what is not there."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return []
    return [found.st_dev, found.st_ino]


def kill_process(process: OurProcess) -> None:
    """Kill a recorded process, with its whole group if it led one, if it is still that process."""
    if process.process_group:
        _kill_group(process)
    kill_process_handle(process.handle)


def kill_process_handle(handle: ProcessHandle) -> None:
    """Kill one process and wait until it is gone; a pid that was reused is left alone.

    Raises:
        CorelaunchError: it survived SIGKILL for ten seconds.
    """
    if handle.start_time == 0 or procfs.start_time(handle.pid) != handle.start_time:
        return
    try:
        fd = pidfd.open(handle.pid)
    except ProcessLookupError:
        return
    try:
        # The pid may have changed hands between the look and the open; after the open it cannot.
        if procfs.start_time(handle.pid) != handle.start_time:
            return
        pidfd.send_signal(fd, SIGKILL)
        if not pidfd.poll_exit(fd, KILL_SECONDS):
            raise CorelaunchError(
                "process does not die", where=str(handle.pid), why=f"still there after {KILL_SECONDS:g} s"
            )
        if procfs.parent_pid(handle.pid) == os.getpid():
            pidfd.wait(fd, KILL_SECONDS)
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)


def _kill_group(process: OurProcess) -> None:
    """Kill the members of a hook's process group, also when its leader is dead.

    A number is not reused as long as a group of that number has members, so a group whose leader is ours is ours. One
    without a leader may as well be that of a daemon which got the number later, became a leader by setsid(2) and ended;
    ours was made by setpgid(2), so it is no session.
    """
    leader_start = procfs.start_time(process.process_group)
    if leader_start not in (0, process.handle.start_time):
        return  # the number has a new owner
    for pid in procfs.pids():
        if (
            procfs.process_group(pid) == process.process_group != procfs.session(pid)
            and procfs.start_time(pid) >= process.handle.start_time
        ):
            kill_process_handle(ProcessHandle(pid, procfs.start_time(pid)))


def run_poststop(book: Book, log: Log, trace: Trace) -> None:
    """Run the poststop hooks; each failure is a warning and the next one runs (runtime.md, lifecycle)."""
    hooks = book.ledger.begin.get("hooks", {}).get("poststop") or ()
    if not hooks:
        return
    from .lifecycle import run_hooks

    begin = book.ledger.begin
    state = {
        "ociVersion": begin["oci_version"],
        "id": book.container_id,
        "status": "stopped",
        "bundle": begin["bundle"],
    }
    if begin.get("annotations"):
        state["annotations"] = begin["annotations"]
    for hook in hooks:
        try:
            with trace.step("hooks poststop"):
                run_hooks(book, "poststop", [hook], state, begin["bundle"])
        except CorelaunchError as error:
            log("warning", str(error))


def remove_directory(directory: str) -> None:
    """Remove a container's state directory: plain files and FIFOs of ours, and the directory itself.

    The journal goes last: as long as there is a file, there is a journal that says what it is.

    Raises:
        StateError: there is something in it that is not ours.
        KernelError: the kernel refuses.
    """
    path = directory
    try:
        for name in sorted(os.listdir(directory), key=lambda name: name == "journal"):
            path = os.path.join(directory, name)
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
            elif name == NOTIFY_DIRECTORY:
                from .notify import remove_directory as remove_notify

                remove_notify(directory)
            else:
                why = "there is a directory that is not ours"
                raise StateError("cannot remove the state directory", where=path, why=why)
        path = directory
        os.rmdir(directory)
    except FileNotFoundError:
        # Another delete is at work on the same directory, and as far as we are.
        if os.path.lexists(directory):
            remove_directory(directory)
    except OSError as error:
        raise KernelError.of("cannot remove the state directory", error, where=path) from error


def _named(error: Exception, owner: str) -> Exception:
    if isinstance(error, CorelaunchError):
        error.plugin = error.plugin or owner
        return error
    return PluginError(f"plugin {owner} failed", why=f"{type(error).__name__}: {error}", plugin=owner)
