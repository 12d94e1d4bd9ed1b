"""Runtime: a state root and a choice of plugins; it creates containers and finds those that exist."""

from __future__ import annotations

import os

from .container import Container
from .errors import ContainerExists, ContainerNotFound, CorelaunchError
from .state.root import StateRoot
from .trace import Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .bootstrap.stdio import ProcessIO
    from .completing import Outcome
    from .plugins.guard import Guard
    from .plugins.registry import Registry
    from .preparation import Prepared
    from .process import Process

    Log = Callable[[str, str], None]


def _no_log(level: str, message: str) -> None:
    """The log of a runtime that was given none."""


class Runtime:
    """Launches and finds containers. Blocking; one object may be used from several threads at once.

    Args:
        root: state root; "" is /run/corelaunch for root, $XDG_RUNTIME_DIR/corelaunch otherwise.
        cgroup_manager: name of the cgroup manager; "" is cgroupfs.
        rdt_manager: name of the Intel RDT manager; "" is resctrl.
        rootless: whether a cgroup that nothing is asked of may be left out where it cannot be made; None: for an
            ordinary user and inside a user namespace.
        plugins: names of the lifecycle plugins, in their order; none runs unless it is named.
        log: takes (level, message): debug, info, warning, error.
        trace: collects the time of each step.
        watchdog: for a process that is ours alone and may end with a plugin's call, as the command does: makes what
            every such call goes through. Lifecycle plugins are then called without pluggy, if they do not need it.
        annotation_networks: types of network that the annotation org.corelaunch.networks may ask for; annotations come
            from images and pods.
        call_seconds: how long one call of a plugin may take; recorded with the containers that are created.
        trace_plugins: takes one line for each call of a plugin, with its time; a watchdog tells of its own.

    The process that uses it stays as it is: its descriptors, signals, umask, working directory and subreaper flag
    are never changed, and only our own children are waited for.
    """

    def __init__(
        self,
        root: str | None = None,
        *,
        cgroup_manager: str | None = None,
        rdt_manager: str | None = None,
        rootless: bool | None = None,
        plugins: Sequence[str] = (),
        log: Log | None = None,
        trace: Trace | None = None,
        watchdog: Callable[[float], Guard] | None = None,
        annotation_networks: Sequence[str] = (),
        call_seconds: float = 30.0,
        trace_plugins: Callable[[str], None] | None = None,
    ) -> None:
        self.root = StateRoot(root or "")
        self._registry: Registry | None = None
        self._has_given_registry = False
        self._guard: Guard | None = None
        self._watchdog = watchdog
        self._trace_plugins = trace_plugins
        self.call_seconds = call_seconds
        self._annotation_networks = tuple(annotation_networks)
        self.log: Log = log or _no_log
        self.trace = trace or Trace()
        self.plugins = tuple(plugins)
        self._cgroup_manager = cgroup_manager or ""
        self._rdt_manager = rdt_manager or ""
        self._rootless = rootless

    @property
    def registry(self) -> Registry:
        """The installed plugins; looked for when a verb first needs one."""
        if self._registry is None:
            from .plugins.registry import Registry

            self._registry = Registry(guard=self.guard, pluggy=self._watchdog is None)
        return self._registry

    @registry.setter
    def registry(self, registry: Registry) -> None:
        self._registry, self._has_given_registry = registry, True

    @property
    def guard(self) -> Guard:
        """What every call into a plugin goes through."""
        if self._guard is None:
            if self._watchdog is not None:
                self._guard = self._watchdog(self.call_seconds)
            elif self._trace_plugins is not None:
                from .plugins.tracing import TracingGuard

                self._guard = TracingGuard(self.log, self.call_seconds, self._trace_plugins)
            else:
                from .plugins.guard import Guard

                self._guard = Guard(self.log, self.call_seconds)
        return self._guard

    def create(
        self,
        container_id: str,
        bundle: str | dict[str, Any],
        *,
        io: ProcessIO | None = None,
        networks: Sequence[str | Mapping[str, Any]] = (),
        pid_file: str = "",
        console_socket: str = "",
        pidfd_socket: str = "",
        no_pivot: bool = False,
        no_new_keyring: bool = False,
        detached: bool = False,
        notify: bool = False,
    ) -> Container:
        """Create a container: everything is made, its init waits for :meth:`Container.start`.

        Args:
            container_id: unique below the state root.
            bundle: directory with config.json, or such a config itself, with absolute paths.
            io: descriptors for its standard streams, and further ones; the caller's standard streams if None.
            networks: interfaces, as ``"veth:address=10.0.0.2/24"`` or
                ``{"type": "veth", "options": {"address": "10.0.0.2/24"}}``.
            pid_file: where to write the init's pid, "" nowhere.
            console_socket: unix socket that gets the pty master of a container with ``process.terminal``.
            pidfd_socket: unix socket that gets the pidfd of its init, with "standard" as the message.
            detached: the caller will not keep the pty master, so a terminal without a console socket is refused.
            notify: its process gets a socket to say that it is ready (sd_notify(3)); see ``corelaunch.notify``.

        Raises:
            ContainerExists: the id is taken; that container is untouched.
            CorelaunchError: any other failure; nothing of the container is left.
        """
        from .bootstrap.stdio import ProcessIO

        io = io or ProcessIO()
        io.check()
        self.root.prepare()
        if os.path.lexists(self.root.directory(container_id)):
            raise ContainerExists(container_id, hint="delete it first, or choose another id")
        with self.trace.step("prepare"):
            prepared = self.plan(
                container_id,
                bundle,
                networks=networks,
                no_pivot=no_pivot,
                no_new_keyring=no_new_keyring,
                preserve_fds=len(io.preserved),
                listen_fds=io.listening,
                notify=notify,
            )
        for warning in prepared.warnings:
            self.log("warning", warning)
        from .creation import create

        return create(
            self,
            prepared,
            io,
            pid_file=pid_file,
            console_socket=console_socket,
            pidfd_socket=pidfd_socket,
            detached=detached,
            notify=notify,
        )

    def run(
        self,
        container_id: str,
        bundle: str | dict[str, Any],
        *,
        attend: Callable[[Process, Callable[[], None]], int] | None = None,
        keep: bool = False,
        **options: Any,
    ) -> int:
        """Create, start, wait and delete.

        Args:
            attend: starts the container and stays with it; gets the init, which waits at its gate, and the function
                that starts it, and returns its status. The default starts and waits.
            keep: leave the stopped container for a later ``delete``.
            options: those of :meth:`create`.

        Returns:
            exit status of the init, 128 + N if signal N ended it.
        """
        container = self.create(container_id, bundle, **options)
        try:
            init = container.process
            self.guard.child = lambda: init.pidfd
            if attend is not None:
                status = attend(init, container.start)
            else:
                container.start()
                status = init.wait()
            self.guard.child = None
            container.end_shared_pid_namespace()
            if not keep:
                container.delete(force=True)
        except BaseException:
            self.guard.child = None
            from .deletion import after_failure

            after_failure(self, container)
            raise
        container.close()
        return status

    def complete(
        self,
        container_id: str,
        bundle: str | dict[str, Any],
        *,
        data: bytes = b"",
        timeout: float | None = None,
        limit: int = 64 << 20,
        stop: int = -1,
        **options: Any,
    ) -> Outcome:
        """Create, start, feed, listen, wait and delete, with a bound on each.

        Args:
            data: for its standard input, which is closed behind it.
            timeout: seconds from its start to the SIGKILL that ends all of it; None waits for ever.
            limit: bytes of its standard output, and of its standard error, that are kept; what comes beyond them is
                read and dropped, so that it neither fills our memory nor stands still.
            stop: a descriptor, of an eventfd for example, that many calls in many threads may share: as soon as, and as
                long as, there is something to read, or it is closed, all of it is killed as if its time was over.
            options: those of :meth:`create`; with ``io`` nothing is fed and nothing is heard.

        Returns:
            how it ended, what it said and what it has used.

        Raises:
            CorelaunchError: it could not be launched, or not be removed.
            TypeError, ValueError: an argument is none; nothing was made.
        """
        from .completing import complete

        return complete(self, container_id, bundle, data=data, timeout=timeout, limit=limit, stop=stop, **options)

    def load(self, container_id: str) -> Container:
        """Find a container by its id.

        Raises:
            ContainerNotFound: there is none below this state root.
        """
        directory = self.root.existing(container_id)
        container = Container.load(self, container_id, directory)
        # As at its create, so that later verbs need no config file.
        seconds = container.ledger.begin.get("call_seconds", self.call_seconds)
        if seconds != self.call_seconds:
            container = Container.load(self._with(seconds), container_id, directory)
        return container

    def _with(self, call_seconds: float) -> Runtime:
        """Ourselves, with another deadline for plugins; a registry that we were given is its owner's."""
        other = Runtime.__new__(Runtime)
        other.__dict__.update(self.__dict__)
        other.call_seconds = call_seconds
        other._guard = None
        other._registry = self._registry if self._has_given_registry else None
        return other

    def containers(self) -> tuple[list[Container], list[tuple[str, CorelaunchError]]]:
        """All containers below the state root, and the ids of those that cannot be read, with the reason."""
        found, broken = [], []
        for container_id in self.root.ids():
            try:
                found.append(self.load(container_id))
            except ContainerNotFound:
                continue  # deleted while we looked
            except CorelaunchError as error:
                broken.append((container_id, error))
        return found, broken

    def plan(
        self,
        container_id: str,
        bundle: str | dict[str, Any],
        *,
        networks: Sequence[str | Mapping[str, Any]] = (),
        no_pivot: bool = False,
        no_new_keyring: bool = False,
        preserve_fds: int = 0,
        listen_fds: int = 0,
        notify: bool = False,
    ) -> Prepared:
        """What :meth:`create` would do, thought through without doing any of it.

        Args:
            preserve_fds: how many descriptors from 3 upward the process keeps (``ProcessIO.preserved``).
            listen_fds: how many of these are sockets to accept from (``ProcessIO.listening``).
            notify: as in :meth:`create`.
        """
        from .preparation import prepare

        return prepare(
            self.registry,
            container_id,
            bundle,
            state_directory=self.root.directory(container_id),
            networks=networks,
            plugins=self.plugins,
            annotation_networks=self._annotation_networks,
            cgroup_manager=self._cgroup_manager,
            rdt_manager=self._rdt_manager,
            rootless=self._rootless,
            no_pivot=no_pivot,
            no_new_keyring=no_new_keyring,
            preserve_fds=preserve_fds,
            listen_fds=listen_fds,
            notify=notify,
        )

    def gc(self) -> list[tuple[str, str]]:
        """Finish what killed runtimes left: creates and deletes whose process is gone.

        Returns:
            (id, what happened) for each container that was looked at and not in order.
        """
        outcome = []
        for container_id in self.root.ids():
            try:
                container = self.load(container_id)
                if container.abandoned():
                    container.delete(force=True)
                    kept = os.path.lexists(container.directory)
                    outcome.append((container_id, "kept for a lifecycle plugin that is gone" if kept else "removed"))
            except ContainerNotFound:
                continue
            except CorelaunchError as error:
                outcome.append((container_id, str(error)))
        return outcome
