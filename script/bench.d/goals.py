"""The goals of DESIGN section 7: ratios to runc (or to the bare sequence), and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from measure import Summary

#: (subject, series) -> (wall, cpu)
Table = Mapping[tuple[str, str], tuple[Summary, Summary]]


@dataclass(frozen=True)
class Goal:
    """``series`` of corelaunch takes at most ``limit`` times what ``base`` takes."""

    series: str
    limit: float
    base: tuple[str, str]


GOALS = (
    Goal("warm", 0.15, ("runc", "run")),
    Goal("warm", 2.5, ("bare", "run")),
    Goal("run", 0.8, ("runc", "run")),
    Goal("run + plugin", 1.2, ("runc", "run")),
    Goal("create+start", 1.0, ("runc", "create+start")),
    Goal("exec", 1.0, ("runc", "exec")),
    Goal("state", 1.7, ("runc", "state")),
    Goal("kill", 1.7, ("runc", "kill")),
    Goal("start", 1.6, ("runc", "start")),
    Goal("delete", 1.4, ("runc", "delete")),
)
MEMORY_LIMIT_KIB = 1024.0


@dataclass(frozen=True)
class Standing:
    """Where a goal stands; ratios are None when one side was not measured."""

    text: str
    limit: float
    wall: float | None
    cpu: float | None

    def verdict(self) -> str:
        """met, missed, met (wall only), met (cpu only), not measured."""
        if self.wall is None or self.cpu is None:
            return "not measured"
        met = {name for name, ratio in (("wall", self.wall), ("cpu", self.cpu)) if ratio <= self.limit}
        if len(met) == 2:
            return "met"
        return f"met ({met.pop()} only)" if met else "missed"


def standings(table: Table, memory_kib: float | None) -> list[Standing]:
    """Compare medians with every goal."""
    found = []
    for goal in GOALS:
        ours, theirs = table.get(("corelaunch", goal.series)), table.get(goal.base)
        text = f"{goal.series} <= {goal.limit} x {' '.join(goal.base)}"
        if ours is None or theirs is None:
            found.append(Standing(text, goal.limit, None, None))
        else:
            wall, cpu = (mine.median / his.median if his.median else None for mine, his in zip(ours, theirs))
            found.append(Standing(text, goal.limit, wall, cpu))
    text = f"memory of the waiting init <= {MEMORY_LIMIT_KIB:.0f} KiB"
    ratio = None if memory_kib is None else memory_kib / MEMORY_LIMIT_KIB
    found.append(Standing(text, 1.0, ratio, ratio))
    return found
