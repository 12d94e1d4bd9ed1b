"""Promises of a backend about the process that it is a guest in: the same for all kinds.

A stage has ``round(number, child)``: one container made, used as far as its backend claims, and destroyed.
"""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import pytest

from .guest_child import INPUT, Child, Told
from .guest_surroundings import changed, descriptors, functions, surroundings

#: Where core finds programs when nobody says where they are.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ROUNDS = 3


class Used(Protocol):
    """What a stage has for these promises."""

    def round(self, number: int, child: Child) -> None: ...


class Guest:
    """How a stage's backend is played where it may misbehave.

    Attributes:
        child: the process in which it is.
    """

    def __init__(self, stage: Used, seconds: float) -> None:
        self._stage = stage
        self.child = Child(seconds)

    def round(self, number: int = 90) -> None:
        """One container; of a number that no other promise has, as a wrong backend may leave something."""
        self._stage.round(number, self.child)

    def apart(self, work: Callable[[], Any]) -> Any:
        """What ``work`` returns in a process of its own; its exception is the failure."""
        return self.told(work).answer

    def told(self, work: Callable[[], Any]) -> Told:
        """All that it says there; its exception is the failure, or the skip."""
        told = self.child.run(work)
        assert not told.lost, told.lost
        if told.error.startswith("Skipped: "):
            pytest.skip(told.error.removeprefix("Skipped: "))
        assert not told.error, told.error
        return told

    def trial(self) -> str:
        """What would end or hang the process of the tests, "" if nothing does."""

        def work() -> list[str]:
            before = descriptors()
            with suppress(BaseException):  # other promises are about that
                self.round()
            after = descriptors()
            return [path for fd, path in before.items() if after.get(fd) != path]

        told = self.child.run(work)
        return told.lost or (f"it closed descriptors that are not its own: {told.answer}" if told.answer else "")


def play_once(request: pytest.FixtureRequest, backend: Any, trial: Callable[[], str]) -> None:
    """Skip, but for the promise that is about it, what would hang or end the process of the tests."""
    trials: dict[Any, str] = request.cls.__dict__.get("_trials") or {}
    type.__setattr__(request.cls, "_trials", trials)
    kind = type(backend)
    if kind not in trials:
        trials[kind] = trial()
    if trials[kind] and request.function.__name__ != "test_every_call_returns":
        pytest.skip(f"not played: {trials[kind]}")


class Behaving:
    """A backend is a guest in the runtime's process, and in that of whoever uses the API."""

    def test_every_call_returns(self, guest: Guest) -> None:
        """In time, and to a process that has still what is its own: core waits for it, and so do all after it."""
        why = guest.trial()
        assert not why, why

    def test_what_is_handed_in_stays_as_it_is_and_answers_are_of_their_type(self, guest: Guest) -> None:
        """Requests, placements and resources are the caller's: core uses them again."""
        guest.child.strict = True
        guest.apart(guest.round)

    def test_the_process_stays_as_it_was(self, guest: Guest) -> None:
        def work() -> list[str]:
            guest.round()  # what is imported may set up something once
            before, shared = surroundings(), functions()
            guest.round()
            after = functions()
            return changed(before) + sorted(name for name, value in shared.items() if after.get(name) != value)

        def first() -> list[str]:
            before = surroundings()
            guest.round()
            return changed(before)

        assert (guest.apart(first), guest.apart(work)) == ([], []), "these were changed"

    def test_nothing_is_written_to_stdout_or_stderr_and_nothing_read_from_stdin(self, guest: Guest) -> None:
        """They are the container's, and engines parse what the command itself writes; there is ``ctx.log``."""
        told = guest.told(guest.round)
        assert (told.output, told.input_left) == ("", INPUT), "this was written, and this is left of stdin"

    def test_any_directory_and_a_bare_environment_will_do(self, guest: Guest) -> None:
        """Engines start the runtime where they like, and with no more than PATH."""

        def work() -> None:
            os.chdir("/proc")  # where nobody can make a file
            os.environ.clear()
            os.environ["PATH"] = _PATH
            guest.round()

        guest.apart(work)

    def test_no_descriptor_thread_or_child_is_added_with_each_container(self, guest: Guest) -> None:
        """The first container may bring what stays for the life of the process."""

        def work() -> list[list[int]]:
            seen = []
            for number in range(_ROUNDS):
                guest.round(number)
                children = sum(
                    len(open(f"/proc/self/task/{task}/children").read().split())
                    for task in os.listdir("/proc/self/task")
                )
                seen.append([len(os.listdir("/proc/self/fd")), threading.active_count(), children])
            return seen

        seen = guest.apart(work)
        assert seen[1] == seen[2] and seen[2][2] == 0, f"descriptors, threads and children after each container: {seen}"

    def test_children_of_others_are_not_waited_for(self, guest: Guest) -> None:
        """Their exit status can be had once."""

        def work() -> bool:
            pid = os.fork()
            if pid == 0:
                os._exit(7)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            guest.round()
            try:
                return os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                return False

        assert guest.apart(work), "it has taken the exit status of a child that is not its own"
