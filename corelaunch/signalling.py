"""Signals to a container: to its init, to everyone in its cgroup, and the SIGKILL that must not miss anyone."""

from __future__ import annotations

import os
from _signal import SIGKILL

from .errors import WrongStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container


def send(container: Container, number: int, *, everyone: bool) -> None:
    """Send a signal; see :meth:`Container.signal`."""
    shared = not container.has_private_pid_namespace
    # The kernel ends a private pid namespace with its init. A shared one goes on, so its cgroup must be killed.
    if number == SIGKILL and (everyone or shared) and kill_cgroup(container):
        return
    if everyone:
        _signal_cgroup(container, number)
    elif not container.pid:
        raise WrongStatus("container not running", where=container.id)
    else:
        container.process.signal(number)
    if number == SIGKILL:
        _thaw(container)


def kill_cgroup(container: Container) -> bool:
    """SIGKILL everyone in the cgroup and wait until they are gone. False if there was nobody, or no way to do it."""
    backend = container.cgroup()
    if backend is None or "kill" not in backend.manager.features:
        return False
    found = bool(backend.manager.processes(backend.placement))
    backend.manager.kill(backend.placement)
    return found


def _signal_cgroup(container: Container, number: int) -> None:
    backend = container.cgroup()
    if backend is None:
        if container.pid:
            container.process.signal(number)
        return
    for pid in backend.manager.processes(backend.placement):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # ended by itself, or by a signal just sent


def _thaw(container: Container) -> None:
    """A process in a frozen v1 cgroup gets its SIGKILL only when it is thawed; in v2 it gets it frozen."""
    if container.freezing:
        backend = container.cgroup()
        if backend is not None:
            backend.manager.thaw(backend.placement)
