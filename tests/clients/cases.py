"""What every client's cases share: how a case is declared, how a command is called, how a failure is told."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Case = Callable[[Any], None]

_CASES: dict[str, list[tuple[str, Case]]] = {}


class Failure(Exception):
    """A client did not do what it does over runc."""


def case(client: str) -> Callable[[Case], Case]:
    """Declare a case of a client; its name is the function's, with dashes."""

    def declare(function: Case) -> Case:
        _CASES.setdefault(client, []).append((function.__name__.replace("_", "-").strip("-"), function))
        return function

    return declare


def chosen(client: str, only: str) -> list[tuple[str, Case]]:
    """The cases of a client in order; ``only`` is "" or words of which a name must contain one."""
    words = only.split()
    return [(name, run) for name, run in _CASES[client] if not words or any(word in name for word in words)]


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    words: list[str]
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"{' '.join(self.words)}: exit {self.code}, stdout {self.out[-400:]!r}, stderr {self.err[-600:]!r}"


def call(words: list[str], *, seconds: float = 40, feed: str | None = None, **more: Any) -> Result:
    """Run a command to its end."""
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=seconds,
            input=feed,
            stdin=None if feed is not None else subprocess.DEVNULL,
            check=False,
            **more,
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{' '.join(words)}: no end after {seconds} s: {error.stdout!r} {error.stderr!r}") from None
    return Result(words, done.returncode, done.stdout, done.stderr)


def on_terminal(words: list[str], typed: str, *, seconds: float = 30) -> Result:
    """Run a command on a terminal of its own, type something, and read until it ends."""
    master, slave = pty.openpty()
    process = subprocess.Popen(["setsid", "--ctty", *words], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    os.write(master, typed.encode())
    seen, end = b"", time.monotonic() + seconds
    try:
        while True:
            if time.monotonic() > end:
                raise Failure(f"{' '.join(words)}: no end after {seconds} s; on the terminal: {seen!r}")
            if select.select([master], [], [], 0.1)[0]:
                try:
                    chunk = os.read(master, 65536)
                except OSError:  # EIO: nobody has the other end any more
                    break
                seen += chunk
        return Result(words, process.wait(seconds), seen.decode(errors="backslashreplace"), "")
    finally:
        process.kill()
        process.wait()
        os.close(master)


def cgroup_value(pid: int, controller: str, v1: str, v2: str) -> str:
    """What a file of a process's cgroup says: ``v1`` where the controller has a hierarchy of its own, else ``v2``."""
    unified = Path("/sys/fs/cgroup")
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path(f"/sys/fs/cgroup/{controllers}{path}/{v1}").read_text().strip()
        if number == "0":
            unified = Path(f"/sys/fs/cgroup{path}")
    return (unified / v2).read_text().strip()


def no_runtime_is_left() -> None:
    """No process of a runtime, nor a child of one that waits to become a container, runs in the sandbox."""
    wait_until(lambda: not _runtimes(), f"these processes to end: {_runtimes()}")


def _runtimes() -> list[str]:
    done = subprocess.run(["pgrep", "-a", "^(runc|crun|corelaunch)"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def equal(found: object, wanted: object, what: object = "") -> None:
    if found != wanted:
        raise Failure(f"{found!r} where {wanted!r} was expected ({what})")


def within(found: str, wanted: str, what: object = "") -> None:
    if wanted not in found:
        raise Failure(f"{wanted!r} is not in {found!r} ({what})")


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"waited {seconds} s for {what}")
        time.sleep(0.05)
