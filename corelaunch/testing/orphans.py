"""Processes that a forked test leaves behind when a plugin has ended it: they are killed, whoever has started them."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# prctl(2)
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def orphans_end() -> Iterator[None]:
    """Orphans come to us until the block ends, and then they end. The block forks one process at a time."""
    before, was = _children(), ctypes.c_int()
    _libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(was), 0, 0, 0)
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        try:
            while orphans := _children() - before:  # one that is killed may leave others
                for pid in orphans:
                    with suppress(ProcessLookupError, ChildProcessError):
                        os.kill(pid, signal.SIGKILL)
                        os.waitpid(pid, 0)
        finally:
            _libc.prctl(_PR_SET_CHILD_SUBREAPER, was, 0, 0, 0)


def _children() -> set[int]:
    """Our children, zombies too."""
    return {int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}
