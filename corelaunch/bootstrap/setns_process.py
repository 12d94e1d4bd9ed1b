"""The setns process: the child that joins a running container's namespaces and executes one more program there."""

from __future__ import annotations

import os

from ..errors import KernelError
from ..kernel import procfs
from .parent_process import ParentProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..api import ProcessHandle
    from ..plan import Plan
    from .affinity import ExecAffinity


class SetnsProcess(ParentProcess):
    """Parent side of ``exec``. Its plan has no hooks point, and no message of one is understood.

    Args:
        target: the container's init; its namespaces are joined. Also an attribute.
        namespaces: CLONE_NEW* bits of the namespaces that the container made or joined.
        frozen: whether the container is paused, and we with it once we are in its cgroup.
    """

    hooks = False

    def __init__(
        self,
        plan: Plan,
        log: Callable[[str, str], None],
        target: ProcessHandle,
        namespaces: int,
        frozen: Callable[[], bool] = bool,
    ) -> None:
        super().__init__(plan, log)
        self.target = target
        self._namespaces = namespaces
        self._frozen = frozen
        self._was_frozen = False
        self._affinity: ExecAffinity | None = None
        if plan.cpu_affinity:
            from .affinity import ExecAffinity

            self._affinity = ExecAffinity(plan.cpu_affinity)
        self._root_fd = -1

    def open_namespaces(self) -> None:
        """Open the namespaces to join.

        The pid is checked against its start time after they are open, so they are the container's and not those of
        a process that got its pid in between.

        Raises:
            KernelError: the container's init is gone.
        """
        fds: list[int] = []
        types: list[int] = []
        try:
            for bit, name in procfs.NAMESPACES.items():
                if self._namespaces & bit:
                    fds.append(os.open(f"/proc/{self.target.pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC))
                    types.append(bit)
            if not self._namespaces & procfs.CLONE_NEWNS:
                # Its mounts are the host's, so its root does not come with them.
                self._root_fd = os.open(f"/proc/{self.target.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            if procfs.start_time(self.target.pid) != self.target.start_time:
                raise ProcessLookupError(3, "No such process")
        except OSError as error:
            for fd in fds:
                os.close(fd)
            raise KernelError.of(
                "cannot join the container", error, where=f"init process {self.target.pid}"
            ) from error
        self._join_fds, self._joins = fds, tuple(types)

    def set_affinity(self, process: ProcessHandle) -> None:
        """Set the CPUs that the process asks for once it is in its cgroup; every CPU if it asks for none at all.

        Raises:
            KernelError: none of them can be had.
        """
        if self._affinity is None:
            super().set_affinity(process)
        else:
            self._affinity.set_final(process.pid)

    def excused(self) -> bool:
        """A process in a paused container answers when that is resumed, and has its whole time from then on."""
        before, self._was_frozen = self._was_frozen, self._frozen()
        return self._was_frozen or before

    def _clone(self, spawn: Callable[[], tuple[int, int]]) -> tuple[int, int]:
        return self._affinity.spawned(spawn) if self._affinity is not None else spawn()

    def _open_source(self, index: int) -> int:
        """The one source that an exec asks for: the root of a container without a mount namespace of its own."""
        return os.dup(self._root_fd)

    def close(self) -> None:
        """Close our ends, the namespaces that were to be joined, and the root."""
        if self._root_fd >= 0:
            os.close(self._root_fd)
            self._root_fd = -1
        super().close()

    def reach_ready_point(self) -> None:
        """Serve the child until everything up to READY is done."""
        self.serve("READY")

    def leave_ready_point(self) -> None:
        """Let it go on to execve; the end of sync comes before it."""
        self.channel.send("RUN")
        self.serve("")
