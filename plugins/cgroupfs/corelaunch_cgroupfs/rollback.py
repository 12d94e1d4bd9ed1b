"""Setting back what an update has written, when one of its later writes is refused.

Each control is read before it is written, and the old values go back in the opposite order: so the cgroup passes
through the same states again, all of which the kernel has allowed on the way (memory below memory and swap, and so on).
"""

from __future__ import annotations

from . import files

#: What a control without an entry for a device or interface does with it.
_NEUTRAL = {
    "io.max": "rbps=max wbps=max riops=max wiops=max",
    "io.weight": "default",
    "io.bfq.weight": "default",
    "io.latency": "target=0",
    "rdma.max": "hca_handle=max hca_object=max",
    "misc.max": "max",
}

#: Controls with one line per device or interface, whose names have no colon.
_BY_NAME = ("rdma.max", "misc.max", "net_prio.ifpriomap")


class Writes:
    """The writes of one update, with what was there before each."""

    def __init__(self) -> None:
        self._before: list[tuple[str, str]] = []

    def note(self, path: str, value: str) -> None:
        """``value`` is about to be written; remember what undoes it. A control that cannot be read is left out."""
        try:
            self._before.append((path, before(path.rpartition("/")[2], files.read(path), value)))
        except OSError:
            pass  # the write itself will say what is wrong, or there is nothing to be read (write-only)

    def undo(self) -> list[str]:
        """Write back, the last first; returns the controls that took it not."""
        refused = []
        for path, value in reversed(self._before):
            try:
                files.write(path, value)
            except OSError:
                refused.append(path)
        return refused


def before(name: str, text: str, value: str) -> str:
    """What to write to a control so that it says what ``text``, read from it, does about the subject of ``value``."""
    subject, blank, _ = value.partition(" ")
    if blank and (":" in subject or name in _BY_NAME):
        for line in text.split("\n"):
            if line.split(" ")[0] == subject:
                return line
        return f"{subject} {_NEUTRAL.get(name, '0')}"
    first = text.split("\n")[0]
    if name == "cpuset.cpus.partition":
        return first.split(" ")[0]  # the rest says why it is not valid
    if name == "memory.oom_control":
        return first.removeprefix("oom_kill_disable ")
    # An empty cpuset of v2 is what its parent has; an empty write would be no write.
    return first.removeprefix("default ") or "\n"
