"""What the host's side tells those inside."""

from __future__ import annotations

from dataclasses import dataclass

MODES = ("hybrid", "legacy", "unified")


@dataclass(frozen=True)
class Job:
    """One command and what it runs with.

    Attributes:
        mode: the cgroup tree, one of :data:`MODES`.
        environment: the command's, complete.
        uid, gid: whom it runs as; 0 for root, who needs no manager of his own.
        limits: the caller's, soft and hard, by the name of setrlimit(2) without RLIMIT_; -1 for none.
    """

    mode: str
    command: list[str]
    directory: str
    environment: dict[str, str]
    uid: int
    gid: int
    umask: int
    limits: dict[str, tuple[int, int]]
