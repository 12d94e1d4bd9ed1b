"""CPU affinity of an exec (process.execCPUAffinity): before, and after, it is in the container's cgroup."""

from __future__ import annotations

import os

from ..errors import KernelError
from ..spec.cpu_list import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set


class ExecAffinity:
    """Where an exec may run.

    Attributes:
        initial: CPUs from its spawn on, before it joins a cgroup; empty: those of the runtime.
        final: CPUs from the join on; empty: as they are.
    """

    def __init__(self, affinity: Mapping[str, str | None]) -> None:
        self.initial = parse(affinity.get("initial") or "")
        self.final = parse(affinity.get("final") or "")

    def spawned(self, spawn: Callable[[], tuple[int, int]]) -> tuple[int, int]:
        """Call ``spawn`` so that the child has the initial CPUs from its first instruction on; returns its answer.

        A child has the mask of the thread that made it, so one is made for this: the caller's own stays as it is.

        Raises:
            KernelError: none of the initial CPUs can be had.
        """
        if not self.initial:
            return spawn()
        import _thread

        answers: list[tuple[int, int]] = []
        failures: list[BaseException] = []
        done = _thread.allocate_lock()

        def run() -> None:
            try:
                _set(0, self.initial, "cannot set initial CPU affinity")
                answers.append(spawn())
            except BaseException as error:  # noqa: BLE001 - it is raised below, in the thread that waits for us
                failures.append(error)
            finally:
                done.release()

        done.acquire()
        _thread.start_new_thread(run, ())
        done.acquire()
        if failures:
            raise failures[0]
        return answers[0]

    def set_final(self, pid: int) -> None:
        """Set the final CPUs of a process that is in its cgroup.

        Raises:
            KernelError: none of them can be had in this cgroup.
        """
        if self.final:
            _set(pid, self.final, "cannot set final CPU affinity")


def _set(pid: int, cpus: Set[int], what: str) -> None:
    try:
        os.sched_setaffinity(pid, cpus)
    except OSError as error:
        hint = "the container's cpuset, or this host, has none of these CPUs" if error.errno == 22 else ""
        raise KernelError.of(what, error, where=",".join(map(str, sorted(cpus))), hint=hint) from error
