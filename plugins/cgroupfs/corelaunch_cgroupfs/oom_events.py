"""Waking whoever waits for a cgroup to run out of memory: an eventfd in v1, memory.events itself in v2."""

from __future__ import annotations

import os

from corelaunch.api import KernelError, Unsupported

from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corelaunch.api import CgroupPlacement

# poll(2)
_POLLIN = 0x1
_POLLPRI = 0x2


def open_events(placement: CgroupPlacement) -> tuple[int, int]:
    """See :meth:`CgroupManager.open_oom_events`.

    Raises:
        KernelError: ENOENT, the cgroup is gone.
        Unsupported: there is no memory controller.
    """
    if "memory" in placement.paths:
        return _open_v1(placement.paths["memory"]), _POLLIN
    directory = placement.paths.get("", "")
    path = f"{directory}/memory.events"
    try:
        fd = os.open(path, files.READ)
    except FileNotFoundError as error:
        if os.path.isdir(directory):
            raise Unsupported("cannot wait for OOM events", where=directory, why="no memory controller") from error
        raise KernelError.of("cannot wait for OOM events", error, where=path) from error
    # Opened files of kernfs tell of changes since they were last read.
    os.read(fd, 4096)
    return fd, _POLLPRI


def _open_v1(directory: str) -> int:
    """An eventfd that is registered with the kernel (admin-guide/cgroup-v1/memory.rst, "OOM Control")."""
    path = f"{directory}/memory.oom_control"
    try:
        control = os.open(path, files.READ)
    except OSError as error:
        raise KernelError.of("cannot wait for OOM events", error, where=path) from error
    try:
        events = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            files.write(f"{directory}/cgroup.event_control", f"{events} {control}")
        except OSError as error:
            os.close(events)
            raise KernelError.of("cannot wait for OOM events", error, where=directory) from error
    finally:
        os.close(control)  # the kernel keeps the registration as long as the eventfd is open
    return events
