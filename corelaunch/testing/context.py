"""The LaunchContext of the contract suites: it records what a manager announces, in the order in which it does."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from corelaunch.api import AlreadyExists, Effect, KernelError, LaunchContext, start_time

#: How long a manager under test may take for one call.
SECONDS = 30.0


class Killed(BaseException):
    """Stands for a kill -9 of the runtime: no ``except Exception`` of a manager survives it."""


class RecordingContext(LaunchContext):
    """Keeps effects as the journal does, in JSON, and notes what a journal would not forgive.

    Attributes:
        events: ("intend" | "done" | "gone", effect number), in order.
        messages: (level, text) that went to the log.
        dishonest: announcements that were not true when they were made, in plain words.
    """

    __slots__ = ("_effects", "_kill_at", "_look", "_lost", "_numbers", "dishonest", "events", "messages")

    def __init__(
        self,
        container_id: str = "contract",
        *,
        kill_at: int = 0,
        lost: bool = False,
        exists: Callable[[str], bool] = os.path.lexists,
    ) -> None:
        """Args beside those of LaunchContext:

        kill_at: N: the N-th event raises :class:`Killed`, 0: none does.
        lost: whether the kill comes before that event is recorded, or after.
        exists: looks a name up.
        """
        super().__init__(container_id, time.monotonic() + SECONDS)
        self._effects: dict[int, Effect] = {}
        self._numbers = 0
        self._kill_at = kill_at
        self._lost = lost
        self._look = exists
        self.events: list[tuple[str, int]] = []
        self.messages: list[tuple[str, str]] = []
        self.dishonest: list[str] = []

    def intend(self, kind: str, name: str, *, absent: bool, **args: Any) -> Effect:
        """Record the announcement, and whether ``absent`` was the truth."""
        self._numbers += 1
        effect = Effect(self._numbers, kind, name, json.loads(json.dumps(args)), absent)
        if absent and self._is_there(effect):
            self.dishonest.append(f"{kind} {name} was announced as absent, but something was there already")
        if not absent and not self._is_there(effect):
            self.dishonest.append(f"{kind} {name} was announced as present, but nothing was there")
        self._event("intend", effect, lambda: self._effects.update({effect.number: effect}))
        return effect

    def done(self, effect: Effect, **facts: Any) -> Effect:
        """Record the confirmation, and whether there was something to confirm."""
        if effect.number not in self._effects:
            raise AssertionError(f"{effect.kind} {effect.name} was confirmed, but never announced")
        if not self._is_there(effect):
            self.dishonest.append(f"{effect.kind} {effect.name} was confirmed, but is not there")
        confirmed: Effect = effect.replace(done=True, facts=json.loads(json.dumps(facts)))
        self._event("done", confirmed, lambda: self._effects.update({effect.number: confirmed}))
        return confirmed

    def withdraw(self, effect: Effect) -> None:
        """Forget the announcement."""
        self._gone(effect)

    def directory(self, kind: str, path: str, mode: int = 0o755) -> Effect:
        """As core does it: announce, mkdir, confirm with device and inode."""
        effect = self.intend(kind, path, absent=not os.path.lexists(path), path=path)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            self._gone(effect)
            raise AlreadyExists(f"{kind} exists already", where=path, why="it is not of this container") from None
        except OSError as error:
            self._gone(effect)
            raise KernelError.of(f"cannot make {kind}", error, where=path) from error
        made = os.stat(path, follow_symlinks=False)
        return self.done(effect, dev=made.st_dev, ino=made.st_ino)

    def log(self, level: str, message: str) -> None:
        """Keep the message."""
        self.messages.append((level, message))

    def step(self, name: str) -> AbstractContextManager[None]:
        """Time nothing."""
        return nullcontext()

    @property
    def all_effects(self) -> list[Effect]:
        """Every effect that was announced and not taken back, newest first."""
        return list(self._effects.values())[::-1]

    @property
    def effects(self) -> list[Effect]:
        """What ``destroy`` gets: the effects that are, or may be, ours, newest first."""
        return [effect for effect in self.all_effects if effect.done or effect.absent]

    def _is_there(self, effect: Effect) -> bool:
        """Whether there is anything of it."""
        if effect.kind == "companion":
            # A process has no name to look up, and does nothing before its announcement.
            started: int = effect.args["start_time"]
            return effect.number in self._effects and start_time(effect.args["pid"]) == started
        return any(self._look(name) for name in names_of(effect))

    def _gone(self, effect: Effect) -> None:
        self._event("gone", effect, lambda: self._effects.pop(effect.number))

    def _event(self, name: str, effect: Effect, record: Callable[[], object]) -> None:
        self.events.append((name, effect.number))
        killed = len(self.events) == self._kill_at
        if not (killed and self._lost):
            record()
        if killed:
            raise Killed(f"killed at event {self._kill_at}: {name} {effect.kind} {effect.name}")


def names_of(effect: Effect) -> list[str]:
    """What to look for: the directories that a thing comes with (a unit of systemd), its path, or its name."""
    return list(effect.args.get("paths") or [effect.args.get("path", effect.name)])
