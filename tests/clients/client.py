"""What all clients of the suites share: a command line, its answers, and names for what a case makes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cases import Result, call, cgroup_value, equal, on_terminal, wait_until


class Client:
    """Calls one program; ``work`` is where it may write."""

    def __init__(self, work: Path, base: Sequence[str]) -> None:
        self.work = work
        self.base = list(base)
        self._serial = itertools.count(1)

    def close(self) -> None:
        """Nothing: the sandbox's end ends all."""

    def __call__(self, *words: str, options: tuple[str, ...] = (), **more: Any) -> Result:
        return call([*self.base, *options, *words], **more)

    def ok(self, *words: str, **more: Any) -> str:
        """A call that must succeed; its output."""
        return self.code(0, *words, **more).out.strip()

    def code(self, wanted: int, *words: str, **more: Any) -> Result:
        """A call that must exit with ``wanted``."""
        result = self(*words, **more)
        equal(result.code, wanted, result)
        return result

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words))

    def typed(self, text: str, *words: str) -> Result:
        """A call on a terminal."""
        return on_terminal([*self.base, *words], text)

    def name(self) -> str:
        return f"case-{next(self._serial)}"

    def directory(self) -> Path:
        made = self.work / self.name()
        made.mkdir()
        return made


class Engine(Client):
    """podman or docker, whose commands are alike."""

    image: str

    def run(self, *words: str, **more: Any) -> str:
        """What ``run --rm --network none`` prints."""
        return self.ok("run", "--rm", "--network", "none", *words, **more)

    def sh(self, script: str, *options: str, **more: Any) -> str:
        """What a shell script prints in a container."""
        return self.run(*options, self.image, "sh", "-c", script, **more)

    def up(self, *options: str, script: str = "exec sleep 1000") -> str:
        """The name of a container that runs a script in the background; it ends at once when it is told to."""
        name = self.name()
        words = ("--network", "none", "--stop-signal", "KILL", "--name", name, *options)
        self.ok("run", "-d", *words, self.image, "sh", "-c", script)
        return name

    def inspect(self, name: str, what: str) -> str:
        return self.ok("inspect", "--format", what, name)

    def pid(self, name: str) -> int:
        return int(self.inspect(name, "{{.State.Pid}}"))

    def wait_for_log(self, name: str, word: str) -> None:
        wait_until(lambda: word in self.ok("logs", name), f"{word!r} in the log of {name}")

    def cgroup_file(self, name: str, controller: str, v1: str, v2: str) -> str:
        """What a limit's file of a container's cgroup says, read from the host's side."""
        return cgroup_value(self.pid(name), controller, v1, v2)
