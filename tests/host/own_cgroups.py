"""In which cgroup a process is, of the hierarchies that are mounted here: /proc names the others, too."""

from __future__ import annotations

from corelaunch.kernel import mountinfo


def paths(text: str) -> dict[str, str]:
    """Controllers, joined by commas, -> path; "" is cgroup v2.

    Args:
        text: of a /proc/PID/cgroup.
    """
    mounted = {",".join(one.controllers) for one in mountinfo.cgroup_hierarchies()}
    fields = [line.split(":", 2) for line in text.splitlines()]
    return {controllers: path for _, controllers, path in fields if controllers in mounted}


def has_v2() -> bool:
    """A hierarchy of cgroup v2 is mounted, beside v1 or alone."""
    return any(one.version == 2 for one in mountinfo.cgroup_hierarchies())
