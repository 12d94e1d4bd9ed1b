"""Backends that are bad guests in the process of the runtime, on purpose: a reference with one mistake in ``destroy``.

A mistake of ``destroy`` is one of the worst places: it is called when something else has gone wrong.
"""

# ruff: noqa: D103 -- what they do is in their names; one of the mistakes is to print

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any


def prints(placement: Any, effects: Any) -> None:
    print(f"destroying {placement}")


def logs_to_nobody(placement: Any, effects: Any) -> None:
    logging.getLogger(__name__).error("destroying %s", placement)


def reads_stdin(placement: Any, effects: Any) -> None:
    sys.stdin.readline()


def goes_elsewhere(placement: Any, effects: Any) -> None:
    os.chdir("/")


def changes_the_umask(placement: Any, effects: Any) -> None:
    os.umask(0o007)


def ignores_children(placement: Any, effects: Any) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def needs_a_home(placement: Any, effects: Any) -> None:
    os.environ["HOME"]


def needs_its_directory(placement: Any, effects: Any) -> None:
    os.close(os.open("lock", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
    os.unlink("lock")


def leaks_a_descriptor(placement: Any, effects: Any) -> None:
    os.open("/dev/null", os.O_RDONLY)


def leaves_a_thread(placement: Any, effects: Any) -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def leaves_a_zombie(placement: Any, effects: Any) -> None:
    subprocess.Popen(["/bin/true"])


def reaps_everybody(placement: Any, effects: Any) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def empties_the_effects(placement: Any, effects: Any) -> None:
    effects.clear()


def hangs(placement: Any, effects: Any) -> None:
    time.sleep(1000)


def ends_the_process(placement: Any, effects: Any) -> None:
    os._exit(0)


def closes_everything(placement: Any, effects: Any) -> None:
    os.closerange(3, 256)


_STAYS = "the_process_stays_as_it_was"
_QUIET = "nothing_is_written_to_stdout_or_stderr_and_nothing_read_from_stdin"
_ANYWHERE = "any_directory_and_a_bare_environment_will_do"
_ADDED = "no_descriptor_thread_or_child_is_added_with_each_container"
_RETURNS = "every_call_returns"

#: What is done wrong -> the promise that it breaks (without "test_"), and words of the reason.
MISTAKES: Mapping[Callable[[Any, Any], None], tuple[str, str]] = {
    prints: (_QUIET, "destroying"),
    logs_to_nobody: (_QUIET, "destroying"),
    reads_stdin: (_QUIET, "left of stdin"),
    goes_elsewhere: (_STAYS, "working directory"),
    changes_the_umask: (_STAYS, "umask"),
    ignores_children: (_STAYS, "signal handlers"),
    needs_a_home: (_ANYWHERE, "KeyError: 'HOME'"),
    needs_its_directory: (_ANYWHERE, "No such file or directory"),
    leaks_a_descriptor: (_ADDED, "descriptors, threads and children"),
    leaves_a_thread: (_ADDED, "descriptors, threads and children"),
    leaves_a_zombie: (_ADDED, "descriptors, threads and children"),
    reaps_everybody: ("children_of_others_are_not_waited_for", "a child that is not its own"),
    empties_the_effects: (
        "what_is_handed_in_stays_as_it_is_and_answers_are_of_their_type",
        "destroy changed what it was given",
    ),
    hangs: (_RETURNS, "destroy has not returned after 2 s"),
    ends_the_process: (_RETURNS, "it ended the process of the runtime in destroy"),
    closes_everything: (_RETURNS, "it closed descriptors that are not its own"),
}


def misbehaving(reference: type, mistake: Callable[[Any, Any], None]) -> type:
    """A backend that makes the mistake before it destroys."""

    def destroy(self: Any, placement: Any, effects: Any) -> None:
        reference.destroy(self, placement, list(effects))  # type: ignore[attr-defined]
        mistake(placement, effects)

    return type(f"{reference.__name__}{mistake.__name__.title().replace('_', '')}", (reference,), {"destroy": destroy})
