"""Traced verbs as tests of the picture and of the Perfetto file want them."""

from __future__ import annotations

from typing import Any

from corelaunch.trace_file import TracedStep, TracedVerb


def step(name: str, start: int, duration: int, depth: int = 0, plugin: str = "", failed: str = "") -> TracedStep:
    """A step."""
    return TracedStep(name, plugin, start, duration, depth, failed)


STEPS = (
    step("prepare", 1000, 4000),
    step("place", 3000, 1000, 1, "cgroup_manager:cgroupfs"),
    step("bootstrap", 6000, 2000),
    step("wait for child: STAGE2", 6500, 1000, 1),
    step("networks", 8000, 0),
    step("hooks point", 8000, 1000),
    step("hooks prestart", 8200, 500, 1),
)


def verb(*steps: TracedStep, **changes: Any) -> TracedVerb:
    """A verb of 10 ms; before its beginning are another 10, after its end 2."""
    known: dict[str, Any] = {
        "duration_us": 10000,
        "monotonic_us": 0,
        "exit_code": 0,
        "before_us": 10000,
        "after_us": 2000,
    }
    return TracedVerb("create", "web", 42, "2026-01-02T03:04:05.000006Z", steps or STEPS, **{**known, **changes})
