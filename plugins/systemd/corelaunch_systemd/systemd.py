"""What containers ask of systemd's Manager (org.freedesktop.systemd1(5)), with every job waited for to its end."""

from __future__ import annotations

import time

from corelaunch.api import CorelaunchError, DeadlineExceeded, Unsupported

from . import bus
from .bus import MANAGER, SYSTEMD, BusError, Disconnected
from .names import object_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    T = TypeVar("T")

    #: Name, and the value with its D-Bus signature.
    Property = tuple[str, tuple[str, Any]]

_UNIT = f"{SYSTEMD}.Unit"

#: The oldest that is known to do all that is asked of it (RHEL 8's).
OLDEST = 239

#: How long one operation may take: less than core gives a call of a plugin (30 s), so that the error is ours.
SECONDS = 20.0

#: How often a job is looked at if its signal does not come: systemd may have been executed anew meanwhile.
_LOOK_AGAIN = 0.5

_NO_UNIT = (f"{SYSTEMD}.NoSuchUnit", "org.freedesktop.DBus.Error.UnknownObject")
UNIT_EXISTS = f"{SYSTEMD}.UnitExists"
_DEAD = ("inactive", "failed")


class Unit:
    """A unit as it is now.

    Attributes:
        active: its ActiveState ("active", "failed", "deactivating" …).
        description: what it is called.
        invocation: id of this life of it, in hexadecimal; "" if it does not live.
    """

    def __init__(self, active: str, description: str, invocation: bytes) -> None:
        self.active = active
        self.description = description
        self.invocation = invocation.hex()

    @property
    def dead(self) -> bool:
        """Whether it has ended, and systemd only remembers it."""
        return self.active in _DEAD


class Systemd:
    """The system's manager, or a user's. A context manager: leave it as soon as the work is done."""

    def __init__(self, manager: str, deadline: float = 0.0) -> None:
        """Connect.

        Args:
            manager: ``parts.SYSTEM`` or ``parts.USER``.
            deadline: ``time.monotonic()`` value; 0: ``SECONDS`` from now.

        Raises:
            Unsupported: it cannot be reached.
        """
        self._manager = manager
        self._deadline = deadline or time.monotonic() + SECONDS
        self._connection = bus.connect(manager, self._deadline)
        self._listens = False

    def __enter__(self) -> Systemd:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.__exit__()

    def reconnect(self) -> None:
        """After the other end has hung up."""
        self._connection.__exit__()
        self._connection = bus.connect(self._manager, self._deadline)
        if self._listens:
            self._connection.listen()

    def about(self) -> tuple[int, str]:
        """Its version, and the cgroup that it manages as a path without a slash at the end.

        Raises:
            Unsupported: it is too old.
        """
        names = (f"{MANAGER}.Version", f"{MANAGER}.ControlGroup")
        text, group = self._persist(lambda: self._connection.get(bus.MANAGER_PATH, *names))
        version = version_number(text)
        if version < OLDEST:
            raise Unsupported(
                "systemd is too old",
                why=f"version {text}, and {OLDEST} is needed",
                hint="use --cgroup-manager cgroupfs",
            )
        return version, group.rstrip("/")

    def find(self, unit: str) -> Unit | None:
        """A unit that systemd knows, None if it knows none of that name."""
        names = [f"{_UNIT}.{name}" for name in ("ActiveState", "Description", "InvocationID")]

        def look() -> Unit:
            # Not by its object's path alone: asking that would load the unit, and it would be there then.
            (path,) = self._connection.call(MANAGER, "GetUnit", "s", unit, returns="o")
            return Unit(*self._connection.get(path, *names))

        try:
            return self._persist(look)
        except BusError as error:
            if error.name in _NO_UNIT:
                return None
            raise

    def start(self, unit: str, properties: Sequence[Property]) -> None:
        """Start a transient unit, and wait until it is up.

        Raises:
            BusError: ``UNIT_EXISTS``, or a property is refused.
            CorelaunchError: it did not come up.
            Disconnected: systemd hung up; whether it took the request must be looked at.
        """
        self._listen()
        (job,) = self._connection.call(
            MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", list(properties), [], returns="o"
        )
        result = self.wait(job)
        if result == "gone":
            found = self.find(unit)
            result = "done" if found is not None and found.active == "active" else "unknown"
        if result != "done":
            raise CorelaunchError("cannot start unit", where=unit, why=f"systemd's job ended with {result!r}")

    def stop(self, unit: str) -> None:
        """Stop a unit and wait until it is down; one that is not there is down."""
        self._listen()
        try:
            (job,) = self._persist(
                lambda: self._connection.call(MANAGER, "StopUnit", "ss", unit, "replace", returns="o")
            )
        except BusError as error:
            if error.name in _NO_UNIT:
                return
            raise
        result = self.wait(job)
        if result not in ("done", "gone"):
            raise CorelaunchError("cannot stop unit", where=unit, why=f"systemd's job ended with {result!r}")

    def reset_failed(self, unit: str) -> None:
        """Let systemd forget that a unit has failed; one that it does not know is forgotten."""
        try:
            self._persist(lambda: self._connection.call(MANAGER, "ResetFailedUnit", "s", unit))
        except BusError as error:
            if error.name not in _NO_UNIT:
                raise

    def set_properties(self, unit: str, properties: Sequence[Property]) -> None:
        """Change properties until the unit ends, and return when systemd has written what follows from them.

        Raises:
            BusError: one is refused; none is changed then (systemd checks all of them first).
        """
        arguments = (unit, True, list(properties))
        self._persist(lambda: self._connection.call(MANAGER, "SetUnitProperties", "sba(sv)", *arguments))
        # The answer comes before systemd writes to the cgroup, which it does before it takes the next message.
        self._persist(lambda: self._connection.get(bus.MANAGER_PATH, f"{MANAGER}.Version"))

    def attach(self, unit: str, pid: int) -> None:
        """Move a process of the caller's into a unit."""
        self._persist(lambda: self._connection.call(MANAGER, "AttachProcessesToUnit", "ssau", unit, "", [pid]))

    def properties(self, unit: str, *names: str) -> list[Any]:
        """Properties of a unit that is there; each with its interface, as ``Scope.ControlGroup``."""
        wanted = [f"{SYSTEMD}.{name}" for name in names]
        return self._persist(lambda: self._connection.get(object_path(unit), *wanted))

    def wait(self, job: str) -> str:
        """Wait for a job: "done", or why not; "gone" if it ended and nobody told us how."""
        ended = False
        while True:
            try:
                # A job that is not there any more has its signal, if any, among what has come in already.
                until = 0.0 if ended else min(time.monotonic() + _LOOK_AGAIN, self._deadline)
                result = self._connection.job_result(job, until)
                if result:
                    return result
                if ended:
                    return "gone"
                if time.monotonic() >= self._deadline:
                    raise DeadlineExceeded("systemd does not end its job", where=job)
                self._connection.get(job, f"{SYSTEMD}.Job.State")
            except BusError:
                ended = True
            except Disconnected:
                self.reconnect()

    def _persist(self, ask: Callable[[], T]) -> T:
        """Ask what may be asked twice, again if systemd hangs up (it is executed anew), as long as there is time."""
        while True:
            try:
                return ask()
            except Disconnected:
                self.reconnect()

    def _listen(self) -> None:
        if not self._listens:
            self._connection.listen()
            self._listens = True


def version_number(text: str) -> int:
    """The number in a version like ``252.39-1~deb12u2`` or ``v255.4-1.fc40``; 0 if there is none."""
    digits = ""
    for letter in text.removeprefix("v"):
        if not letter.isdigit():
            break
        digits += letter
    return int(digits or 0)
