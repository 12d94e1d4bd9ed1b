"""A descriptor of the child is what the message says that it is, or it is closed and refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from corelaunch.bootstrap.parent_process import ParentProcess
from corelaunch.errors import ProtocolError
from corelaunch.kernel.native import Message


@pytest.fixture(autouse=True)
def no_leaked_fds() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before


class Said:
    """A channel on which the child sends a console, and then is ready."""

    def __init__(self, fd: int) -> None:
        self._messages = [("CONSOLE", Message(0, 0, b"", [fd], 0)), ("READY", Message(0, 0, b"", [], 0))]

    def expect(self, *_: str) -> tuple[str, Message]:
        return self._messages.pop(0)


def parent(fd: int = -1) -> ParentProcess:
    plan: Any = None
    made = ParentProcess(plan, lambda *_: None)
    made._channel = Said(fd)  # type: ignore[assignment]
    return made


def test_what_is_no_pty_master_is_no_console() -> None:
    master, slave = os.openpty()
    with pytest.raises(ProtocolError, match="console"):
        parent(os.open("/dev/null", os.O_RDWR)).serve("READY")
    with pytest.raises(ProtocolError, match="console"):
        parent(slave).serve("READY")
    good = parent(master)
    good.serve("READY")
    assert good.master_fd == master
    os.close(master)


def test_what_is_no_pidfd_is_no_stage_2() -> None:
    with pytest.raises(ProtocolError, match="stage 2"):
        parent()._identify(os.open("/dev/null", os.O_RDWR))
    with pytest.raises(ProtocolError, match="stage 2"):
        parent()._identify(os.pidfd_open(1))
