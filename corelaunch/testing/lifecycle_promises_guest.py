"""Promises of a lifecycle plugin about the process that it is a guest in."""

# ruff: noqa: D102 -- the names of the tests are the promises

from __future__ import annotations

import ast
import fcntl
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from .guest_child import INPUT, at_once
from .guest_surroundings import added, changed, children, descriptors, functions, surroundings
from .lifecycle_stage import LIFE, Stage

#: So many lines of a hook are interrupted.
_LINES = 40
#: Seconds after which the kernel has taken an ended thread off its list.
_MOMENT = 0.02


class Behaving:
    """A plugin is a guest in the runtime's process, and in that of whoever uses the API."""

    def test_the_process_stays_as_it_was(self, stage: Stage) -> None:
        def work() -> list[str]:
            before = surroundings()
            stage.live_and_fail()
            return changed(before)

        assert stage.apart(work) == [], "these were changed"

    def test_what_all_share_is_not_replaced(self, stage: Stage) -> None:
        """Functions and classes of Python's modules and of core's."""

        def work() -> list[str]:
            before = functions()
            stage.live_and_fail()
            after = functions()
            return sorted(name for name, value in before.items() if after.get(name) != value)

        assert stage.apart(work) == [], "these were replaced"

    def test_nothing_is_written_to_stdout_or_stderr(self, stage: Stage) -> None:
        """They are the container's, and engines parse what the command itself writes. (A log needs a handler.)"""
        told = stage.child.run(stage.live_and_fail)
        assert told.output == "", "this was written"

    def test_nothing_is_read_from_stdin(self, stage: Stage) -> None:
        """It is the container's."""
        told = stage.child.run(stage.live_and_fail)
        assert told.input_left == INPUT, "this is left of what was there for the container"

    def test_any_directory_and_a_bare_environment_will_do(self, stage: Stage) -> None:
        """Engines start the runtime where they like, and with no more than PATH."""

        def work() -> None:
            os.chdir("/proc")  # where nobody can make a file
            os.environ.clear()
            os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
            stage.live_and_fail()

        stage.apart(work)

    def test_no_descriptor_is_left_open(self, stage: Stage) -> None:
        seen = []
        for _ in range(3):
            stage.live_and_fail()
            seen.append(descriptors())
        # The first life may open what stays for the life of the process.
        assert not added(seen[1], seen[2]), f"left open with each round: {added(seen[1], seen[2])}"

    def test_no_program_inherits_what_stays_open(self, stage: Stage) -> None:
        """What a plugin keeps open is close-on-exec: a container could use it."""

        def work() -> list[str]:
            before = descriptors()
            stage.live()
            new = {fd: path for fd, path in descriptors().items() if before.get(fd) != path}
            return [path for fd, path in new.items() if not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC]

        assert stage.apart(work) == [], "not close-on-exec"

    def test_no_child_process_is_left(self, stage: Stage) -> None:
        """The command ends at once, and an engine's subreaper would find a process that it does not know."""

        def work() -> bool:
            stage.live_and_fail()
            return children() == set()

        assert stage.apart(work), "a child of the plugin is still there, or was not waited for"

    def test_children_of_others_are_not_waited_for(self, stage: Stage) -> None:
        """Their exit status can be had once."""

        def work() -> bool:
            pid = os.fork()
            if pid == 0:
                os._exit(7)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            stage.live_and_fail()
            try:
                return os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                return False

        assert stage.apart(work), "it has taken the exit status of a child that is not its own"

    def test_no_thread_is_left(self, stage: Stage) -> None:
        """One that stays for the life of the process may be, one for each container may not."""

        def work() -> list[int]:
            counts = []
            for _ in range(3):
                stage.live_and_fail()
                counts.append(_threads())
            return counts

        counts = stage.apart(work)
        assert counts[1] == counts[2], f"after each life there are more threads: {counts}"

    def test_an_interrupt_goes_through(self, stage: Stage) -> None:
        """Ctrl-C at any line of a hook ends the command: ``except:`` and ``except BaseException:`` raise again."""
        swallowed = stage.apart(lambda: self.interrupted(stage))
        assert swallowed == [], "here an interrupt was swallowed"

    def interrupted(self, stage: Stage) -> list[str]:
        """Where a KeyboardInterrupt does not arrive at whoever called."""
        calls: dict[str, Callable[[], Any]] = {}
        if "corelaunch_adjust_config" in stage.hooks:
            calls["corelaunch_adjust_config"] = stage.adjusted
        if "corelaunch_moment" in stage.hooks:
            for name in LIFE:
                calls[f"moment {name!r}"] = lambda name=name: stage.tell(name)  # type: ignore[misc]
        return [f"{what}, line {line}" for what, call in calls.items() for line in _swallowing(stage, call)]

    def test_several_threads_may_launch_at_the_same_time(self, stage: Stage) -> None:
        works = [lambda number=number: stage.live(stage.id(number)) for number in range(4)]
        assert at_once(*works) == []


def _threads() -> int:
    """How many this process has; the kernel lists one that was joined a moment longer (do_exit() wakes the joiner)."""
    before = -1
    while (count := len(os.listdir("/proc/self/task"))) != before:
        before = count
        time.sleep(_MOMENT)
    return count


def _with_lines(file: str) -> set[int]:
    """Where ``with`` stands. It comes again when its block ends, and an interrupt just there is lost to ``__exit__``.

    A race of CPython's own (github.com/python/cpython/issues/74174), which no plugin with a lock can do anything about.
    """
    try:
        with open(file, "rb") as source:
            tree = ast.parse(source.read())
    except (OSError, SyntaxError):
        return set()  # a plugin without a source
    return {node.lineno for node in ast.walk(tree) if isinstance(node, ast.With)}


def _swallowing(stage: Stage, call: Callable[[], Any]) -> list[int]:
    """Lines of the plugin's own file at which an interrupt of this call is swallowed."""
    files = stage.files
    blocks = {(file, line) for file in files for line in _with_lines(file)}
    found = []
    for number in range(_LINES):
        seen, at = 0, 0
        entered: set[Any] = set()

        def line(frame: Any, event: str, _argument: Any, number: int = number, entered: Any = entered) -> Any:
            nonlocal seen, at
            place = (frame.f_code.co_filename, frame.f_lineno)
            if event == "line" and (frame, place) not in entered:
                if place in blocks:
                    entered.add((frame, place))
                seen += 1
                if seen == number + 1:
                    at = frame.f_lineno
                    raise KeyboardInterrupt
            return line

        def trace(frame: Any, event: str, _argument: Any) -> Any:
            return line if frame.f_code.co_filename in files else None

        sys.settrace(trace)
        try:
            call()
        except KeyboardInterrupt:
            continue
        except Exception:  # noqa: BLE001 -- a veto, or the interrupt in other clothes
            pass
        finally:
            sys.settrace(None)
        if not at:
            break  # there is no such line
        found.append(at)
    return found
