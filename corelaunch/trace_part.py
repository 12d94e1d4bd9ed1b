"""The steps of one launch, for its lifecycle plugins. Imported only for containers that have such plugins.

A trace belongs to a runtime, which may launch in several threads; plugins are told of what was theirs alone.
"""

from __future__ import annotations

from .api import LaunchStep
from .trace import Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any


class TracePart(Trace):
    """A part of a trace, which has all of its steps, too."""

    __slots__ = ("_whole",)

    def __init__(self, whole: Trace) -> None:
        super().__init__()
        self._whole = whole

    def step(self, name: str, plugin: str = "") -> Any:
        """As :meth:`Trace.step`."""
        return _Both(super().step(name, plugin), self._whole.step(name, plugin))

    def follow(self, channel: Any) -> None:
        """As :meth:`Trace.follow`: for the whole."""
        self._whole.follow(channel)

    def told(self) -> tuple[LaunchStep, ...]:
        """The steps that have ended, in order of their beginning, as plugins see them."""
        found = [LaunchStep(name, plugin, start, duration) for name, plugin, start, duration in self.steps]
        # Of two that begin at one moment the outer one, which lasts longer, comes first.
        return tuple(sorted(found, key=lambda step: (step.start_ns, -step.duration_ns)))


class _Both:
    """A step in two traces."""

    __slots__ = ("_of_part", "_of_whole")

    def __init__(self, of_part: Any, of_whole: Any) -> None:
        self._of_part = of_part
        self._of_whole = of_whole

    def __enter__(self) -> None:
        self._of_whole.__enter__()
        self._of_part.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._of_part.__exit__(kind, error, tb)
        self._of_whole.__exit__(kind, error, tb)
